"""The double of Ollama itself: its faults, its counts, its ends."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import ollama
import psutil
import pytest

from tests.ollama import FaultKind, ModelSpec, OllamaDouble
from tests.ollama.faults import fill
from tests.ollama.labels import LABELS
from tests.ollama.llama_server import ROOT, LlamaServer
from tests.ollama.recording import Exchange, send, shape
from tests.ollama.scripted import document_of
from tests.ollama.tiny_model import write_tiny_model

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "category": {"type": "string", "enum": list(LABELS)},
        "total": {
            "type": "object",
            "properties": {
                "value": {"type": "string", "maxLength": 30},
                "quote": {"type": "string", "maxLength": 80},
            },
            "required": ["value", "quote"],
            "additionalProperties": False,
        },
        "sender": {"anyOf": [{"type": "string", "maxLength": 40}, {"type": "null"}]},
    },
    "required": ["category", "total", "sender"],
    "additionalProperties": False,
}
CATEGORY = {
    "type": "object",
    "properties": {"category": {"enum": list(LABELS)}},
    "required": ["category"],
    "additionalProperties": False,
}
DOCUMENT = "Rechnung Nr. 12\nRechnungsdatum: 02.01.2026\nTotal: 40,00 EUR\nZahlbar bis 16.01.2026\n" * 12
MODELS = (
    ModelSpec("reader:8b", scripted=True, context_length=32768, num_ctx=4096),
    ModelSpec("keyword:1b", context_length=32768, num_ctx=4096),
    ModelSpec(
        "thinker", scripted=True, capabilities=("completion", "thinking"), drops_format_without_think=True
    ),
    ModelSpec("mumbler", scripted=True, capabilities=("completion", "thinking"), answers_in_thinking=True),
    ModelSpec("nimble", capabilities=("completion", "decision"), num_ctx=4096, context_length=32768),
    ModelSpec("faraway", remote=True),
)


@pytest.fixture(scope="module")
def double() -> Iterator[OllamaDouble]:
    """One double for the tests that leave it as it was."""
    with OllamaDouble(MODELS) as running:
        yield running


@pytest.fixture
def client(double: OllamaDouble) -> Iterator[ollama.Client]:
    """Ollama's own client of it."""
    with ollama.Client(double.url) as made:
        yield made
    assert double.pending() == []


def chat(double: OllamaDouble, **changes: Any) -> Exchange:
    """One chat about the document, streaming unless told otherwise."""
    content = f"{DOCUMENT}\n{changes.pop('question', 'Extract.')}"
    body = {
        "model": "reader:8b",
        "messages": [{"role": "system", "content": "You read."}, {"role": "user", "content": content}],
        "format": SCHEMA,
        "options": {"temperature": 0},
        **changes,
    }
    return send(double.url, "POST", "/api/chat", json.dumps(body).encode())


def text_of(exchange: Exchange, field: str = "content") -> str:
    """The reply in a stream."""
    return "".join(line["message"].get(field, "") for line in exchange.lines)


def gone(pid: int) -> bool:
    """Wait for a process to end."""
    try:
        psutil.Process(pid).wait(10)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return False
    return True


# ---------------------------------------------------------------- the tiny model


def test_the_tiny_model_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    first, again, other = (write_tiny_model(tmp_path / n, seed=s) for n, s in (("a", 0), ("b", 0), ("c", 1)))
    assert first.read_bytes() == again.read_bytes() != other.read_bytes()
    assert first.stat().st_size < 1_000_000


@pytest.mark.parametrize(
    ("category", "text"),
    [
        ("invoice", "Rechnung 12, Rechnungsbetrag 40 EUR zahlbar bis Freitag"),
        ("invoice", "Invoice number 7, amount due, net, vat"),
        ("statement", "Kontoauszug: alter Kontostand, Lastschrift, neuer Saldo"),
        ("contract", "Mietvertrag zwischen Vermieter und Mieter, Laufzeit zwei Jahre"),
        ("letter", "Sehr geehrte Damen und Herren, mit freundlichen Grüßen"),
        ("receipt", "Receipt, cashier 3, paid cash, change 2.10"),
        ("report", "Quarter report: analysis, findings and conclusion"),
        ("form", "Antrag: bitte ausfüllen und ankreuzen, Unterschrift"),
        ("email", "From: a@b.example, Subject: reply, forwarded with attachment to the inbox"),
        ("other", "A recipe for soup, a poem, a song, the garden in fine weather"),
    ],
)
def test_the_tiny_model_classifies_by_keywords(client: ollama.Client, category: str, text: str) -> None:
    question = f"{text}\nOne of {', '.join(LABELS)}?"
    got = client.chat(
        "keyword:1b",
        [{"role": "user", "content": question}],
        format=CATEGORY,
        options={"temperature": 0, "num_predict": 60},
    )
    assert json.loads(got.message.content or "")["category"] == category


