"""Who reads: the language model where one can be asked, the offline engine meanwhile, and the way back."""

import time
from pathlib import Path

import pytest

from tasks.circuit import Circuit, load_circuit, save_circuit
from tasks.documents import (
    Analysis,
    Classification,
    Extraction,
    Failure,
    Page,
    PartAnalysis,
    Scope,
    Stage,
    State,
    TextSource,
    Value,
)
from tasks.engines.llm.base import CallTrace, ModelInfo
from tasks.ledger import DocumentRow, Ledger
from tasks.orders import Outcome, Presence, ReadParams
from tasks.pipeline import Pipeline
from tasks.read_planning import is_merge, load_estimate
from tasks.routing import KnownModels, Route, known_models, queue_of, route
from tasks.settings import Settings
from tasks.units import UnitRow, mark_queued, next_waiting, units_of

SMALL = ModelInfo(name="shoebox-small:latest", parameters=1_500_000_000)
LARGE = ModelInfo(name="shoebox-large:latest", parameters=7_600_000_000)


def worker_with(*models: ModelInfo, queues: tuple[str, ...] = ("cpu", "gpu"), problem: str = "") -> Presence:
    return Presence(worker="w", queues=queues, slots=1, pid=1, models=models, llm_problem=problem)


BOTH = known_models([worker_with(SMALL, LARGE)])


def test_a_model_runs_where_its_size_says(settings: Settings) -> None:
    assert queue_of(SMALL, settings)[0] == "cpu"
    assert queue_of(LARGE, settings)[0] == "gpu"
    assert queue_of(ModelInfo(name="x", parameters=0), settings)[0] == "gpu"
    by_name = settings.model_copy(update={"model_queues": {"shoebox-large": "cpu"}})
    assert queue_of(LARGE, by_name) == ("cpu", "by name, in the settings")


def test_a_route_needs_a_worker_of_the_right_queue_with_the_model(settings: Settings) -> None:
    found = route(BOTH, "shoebox-large", 16384, settings)
    assert isinstance(found, Route)
    assert (found.queue, found.on_cpu) == ("gpu", False)
    only_cpu = known_models([worker_with(SMALL, LARGE, queues=("cpu",))])
    assert route(only_cpu, "shoebox-large", 1, settings) == (
        "No worker of the gpu queue reaches the model 'shoebox-large'."
    )
    assert "./run.sh models" in str(route(known_models([worker_with(SMALL)]), "shoebox-large", 1, settings))
    away = known_models([worker_with(problem="no Ollama at home")])
    assert route(away, "shoebox-small", 1, settings) == "no Ollama at home"


def test_a_cloud_model_is_refused_unless_allowed(settings: Settings) -> None:
    cloud = known_models([worker_with(LARGE.model_copy(update={"is_remote": True}))])
    assert "cloud" in str(route(cloud, "shoebox-large", 1, settings))
    allowed = settings.model_copy(update={"allow_remote_models": True})
    assert isinstance(route(cloud, "shoebox-large", 1, allowed), Route)


@pytest.mark.parametrize(
    ("is_free", "expected"),
    [(True, [5, 10, 20, 20, 20, 20, 20, 20]), (False, [5, 10, 20, 40, 80, 120, 120, 120])],
)
def test_each_failure_doubles_the_pause_and_a_reply_ends_it(is_free: bool, expected: list[int]) -> None:
    circuit, pauses = Circuit(known=BOTH), []
    for _ in range(8):
        before = time.time()
        circuit = circuit.failed("it was busy", is_free=is_free)
        assert circuit.is_paused
        pauses.append(round(circuit.paused_until - before))
        circuit = circuit.model_copy(update={"paused_until": 0.0})
    assert pauses == expected
    assert circuit.documents_at_once == 1
    closed = circuit.succeeded()
    assert not closed.is_paused
    assert closed.documents_at_once > 1


def test_failures_that_were_under_way_count_as_one() -> None:
    once = Circuit(known=BOTH).failed("busy")
    assert once.failed("busy") == once


