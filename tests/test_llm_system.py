"""Reading with a language model on a running system: the real workers, a real llama.cpp behind the double."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tasks.broker_url import redis_url
from tasks.circuit import load_circuit
from tasks.documents import FINAL_STATES, Stage, State
from tasks.events import EventKind, read_events, stream_key
from tasks.exchange import connect
from tasks.ledger import DocumentRow, Ledger
from tests import samples
from tests.ollama import Call, FaultKind, ModelSpec, OllamaDouble
from tests.ollama.llama_server import LlamaServer
from tests.ollama.tiny_model import write_tiny_model
from tests.samples import papers
from tests.system import ROOT, System, running

pytestmark = pytest.mark.timeout(600)

SMALL = ModelSpec(name="shoebox-small", parameter_size="1.5B", context_length=32768, scripted=True)
LARGE = ModelSpec(name="shoebox-large", parameter_size="7.6B", context_length=32768, scripted=True)

BOOKKEEPER = ModelSpec(name="bookkeeper:14b", parameter_size="14B", context_length=32768, scripted=True)
SCRIBE = ModelSpec(name="scribe:3b", parameter_size="3B", context_length=32768, scripted=True)


@pytest.fixture(scope="module")
def running_double() -> Iterator[OllamaDouble]:
    with OllamaDouble((SMALL, LARGE)) as started:
        yield started


@pytest.fixture(scope="module")
def running_system(
    running_double: OllamaDouble, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    with running(
        tmp_path_factory.mktemp("system"),
        OLLAMA_HOST=running_double.url,
        SHOEBOX_LARGE_NUM_CTX="4096",
        SHOEBOX_SILENCE_SECONDS="10",
    ) as started:
        yield started


@pytest.fixture
def double(running_double: OllamaDouble) -> OllamaDouble:
    """The double without faults."""
    running_double.clear()
    return running_double


@pytest.fixture
def system(running_system: System, double: OllamaDouble) -> System:
    """The system without documents, with its models noticed."""
    running_system.forget_documents()
    await_models(running_system)
    return running_system


@pytest.fixture
def chats(double: OllamaDouble) -> Callable[[], list[Call]]:
    """The calls to /api/chat since the test began."""
    before = len(double.calls("/api/chat"))
    return lambda: double.calls("/api/chat")[before:]


def await_models(system: System) -> None:
    """Wait until home knows where both stages go."""

    def is_known() -> bool:
        with Ledger.open(system.settings) as ledger:
            circuit = load_circuit(ledger)
        stages = (Stage.CLASSIFY, Stage.ANALYSE)
        return not any(isinstance(circuit.reader(stage, system.settings), str) for stage in stages)

    system.await_true(is_known, what="home knows the models")


def await_model(system: System, name: str) -> None:
    """Wait until home knows a model."""

    def is_known() -> bool:
        with Ledger.open(system.settings) as ledger:
            return load_circuit(ledger).known.find(name) is not None

    system.await_true(is_known, what=f"home knows {name}")


def by_model(document: DocumentRow) -> bool:
    return document.engine == "ollama shoebox-large" and not document.provisional


def test_documents_are_read_by_the_models_and_every_call_is_on_record(
    system: System, double: OllamaDouble, chats: Callable[[], list[Call]], tmp_path: Path
) -> None:
    papers_folder = tmp_path / "papers"
    paths = samples.make_corpus(papers_folder, 4)
    system.run("add", *paths, "--wait")
    documents = system.documents()
    assert all(by_model(document) for document in documents)
    assert {document.state for document in documents} <= {State.DONE, State.REVIEW}

    assert all(call.done_reason == "stop" for call in chats())
    assert {call.num_ctx for call in chats() if call.model.startswith("shoebox-large")} == {4096}
    assert len(double.loads("shoebox-large:latest")) == 1
    with Ledger.open(system.settings) as ledger:
        traces = [call for document in documents for call in ledger.calls(document.id)]
    assert len(traces) == len(chats())
    shown = system.run("show", documents[0].id, "--trace").stdout
    assert "call 3: fields (analyse, attempt 1)" in shown
    assert all(json_call["prompt_tokens"] for json_call in system.json("show", documents[0].id)["calls"])


def test_what_the_model_writes_is_on_the_event_stream(system: System, tmp_path: Path) -> None:
    redis = connect(redis_url(system.settings))
    with Ledger.open(system.settings) as ledger:
        redis.delete(stream_key(ledger.home))
        system.run("add", samples.make("letter.pdf", tmp_path), "--wait")
        _, events = read_events(redis, ledger.home, "0", block_ms=10)
    redis.close()
    written = [event for event in events if event.kind is EventKind.TEXT]
    assert {event.stage for event in written} == {Stage.CLASSIFY, Stage.ANALYSE}
    assert all(event.text for event in written)


def test_an_openai_server_with_a_model_that_babbles_verifies_nothing(
    own_system: Callable[..., System], tmp_path: Path
) -> None:
    model = write_tiny_model(tmp_path / "tiny.gguf")
    with closing(LlamaServer(model, num_ctx=16384)) as server:
        name = server.ask("/v1/models")["data"][0]["id"]
        system = own_system(
            SHOEBOX_ENGINE="openai",
            SHOEBOX_OPENAI_URL=server.url,
            SHOEBOX_SMALL_MODEL=name,
            SHOEBOX_LARGE_MODEL=name,
        )
        await_models(system)
        system.run("add", samples.make("invoice-en.pdf", tmp_path), "--wait", check=False)
        [document] = system.await_ended()
        record = system.json("show", document.id)
    assert {call["engine"] for call in record["calls"]} == {"openai"}
    assert all(field["status"] != "verified" for field in record["fields"])
    assert document.state in {State.DONE, State.REVIEW}


def test_small_models_stay_on_the_processor(
    system: System, chats: Callable[[], list[Call]], tmp_path: Path
) -> None:
    system.run("add", samples.make("letter.pdf", tmp_path), "--wait")
    options = {call.model: call.json["options"] for call in chats()}
    on_cpu = {name.removesuffix(":latest"): given.get("num_gpu") for name, given in options.items()}
    assert on_cpu == {"shoebox-small": 0, "shoebox-large": None}


def test_each_category_is_read_by_its_model_and_waits_only_for_that(
    system: System, double: OllamaDouble, chats: Callable[[], list[Call]], tmp_path: Path
) -> None:
    recipes = system.folder / "config" / "shoebox" / "recipes"
    recipes.mkdir(parents=True)
    recipe = (ROOT / "tasks" / "builtin_recipe.toml").read_text()
    for category, model in (("invoice", "bookkeeper:14b"), ("letter", "scribe:3b")):
        head = f"[categories.{category}]\n"
        recipe = recipe.replace(head, f'{head}model = "{model}"\n')
    (recipes / "own.toml").write_text(f'[models]\nclassify = "bookkeeper:14b"\n{recipe}')
    double.offer((SMALL, LARGE, BOOKKEEPER))
    await_model(system, "bookkeeper:14b")

    papers_given = (samples.make(name, tmp_path) for name in ("invoice-en.pdf", "letter.pdf"))
    system.run("add", *papers_given, "--recipe", "own")
    # Not with --wait: where workers hear of the model one after the other, both may be read offline first.
    done = ("invoice", State.DONE, "ollama bookkeeper:14b")
    system.await_true(
        lambda: any((d.category, d.state, d.engine) == done for d in system.documents()),
        what="the invoice is read by its model",
    )
    letter = system.await_true(
        lambda: next((d for d in system.documents() if "no model 'scribe:3b'" in d.message), None),
        what="the letter says which model it waits for",
    )
    assert (letter.state, letter.provisional, letter.category) == (State.WAITING, True, "letter")
    assert "`./run.sh models` sets it up." in letter.message

    double.offer((SMALL, LARGE, BOOKKEEPER, SCRIBE))
    _, letter = system.await_ended()
    assert (letter.engine, letter.provisional) == ("ollama scribe:3b", False)
    assert {(call.model, call.num_ctx) for call in chats()} == {("bookkeeper:14b", 4096), ("scribe:3b", 4096)}
    assert "fields (analyse, attempt 1) by scribe:3b" in system.run("show", letter.id, "--trace").stdout
    double.offer((SMALL, LARGE))


def test_a_server_that_dies_and_comes_back_without_its_model_loses_nothing(
    system: System, double: OllamaDouble, tmp_path: Path
) -> None:
    folder = tmp_path / "papers"
    samples.make_corpus(folder, 12)
    (folder / "truth.json").unlink()
    double.order(FaultKind.SLOW, times=-1, seconds=0.02)
    system.run("add", folder)
    system.await_true(lambda: any(map(by_model, system.documents())), what="one was read by the models")
    double.kill()
    system.await_true(
        lambda: any("Waiting for the language model" in document.message for document in system.documents()),
        what="documents wait and say so",
    )
    double.start()
    double.offer((SMALL,))
    system.await_true(
        lambda: any("shoebox-large" in document.message for document in system.documents()),
        what="the missing model is named",
    )
    double.clear()
    double.offer((SMALL, LARGE))
    system.await_true(lambda: all(map(by_model, system.documents())), what="all were read by the models")
    ended = system.await_ended()
    assert {document.state for document in ended} <= {State.DONE, State.REVIEW}
    assert all(unit.attempts == 0 for document in ended for unit in system.units(document.id))


def test_a_batch_goes_on_through_one_fault_after_another(
    system: System, double: OllamaDouble, tmp_path: Path
) -> None:
    folder = tmp_path / "papers"
    paths = samples.make_corpus(folder, 6)
    page = "<html><body>Bad Gateway</body></html>"
    for status, text in ((503, '{"error": "busy"}'), (401, '{"error": "unauthorized"}'), (502, page)):
        double.order(FaultKind.STATUS, status=status, text=text, seconds=1)
    double.order(FaultKind.INTERNAL, text="model requires more system memory", model="shoebox-large")
    double.order(FaultKind.HALF_LINE, after=3, model="shoebox-small")
    system.run("add", *paths)
    system.await_true(lambda: all(map(by_model, system.documents())), what="all were read by the models")
    assert double.pending() == []
    ended = system.await_ended()
    assert {document.state for document in ended} <= {State.DONE, State.REVIEW}
    assert not any("no usable result" in document.message for document in ended)
    assert all(unit.attempts == 0 for document in ended for unit in system.units(document.id))


def test_a_busy_server_is_not_stormed(
    system: System, double: OllamaDouble, chats: Callable[[], list[Call]], tmp_path: Path
) -> None:
    folder = tmp_path / "papers"
    paths = samples.make_corpus(folder, 8)
    double.order(FaultKind.BUSY, times=2)
    system.run("add", *paths)
    system.await_true(lambda: all(map(by_model, system.documents())), what="all were read by the models")
    refused = [call for call in chats() if call.status == 503]
    assert len(refused) == 2


def test_cancelling_stops_the_server(
    system: System, double: OllamaDouble, chats: Callable[[], list[Call]], tmp_path: Path
) -> None:
    double.order(FaultKind.SLOW, times=-1, seconds=0.2, model="shoebox-large")
    path = samples.make("letter.pdf", tmp_path)
    system.run("add", path)
    system.await_true(
        lambda: any(call.lines for call in chats() if call.model.startswith("shoebox-large")),
        what="the large model writes",
    )
    system.run("cancel", path.name)
    stopped = system.await_true(
        lambda: [call for call in chats() if call.generation_stopped], what="the server has stopped"
    )
    assert len(stopped) == 1
    assert stopped[0].disconnected is not None
    assert system.documents()[0].state is State.CANCELLED


def test_a_long_text_is_read_whole_and_urgent_work_gets_in_between(
    system: System, double: OllamaDouble, chats: Callable[[], list[Call]], tmp_path: Path
) -> None:
    long_text, letter = tmp_path / "long.pdf", samples.make("letter.pdf", tmp_path)
    long_text.write_bytes(papers.long_report(pages=24))
    system.run("add", long_text)

    def parts_done() -> int:
        units = system.units(system.documents()[0].id)
        return sum(unit.state is State.DONE and unit.stage is Stage.ANALYSE for unit in units)

    system.await_true(parts_done, what="a part is done")
    system.run("add", letter, "--urgent", "--wait")
    long_row, letter_row = system.documents()
    assert letter_row.state in FINAL_STATES
    assert long_row.state is State.RUNNING
    [long_row, _] = system.await_ended()
    assert long_row.read_share == 1.0
    large = [call for call in chats() if call.model.startswith("shoebox-large")]
    assert {call.num_ctx for call in large} == {4096}
    assert all((call.tokens_computed or 0) + (call.tokens_cached or 0) < 4096 for call in large)
    assert not any(call.loaded for call in large)