# ---------------------------------------------------------------- counts


def test_a_shared_prefix_is_read_once(double: OllamaDouble) -> None:
    for question in ("Classify the document.", "Extract the fields."):
        chat(double, model="keyword:1b", question=question, options={"num_predict": 1})
    first, second = double.settled("/api/chat")[-2:]
    assert first.tokens_computed is not None and second.tokens_computed is not None
    assert second.tokens_cached is not None and second.tokens_cached > 500
    assert second.tokens_computed < 30


def test_another_num_ctx_loads_the_model_again(double: OllamaDouble) -> None:
    before = len(double.loads("keyword:1b"))
    for num_ctx in (2048, 2048, 4096):
        chat(double, model="keyword:1b", options={"num_predict": 1, "num_ctx": num_ctx})
    loads = double.loads("keyword:1b")[before:]
    assert [load.num_ctx for load in loads[-2:]] == [2048, 4096]
    assert [call.loaded for call in double.settled()[-3:]] == [True, False, True]
    assert [call.num_ctx for call in double.calls()[-3:]] == [2048, 2048, 4096]
    for load in loads[:-1]:
        assert gone(load.pid)


def test_a_model_makes_room_for_the_next_where_one_may_be_loaded() -> None:
    models = (ModelSpec("one", scripted=True), ModelSpec("two", scripted=True))
    with OllamaDouble(models, max_loaded=1) as own:
        for name in ("one", "one", "two", "one"):
            assert chat(own, model=name).lines[-1]["done"] is True
        assert [load.model for load in own.loads()] == ["one:latest", "two:latest", "one:latest"]
        assert [runner["model"] for runner in own.runners()] == ["one:latest"]
        asking = [threading.Thread(target=chat, args=(own,), kwargs={"model": m}) for m in ("one", "two")]
        for thread in asking:
            thread.start()
        for thread in asking:  # the second waits until the first is unused
            thread.join()
        assert len(own.runners()) == 1
        assert all(call.done_reason == "stop" for call in own.settled("/api/chat"))


def test_overflow_is_told_or_silent_as_asked(double: OllamaDouble) -> None:
    small = {"num_ctx": 256, "num_predict": 1}
    told = chat(double, options=small, truncate=False)
    error = json.loads(told.lines[0]["error"])["error"]
    assert (told.status, error["type"], error["n_ctx"]) == (400, "exceed_context_size_error", 256)
    silent = chat(double, options=small)
    assert silent.status == 200
    assert silent.lines[-1]["prompt_eval_count"] < 256 < error["n_prompt_tokens"]


def test_the_journal_keeps_the_bytes(double: OllamaDouble) -> None:
    body = b'{"model": "missing", "messages": [{"role": "user", "content": "\xff"}]}'
    send(double.url, "POST", "/api/chat", body)
    assert double.settled()[-1].raw == body


# ---------------------------------------------------------------- scripted replies


def test_a_scripted_reply_fits_the_schema_and_quotes_verbatim(double: OllamaDouble) -> None:
    answer = chat(double)
    reply = json.loads(text_of(answer))
    assert reply["category"] == "invoice"
    assert reply["total"] == {"value": "40,00 EUR", "quote": "Total: 40,00 EUR"}
    assert reply["sender"] is None
    assert answer.lines[-1]["done_reason"] == "stop"


def test_logprobs_of_a_scripted_category_are_those_of_its_keywords(double: OllamaDouble) -> None:
    answer = chat(double, logprobs=True, top_logprobs=5)
    entries = [entry for line in answer.lines for entry in line.get("logprobs", [])]
    chosen = next(entry for entry in entries if entry["token"] == "invoice")
    assert len(chosen["top_logprobs"]) == 5
    assert chosen["logprob"] == chosen["top_logprobs"][0]["logprob"] < 0
    assert "".join(entry["token"] for entry in entries) == text_of(answer)


def test_the_document_is_found_between_its_markers() -> None:
    text = "<<<0123abcd4567\nRechnung\nTotal: 1\n>>>0123abcd4567\nExtract the total."
    assert document_of([{"role": "user", "content": text}]) == "Rechnung\nTotal: 1"


def test_a_scripted_value_has_the_form_that_is_asked_for(double: OllamaDouble) -> None:
    schema = {"type": "object", "properties": {"total": SCHEMA["properties"]["total"]}, "required": ["total"]}
    listing = "Find these fields:\n- total: what is to pay (value as digits with a decimal point)"
    reply = json.loads(text_of(chat(double, format=schema, question=listing)))
    assert reply["total"] == {"value": "40.00", "quote": "Total: 40,00 EUR"}