class Bench:
    """A pipeline, a document that has been extracted, and hands that stand in for the workers."""

    def __init__(self, ledger: Ledger, settings: Settings, folder: Path) -> None:
        self.ledger = ledger
        self.pipeline = Pipeline(ledger, settings)
        self.folder = folder
        self.see(BOTH)

    def see(self, known: KnownModels) -> None:
        save_circuit(self.ledger, load_circuit(self.ledger).model_copy(update={"known": known}))

    def end_pause(self) -> None:
        circuit = load_circuit(self.ledger)
        broken = {model: breaker.on_trial() for model, breaker in circuit.broken.items()}
        save_circuit(self.ledger, circuit.model_copy(update={"paused_until": 0.0, "broken": broken}))

    def add(self, *texts: str, recipe: str = "builtin") -> str:
        path = self.folder / f"{len(self.ledger.documents())}.txt"
        path.write_text(path.name)
        document = self.pipeline.submit(path, recipe, urgent=False).document.id
        pages = [
            Page(number=n, text=text, source=TextSource.LAYER, score=1.0)
            for n, text in enumerate(texts, start=1)
        ]
        self.succeed(document, Extraction(mime="text/plain", pages=tuple(pages)))
        return document

    def row(self, document: str) -> DocumentRow:
        row = self.ledger.document(document)
        assert row is not None
        return row

    def waiting(self, document: str) -> list[UnitRow]:
        return [u for u in units_of(self.ledger, document) if u.state is State.WAITING]

    def succeed(self, document: str, result: Value, calls: tuple[CallTrace, ...] = ()) -> UnitRow:
        unit = mark_queued(self.ledger, self.waiting(document)[0].id)
        outcome = Outcome(issue=unit.issue, result=result.model_dump(mode="json"), calls=calls)
        self.pipeline.record(unit.id, outcome)
        return unit

    def fail(self, document: str, kind: str, scope: Scope = Scope.SERVER) -> None:
        unit = mark_queued(self.ledger, self.waiting(document)[0].id)
        failure = Failure(kind=kind, message=f"The model was {kind}.", scope=scope)
        self.pipeline.record(unit.id, Outcome(issue=unit.issue, failure=failure))

    def read_offline(self, document: str) -> None:
        while self.waiting(document):
            is_classify = self.waiting(document)[0].stage is Stage.CLASSIFY
            self.succeed(document, LETTER if is_classify else ANALYSIS)


LETTER = Classification(category="letter", confidence=0.9)
INVOICE = Classification(category="invoice", confidence=0.9)
ANALYSIS = Analysis(title="A title", summary="A summary.")


@pytest.fixture
def bench(ledger: Ledger, settings: Settings, tmp_path: Path) -> Bench:
    return Bench(ledger, settings, tmp_path)


def test_a_document_is_read_by_the_models_of_its_tiers(bench: Bench) -> None:
    document = bench.add("Dear Sir")
    classify = bench.succeed(document, INVOICE)
    analyse = bench.succeed(document, ANALYSIS)
    assert (classify.queue, classify.model) == ("cpu", "shoebox-small")
    assert (analyse.queue, analyse.model) == ("gpu", "shoebox-large")
    row = bench.row(document)
    assert (row.state, row.category, row.provisional) == (State.DONE, "invoice", False)
    assert row.engine == "ollama shoebox-large"


def test_with_no_model_ever_seen_the_offline_result_is_final(bench: Bench) -> None:
    bench.see(KnownModels())
    document = bench.add("Dear Sir")
    bench.read_offline(document)
    assert (bench.row(document).state, bench.row(document).provisional) == (State.DONE, True)


def test_a_model_that_appears_upgrades_what_is_provisional(bench: Bench) -> None:
    bench.see(KnownModels())
    document = bench.add("Dear Sir")
    bench.read_offline(document)
    bench.see(BOTH)
    assert [row.id for row in bench.pipeline.upgrade_all(10)] == [document]
    assert bench.row(document).category == "letter"
    bench.succeed(document, INVOICE)
    bench.succeed(document, ANALYSIS)
    row = bench.row(document)
    assert (row.state, row.category, row.provisional) == (State.DONE, "invoice", False)
    assert bench.pipeline.upgrade_all(10) == []


def test_a_server_that_goes_away_costs_no_attempt_and_the_document_waits(bench: Bench) -> None:
    first = bench.add("The first")
    bench.succeed(first, INVOICE)
    bench.succeed(first, ANALYSIS)
    document = bench.add("Dear Sir")
    bench.fail(document, "unavailable")
    assert load_circuit(bench.ledger).is_paused
    bench.read_offline(document)
    row = bench.row(document)
    assert (row.state, row.provisional, row.category) == (State.WAITING, True, "letter")
    assert "Waiting for the language model" in row.message
    assert "The model was unavailable." in row.message
    bench.end_pause()
    assert load_circuit(bench.ledger).documents_at_once == 1
    bench.pipeline.upgrade_all(1)
    assert bench.waiting(document)[0].attempts == 0
    bench.succeed(document, INVOICE)
    bench.succeed(document, ANALYSIS)
    assert bench.row(document).state is State.DONE


def test_documents_that_were_planned_for_a_model_do_not_wait_in_vain(bench: Bench) -> None:
    documents = [bench.add(f"Letter {n}") for n in range(3)]
    bench.fail(documents[0], "unavailable")
    assert next_waiting(bench.ledger, "cpu", 10, with_llm=False)[0].model == "offline"
    bench.pipeline.fall_back_all(10)
    for document in documents:
        assert {u.model for u in bench.waiting(document)} == {"offline"}


def test_a_model_without_a_usable_reply_sends_to_review_and_not_in_circles(bench: Bench) -> None:
    document = bench.add("Dear Sir")
    for _ in range(3):
        bench.fail(document, "error")
    bench.read_offline(document)
    row = bench.row(document)
    assert row.state is State.REVIEW
    assert "The language model gave no usable result: The model was error." in row.message
    assert bench.pipeline.upgrade_all(10) == []


def test_a_long_document_is_read_in_parts_and_merged(bench: Bench) -> None:
    page = "The committee considered the report of the working party at some length. " * 60
    document = bench.add(*[page] * 40)
    bench.succeed(document, LETTER)
    parts = bench.waiting(document)
    assert len(parts) > 3
    models = [ReadParams.model_validate(u.params).llm for u in parts]
    spans = [span for llm in models if llm for span in llm.spans]
    assert sum(span.end - span.start for span in spans) == 40 * len(page)
    for _ in parts:
        part = PartAnalysis(title="t", summary="s", first_page=1, last_page=1, characters=10)
        bench.succeed(document, part)
    [merge] = bench.waiting(document)
    assert is_merge(ReadParams.model_validate(merge.params))
    bench.succeed(document, ANALYSIS)
    assert (bench.row(document).state, bench.row(document).title) == (State.DONE, "A title")


def test_the_traces_of_calls_are_kept_and_teach_the_estimate(bench: Bench) -> None:
    document = bench.add("Dear Sir")
    call = CallTrace(
        engine="ollama",
        model="shoebox-small",
        purpose="classify",
        prompt_sha256="0",
        prompt="word " * 400,
        prompt_tokens=900,
    )
    bench.succeed(document, LETTER, calls=(call,))
    assert bench.ledger.calls(document) == [(Stage.CLASSIFY, 1, call)]
    before = load_estimate(bench.ledger, "unknown").count(call.prompt)
    assert load_estimate(bench.ledger, "shoebox-small").count(call.prompt) != before


def test_retry_of_what_a_model_has_read_asks_it_nothing(bench: Bench) -> None:
    document = bench.add("Dear Sir")
    bench.succeed(document, INVOICE)
    bench.succeed(document, ANALYSIS)
    bench.pipeline.retry(bench.row(document))
    assert (bench.row(document).state, bench.row(document).category) == (State.DONE, "invoice")


def test_a_document_that_always_brings_the_server_down_holds_up_nobody(bench: Bench) -> None:
    poison, letter = bench.add("Poison"), bench.add("Dear Sir")
    bench.fail(poison, "unavailable", Scope.CALL)
    bench.pipeline.fall_back_all(10)
    for document in (poison, letter):
        bench.read_offline(document)
    for _ in range(19):
        bench.end_pause()
        assert bench.pipeline.upgrade_all(1)[0].id == letter
        bench.fail(letter, "unavailable", Scope.CALL)
        bench.read_offline(letter)
        bench.end_pause()
        assert bench.pipeline.upgrade_all(1)[0].id == poison
        bench.fail(poison, "unavailable", Scope.CALL)
        bench.read_offline(poison)
    bench.end_pause()
    assert [row.id for row in bench.pipeline.upgrade_all(10)] == [letter]
    row = bench.row(poison)
    assert row.state is State.REVIEW
    assert "failed 20 times" in row.message


def test_what_the_offline_engine_has_read_before_is_not_read_again(bench: Bench) -> None:
    bench.see(KnownModels())
    document = bench.add("Dear Sir")
    bench.read_offline(document)
    bench.see(BOTH)
    bench.pipeline.upgrade_all(1)
    assert bench.waiting(document)[0].is_llm
    bench.see(KnownModels())
    bench.pipeline.fall_back_all(10)
    assert bench.waiting(document) == []
    assert bench.row(document).state is State.DONE