def test_a_reply_is_filled_from_the_prompt() -> None:
    assert fill('{"n": "<<Nr\\. (\\d+)>>", "x": "<<nothing>>"}', "Rechnung Nr. 12") == '{"n": "12", "x": ""}'


# ---------------------------------------------------------------- faults


@pytest.mark.parametrize(
    ("kind", "status", "error"),
    [
        (FaultKind.BUSY, 503, "server busy"),
        (FaultKind.MISSING, 404, "model 'reader:8b' not found"),
        (FaultKind.CLOUD, 403, "ollama cloud is disabled"),
        (FaultKind.INTERNAL, 500, "something went wrong"),
        (FaultKind.BAD_SCHEMA, 400, "JSON schema conversion failed"),
        (FaultKind.OVERFLOW, 400, "exceed_context_size_error"),
    ],
)
def test_an_error_is_given_as_often_as_ordered(
    double: OllamaDouble, kind: FaultKind, status: int, error: str
) -> None:
    double.order(kind, times=2)
    answers = [chat(double) for _ in range(3)]
    assert [answer.status for answer in answers] == [status, status, 200]
    assert error in answers[0].lines[0]["error"]


@pytest.mark.parametrize(
    ("kind", "lines", "complete"),
    [
        (FaultKind.REPEAT_ABORT, 31, True),
        (FaultKind.EMPTY_STREAM, 0, True),
        (FaultKind.STREAM_ENDS, 3, True),
        (FaultKind.SERVER_KILLED, 3, False),
    ],
)
def test_a_stream_stops_without_done(
    double: OllamaDouble, kind: FaultKind, lines: int, complete: bool
) -> None:
    double.order(kind, after=3)
    answer = chat(double)
    assert (answer.status, len(answer.lines), answer.complete) == (200, lines, complete)
    assert not any(line["done"] for line in answer.lines)
    whole = chat(double)
    assert whole.lines[-1]["done"] is True


@pytest.mark.parametrize("kind", [FaultKind.REPEAT_ABORT, FaultKind.EMPTY_STREAM, FaultKind.STREAM_ENDS])
def test_a_whole_reply_is_not_done_either(double: OllamaDouble, kind: FaultKind) -> None:
    double.order(kind)
    answer = chat(double, stream=False)
    assert answer.status == 200
    assert answer.lines[0]["done"] is False
    assert "done_reason" not in answer.lines[0]


def test_half_a_line(double: OllamaDouble) -> None:
    double.order(FaultKind.HALF_LINE, after=2)
    answer = chat(double)
    assert not answer.complete
    with pytest.raises(json.JSONDecodeError):
        json.loads(answer.body.split(b"\n")[-1])


def test_a_killed_runner_is_an_error_and_the_next_call_loads(double: OllamaDouble) -> None:
    chat(double)
    pid = next(r["pid"] for r in double.runners() if r["model"] == "reader:8b")
    double.order(FaultKind.RUNNER_KILLED, after=3)
    answer = chat(double)
    assert answer.lines[-1] == {"error": "an error was encountered while running the model: unexpected EOF"}
    assert gone(pid)
    assert chat(double).lines[-1]["done"] is True
    assert double.settled()[-1].loaded


def test_a_runner_that_dies_by_itself_is_the_same(double: OllamaDouble) -> None:
    slow = dataclasses.replace(MODELS[1], name="slow", layers=48, labelled=False)
    with OllamaDouble([slow]) as own:
        answers: list[Exchange] = []
        # Long, so that it is still being read when the runner dies: this model soon writes invalid UTF-8.
        body: dict[str, Any] = {"model": "slow", "messages": [{"role": "user", "content": "hello " * 1_000}]}
        body |= {"options": {"num_predict": 100_000, "num_ctx": 16_384, "temperature": 1, "seed": 1}}
        data = json.dumps(body).encode()
        asking = threading.Thread(target=lambda: answers.append(send(own.url, "POST", "/api/chat", data)))
        asking.start()
        own.wait_for(lambda _: bool(own.runners()))
        own.kill_runner("slow:latest")
        asking.join()
        assert "unexpected EOF" in answers[0].lines[-1]["error"]


def test_silence_lasts_until_the_client_has_had_enough(double: OllamaDouble) -> None:
    double.order(FaultKind.SILENCE, seconds=3600)
    with pytest.raises(httpx.ReadTimeout), ollama.Client(double.url, timeout=0.3) as impatient:
        list(impatient.chat("reader:8b", [{"role": "user", "content": "hello"}], stream=True))
    call = double.settled()[-1]
    assert call.disconnected is not None
    assert call.status is None  # not even headers


def test_slow_tokens_arrive_all_the_same(double: OllamaDouble) -> None:
    double.order(FaultKind.SLOW, seconds=0.001)
    assert json.loads(text_of(chat(double)))["category"] == "invoice"


def test_a_connection_closed_before_the_answer(double: OllamaDouble, client: ollama.Client) -> None:
    double.order(FaultKind.CLOSED)
    with pytest.raises((httpx.RemoteProtocolError, ConnectionError)):
        client.chat("reader:8b", [{"role": "user", "content": "hello"}])
    assert client.chat("reader:8b", [{"role": "user", "content": "hello"}]).done


def test_wrong_replies(double: OllamaDouble) -> None:
    double.order(FaultKind.REPLY, text='{"category": "<<(Rechnung) Nr>>"}')
    double.order(FaultKind.WRONG_SCHEMA)
    double.order(FaultKind.INVALID_JSON)
    assert json.loads(text_of(chat(double))) == {"category": "Rechnung"}
    assert json.loads(text_of(chat(double))) == {"unexpected": "form"}
    with pytest.raises(json.JSONDecodeError):
        json.loads(text_of(chat(double)))
    assert all((call.tokens_computed or 0) > 0 for call in double.settled()[-3:])


def test_a_cut_reply_says_length(double: OllamaDouble) -> None:
    double.order(FaultKind.LENGTH)
    answer = chat(double)
    assert answer.lines[-1]["done_reason"] == "length"
    with pytest.raises(json.JSONDecodeError):
        json.loads(text_of(answer))
    assert chat(double, options={"num_predict": 4}).lines[-1]["done_reason"] == "length"


def test_a_fault_meets_only_what_it_is_for(double: OllamaDouble) -> None:
    double.order(FaultKind.BUSY, model="keyword:1b")
    double.order(FaultKind.BUSY, contains="Summarise")
    double.order(FaultKind.BUSY, path="/api/tags")
    assert chat(double).status == 200
    assert chat(double, question="Summarise.").status == 503
    assert send(double.url, "GET", "/api/tags", b"").status == 503
    assert chat(double, model="keyword:1b", options={"num_predict": 1}).status == 503
    assert double.pending() == []


def test_faults_can_be_forgotten(double: OllamaDouble) -> None:
    double.order(FaultKind.BUSY, times=-1)
    assert chat(double).status == 503
    double.clear()
    assert chat(double).status == 200


# ---------------------------------------------------------------- models


def test_thinking_comes_first_and_can_be_turned_off(double: OllamaDouble) -> None:
    thought = chat(double, model="thinker")
    assert text_of(thought, "thinking")
    assert json.loads(text_of(thought))["category"] == "invoice"
    straight = chat(double, model="thinker", think=False)
    assert not text_of(straight, "thinking")
    with pytest.raises(json.JSONDecodeError):  # the format was dropped
        json.loads(text_of(straight))


def test_a_reply_may_hide_in_the_thinking(double: OllamaDouble) -> None:
    answer = chat(double, model="mumbler")
    assert text_of(answer) == ""
    assert json.loads(text_of(answer, "thinking"))["category"] == "invoice"
    double.order(FaultKind.IN_THINKING)
    assert text_of(chat(double)) == ""


def test_a_cloud_model_is_listed_and_refused(double: OllamaDouble, client: ollama.Client) -> None:
    assert "faraway:latest" in [m.model for m in client.list().models]
    assert chat(double, model="faraway").status == 403


def test_pull_create_copy_delete(client: ollama.Client, double: OllamaDouble) -> None:
    with pytest.raises(ollama.ResponseError, match="no such host"):
        client.pull("newcomer:1b")
    double.let_pull(dataclasses.replace(MODELS[0], name="newcomer:1b"))
    states = list(client.pull("newcomer:1b", stream=True))
    assert states[-1].status == "success"
    assert {state.completed for state in states if state.total} >= {states[1].total}
    client.create("alias", from_="newcomer:1b", system="Be brief.", parameters={"num_ctx": 512})
    client.copy("alias", "second")
    client.delete("alias")
    chat(double, model="second", options={})
    assert double.settled()[-1].num_ctx == 512
    client.delete("second")
    client.delete("newcomer:1b")
    with pytest.raises(ollama.ResponseError, match="not found"):
        client.show("second")