def test_a_recipe_that_vanished_stops_one_document_and_nobody_else(bench: Bench, settings: Settings) -> None:
    bench.see(KnownModels())
    recipe = settings.recipes_path / "mine.toml"
    recipe.parent.mkdir(parents=True)
    recipe.write_text('[categories.letter]\ndescribe = "A letter."\n')
    document, other = bench.add("Dear Sir", recipe="mine"), bench.add("Dear Madam")
    for one in (document, other):
        while bench.waiting(one):
            bench.succeed(one, LETTER if bench.waiting(one)[0].stage is Stage.CLASSIFY else ANALYSIS)
    recipe.unlink()
    bench.see(BOTH)
    assert [row.id for row in bench.pipeline.upgrade_all(10)] == [document, other]
    assert bench.row(document).state is State.REVIEW
    assert "mine" in bench.row(document).message
    assert bench.waiting(other)[0].is_llm
    assert bench.pipeline.upgrade_all(10) == []


def test_a_broken_model_holds_up_only_what_is_for_it(bench: Bench) -> None:
    document, other = bench.add("Dear Sir"), bench.add("Dear Madam")
    bench.succeed(document, INVOICE)
    bench.fail(document, "unavailable", Scope.MODEL)
    circuit = load_circuit(bench.ledger)
    assert not circuit.is_paused
    assert circuit.route_to("shoebox-large", bench.pipeline.settings) == "The model was unavailable."
    assert isinstance(circuit.route_to("shoebox-small", bench.pipeline.settings), Route)
    bench.read_offline(document)
    row = bench.row(document)
    assert (row.state, row.provisional, row.model_failures) == (State.WAITING, True, 0)
    assert "The model was unavailable." in row.message
    bench.succeed(other, INVOICE)
    assert load_circuit(bench.ledger).broken  # a reply of another model says nothing about this one
    assert [unit.model for unit in bench.waiting(other)] == ["offline"]
    bench.read_offline(other)

    bench.end_pause()
    assert [row.id for row in bench.pipeline.upgrade_all(10)] == [document]  # one tries it
    assert bench.pipeline.upgrade_all(10) == []
    bench.succeed(document, ANALYSIS)  # what it was classified as is known
    assert not load_circuit(bench.ledger).broken
    assert [row.id for row in bench.pipeline.upgrade_all(10)] == [other]


def test_a_server_that_is_away_for_long_is_no_fault_of_the_document(bench: Bench) -> None:
    document = bench.add("Dear Sir")
    save_circuit(bench.ledger, load_circuit(bench.ledger).succeeded())
    for _ in range(30):
        bench.fail(document, "unavailable", Scope.SERVER)
        bench.read_offline(document)
        bench.end_pause()
        assert [row.id for row in bench.pipeline.upgrade_all(10)] == [document]
    row = bench.row(document)
    assert (row.model_failures, bench.waiting(document)[0].attempts) == (0, 0)


def test_a_model_that_gave_no_usable_reply_is_not_asked_the_same_again(bench: Bench) -> None:
    document = bench.add("Dear Sir")
    bench.fail(document, "reply")
    bench.read_offline(document)
    row = bench.row(document)
    assert row.state is State.REVIEW
    assert "The language model gave no usable result: The model was reply." in row.message
    assert bench.pipeline.upgrade_all(10) == []


def test_a_change_of_the_models_ends_every_pause() -> None:
    one = Circuit().seen(known_models([worker_with(SMALL)])).succeeded()
    paused = one.failed("away").model_failed("shoebox-small", "broken").lacks("shoebox-large")
    same = paused.seen(known_models([worker_with(SMALL.model_copy(update={"loaded": True}))]))
    assert (same.is_paused, same.missing.keys(), same.broken["shoebox-small"].is_paused) == (
        True,
        {"shoebox-large"},
        True,
    )
    gone = same.seen(known_models([worker_with(problem="no Ollama")]))
    assert gone.is_paused
    back = gone.seen(BOTH)
    assert (back.is_paused, back.missing, back.broken["shoebox-small"].is_paused) == (False, {}, False)
    assert (back.failures, back.documents_at_once) == (1, 1)  # one document tries it


def test_a_server_that_says_when_it_wants_to_be_asked_again_is_asked_then() -> None:
    before = time.time()
    assert round(Circuit().failed("busy", 3).paused_until - before) == 3
    assert round(Circuit().failed("busy", 3600).paused_until - before) == 120


def test_a_model_that_only_makes_vectors_reads_nothing(settings: Settings) -> None:
    vectors = LARGE.model_copy(update={"capabilities": ("embedding",)})
    words = route(known_models([worker_with(vectors)]), "shoebox-large", 1, settings)
    assert words == "The model 'shoebox-large' cannot read: its server says that it is for embedding."


def test_a_clock_that_is_put_back_makes_no_pause_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    paused = Circuit().failed("away").model_failed("shoebox-small", "broken").lacks("shoebox-large")
    assert (paused.is_paused, len(paused.paused_models)) == (True, 2)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 86400)
    assert (paused.is_paused, len(paused.paused_models)) == (False, 0)