def test_other_models_from_now_on() -> None:
    with OllamaDouble(MODELS[:1]) as own, ollama.Client(own.url) as client:
        client.chat("reader:8b", [{"role": "user", "content": "hello"}])
        pid = own.runners()[0]["pid"]
        own.offer(MODELS[1:2])
        assert [m.model for m in client.list().models] == ["keyword:1b"]
        assert gone(pid)


# ---------------------------------------------------------------- decisions

QUESTIONS: dict[str, dict[str, Any]] = {
    "kind": {
        "type": "choice",
        "instructions": "What is it?",
        "criteria": {"letter": "a letter", "invoice": "a bill", "other": None},
    },
    "urgency": {"type": "score", "instructions": "How urgent?", "criteria": ["low", "high"]},
    "paid": {"type": "noul", "instructions": "Is it paid?"},
}


def test_decisions_have_the_form_that_llama_cpp_gives(client: ollama.Client, tmp_path: Path) -> None:
    answer = client.systemone("nimble", "Rechnung, Rechnungsbetrag, zahlbar", QUESTIONS)
    kind = answer.answers["kind"]
    assert kind.type == "choice"
    assert kind.choice == "invoice"
    assert sum(kind.probabilities.values()) == pytest.approx(1)
    server = LlamaServer(write_tiny_model(tmp_path / "decision.gguf", decision=True), num_ctx=1024)
    try:
        body = {"model": "nimble", "state": "Rechnung", "questions": QUESTIONS}
        real = server.ask("/v1/systemone", body)
    finally:
        server.close()
    assert shape(answer.model_dump()) == shape(real)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"model": "reader:8b"}, 400),
        ({"model": "nowhere"}, 404),
        ({"model": ""}, 400),
        ({"questions": {}}, 400),
        ({"state": "x" * 70_000}, 413),
    ],
)
def test_decisions_that_are_refused(double: OllamaDouble, changes: dict[str, Any], status: int) -> None:
    body = {"model": "nimble", "state": "x", "questions": QUESTIONS} | changes
    assert send(double.url, "POST", "/v1/systemone", json.dumps(body).encode()).status == status


def test_an_older_version_knows_no_decisions() -> None:
    with OllamaDouble(version="0.32.15") as old:
        answer = send(old.url, "POST", "/v1/systemone", b"{}")
    assert (answer.status, answer.body) == (404, b"404 page not found")


# ---------------------------------------------------------------- processes


def test_two_doubles_do_not_meet(double: OllamaDouble) -> None:
    with OllamaDouble(MODELS[:1]) as other:
        assert other.port != double.port
        other.order(FaultKind.BUSY)
        assert (chat(double).status, chat(other).status, chat(other).status) == (200, 503, 200)
        assert len(other.settled()) == 2


def test_down_and_up_again_on_the_same_port() -> None:
    with OllamaDouble(MODELS[:1]) as own:
        assert chat(own).status == 200
        for down in (own.stop, own.kill):
            url, pids = own.url, [runner["pid"] for runner in own.runners()]
            down()
            assert all(gone(pid) for pid in pids)
            with pytest.raises(ConnectionRefusedError):
                chat(own)
            own.start()
            assert own.url == url
            assert chat(own).status == 200
        assert len(own.settled()) == 3
        assert len(own.loads()) == 3


def test_nothing_is_left_when_the_parent_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from tests.ollama import *\n"
        "double = OllamaDouble([ModelSpec('m')], folder=Path(sys.argv[1])); double.start()\n"
        "import ollama; ollama.Client(double.url).generate('m')\n"
        "print(double.process.pid, double.runners()[0]['pid'], flush=True); time.sleep(600)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    own = {**os.environ, "TMPDIR": str(tmp_path)}  # the killed process cannot clear its files away
    with subprocess.Popen(command, cwd=ROOT, env=own, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        os.kill(parent.pid, signal.SIGKILL)
    assert all(gone(pid) for pid in pids)


@pytest.mark.parametrize("how", ["stdin", "sigterm"])
def test_the_command_line_ends_when_told(tmp_path: Path, how: str) -> None:
    command = [sys.executable, "-m", "tests.ollama.double", "--port", "0", "--folder", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        url = process.stdout.readline().decode().strip()
        assert send(url, "GET", "/", b"").body == b"Ollama is running"
        if how == "stdin":
            process.stdin.close()
        else:
            process.terminate()
        assert process.wait(20) == 0


def test_a_model_is_unloaded_when_its_time_is_over(double: OllamaDouble, client: ollama.Client) -> None:
    client.chat("reader:8b", [{"role": "user", "content": "hello"}], keep_alive=0.05)
    deadline = time.monotonic() + 10
    while "reader:8b" in [m.model for m in client.ps().models]:
        assert time.monotonic() < deadline
