"""Faults of a model server at the moments of reading: whose fault it is, what is said, what is left of it."""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count, cycle
from pathlib import Path
from typing import Any

import psutil
import pytest

from tasks.documents import DocumentText, Failure, PageText, PartAnalysis, Scope, Stage
from tasks.engines.llm import wire
from tasks.engines.llm.base import ChatClient, ChatRequest, LlmError, LlmErrorKind, Message
from tasks.engines.llm.lines import MOST_LINE_BYTES, whole_lines
from tasks.engines.llm.ollama_client import OllamaClient
from tasks.engines.llm.openai_client import OpenAiClient
from tasks.meaning.batches import EmbedPayload, EmbedResult
from tasks.meaning.embedding import embed_batch
from tasks.model_watch import ModelWatch
from tasks.orders import LlmParams, Order, ReadParams
from tasks.recipes import load_recipe
from tasks.running import UnitFailedError, UnitResult
from tasks.settings import Settings
from tasks.stages.reading import ReadPayload, read
from tests.ollama import Fault, FaultKind, ModelSpec, OllamaDouble
from tests.raw_server import (
    END,
    Connection,
    RawServer,
    chunk,
    event,
    head,
    json_answer,
    line,
    raw_server,
)

RECIPE = load_recipe("builtin", Path())
MODEL = ModelSpec("reader:8b", parameter_size="8B", context_length=8192, scripted=True)
VECTORS = ModelSpec("vectors", capabilities=("embedding",), context_length=2048)
TEXT = "Invoice number: GT-2041\nInvoice date: 2024-03-05\nTotal: 1,250.00 USD\n"
PAGE = "<html><body>Bad Gateway</body></html>"
LISTED = {
    "name": "tiny:latest",
    "details": {"parameter_size": "7.6B", "context_length": 32768},
    "capabilities": ["completion"],
}
DONE = {"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop"}
SERVER, OF_MODEL, CALL = Scope.SERVER, Scope.MODEL, Scope.CALL


@pytest.fixture(scope="module")
def running_double() -> Iterator[OllamaDouble]:
    with OllamaDouble((MODEL, VECTORS)) as running:
        yield running


@pytest.fixture
def double(running_double: OllamaDouble) -> OllamaDouble:
    running_double.clear()
    return running_double


@pytest.fixture
def client(double: OllamaDouble) -> Iterator[OllamaClient]:
    """One that is patient only once a reply has begun or is loading."""
    with closing(OllamaClient(double.url, silence_seconds=30, load_seconds=30)) as opened:
        yield opened


Reading = Callable[..., UnitResult]


def document(number: int) -> DocumentText:
    return DocumentText(name="d", pages=(PageText(number=1, text=f"{TEXT}Reference: {number}"),))


def of_part(number: int) -> PartAnalysis:
    return PartAnalysis(title="A bill", summary=f"Part {number}.", first_page=1, last_page=1, characters=9)


MOMENTS = ("classify", "analyse", "part", "merge")


@pytest.fixture(params=["classify"])
def moment(request: pytest.FixtureRequest, settings: Settings) -> Reading:
    """Reads a document, at one of the moments in which a model is asked."""
    numbers = count()

    def reading(client: ChatClient, should_stop: Callable[[], bool] = lambda: False) -> UnitResult:
        number = next(numbers)
        part = {"part": 1, "parts": 2} if request.param == "part" else {}
        llm = LlmParams(model=MODEL.name, num_ctx=4096, on_cpu=True, **part)
        given = ReadPayload(
            recipe=RECIPE,
            document=document(number),
            parts=(of_part(1), of_part(number)) if request.param == "merge" else (),
            characters=18,
            fence_key="00",
        )
        order = Order(
            home="h",
            unit=1,
            issue=1,
            document="d",
            stage=Stage.CLASSIFY if request.param == "classify" else Stage.ANALYSE,
            params=ReadParams(engine="ollama", category="invoice", llm=llm).model_dump(mode="json"),
            model=MODEL.name,
        )
        payload = [given.model_dump_json().encode()]
        return read(order, payload, settings, lambda _: None, should_stop, client)

    return reading


def failure_of(reading: Reading, client: ChatClient) -> Failure:
    with pytest.raises(UnitFailedError) as failed:
        reading(client)
    assert failed.value.calls, "the call is on record"
    return failed.value.failure


def raw(text: str) -> Fault:
    return Fault(FaultKind.RAW, times=-1, after=2, text=text)


def status(code: int, text: str, **more: Any) -> Fault:
    return Fault(FaultKind.STATUS, times=-1, status=code, text=text, **more)


def internal(text: str) -> Fault:
    return Fault(FaultKind.INTERNAL, times=-1, text=text)


SERVERS = [
    (Fault(FaultKind.BUSY, times=-1), SERVER, "server busy"),
    (status(503, '{"error": "busy"}', seconds=3), SERVER, "busy"),
    (status(429, '{"error": "slow down"}'), SERVER, "slow down"),
    (status(401, '{"error": "unauthorized"}'), SERVER, "unauthorized"),
    (status(401, '{"error": "unauthorized"}', path="/api/tags"), SERVER, "unauthorized"),
    (status(407, PAGE), SERVER, "HTTP 407"),
    (status(403, PAGE), SERVER, "a web page in place of /api/chat"),
    (status(404, PAGE), SERVER, "a web page in place of /api/chat"),
    (status(502, PAGE), SERVER, "Bad Gateway"),
    (status(200, PAGE), SERVER, "a web page in place of /api/chat"),
    (status(200, PAGE, path="/api/tags"), SERVER, "a web page in place of /api/tags"),
    (status(302, ""), SERVER, "sends us elsewhere"),
    (Fault(FaultKind.CLOSED, times=-1, path="/api/tags"), SERVER, "does not answer"),
    (Fault(FaultKind.CLOSED, times=-1), CALL, "does not answer"),
    (Fault(FaultKind.SERVER_KILLED, times=-1, after=2), CALL, "ended in the middle of a reply"),
    (Fault(FaultKind.RUNNER_KILLED, times=-1, after=2), CALL, "unexpected EOF"),
    (Fault(FaultKind.HALF_LINE, times=-1, after=2), CALL, "ended in the middle of a reply"),
    (Fault(FaultKind.STREAM_ENDS, times=-1, after=2), CALL, "nothing behind it"),
    (Fault(FaultKind.DONE_REASON, times=-1, text="load"), CALL, "'load'"),
    (Fault(FaultKind.DONE_REASON, times=-1, text="unload"), CALL, "'unload'"),
    (Fault(FaultKind.NO_LINE_END, times=-1, after=2), CALL, "a line of more than 16 MB"),
    (Fault(FaultKind.ENDLESS, times=-1, after=2, text="word "), CALL, "a reply without end"),
    (raw('{"error": "something new"}'), CALL, "something new"),
    (raw("\udcff\udcfe\x00"), CALL, "something else than Ollama"),
    (raw(PAGE), CALL, "something else than Ollama"),
    (internal("CUDA error: out of memory"), CALL, "Free memory on the server"),
    (internal("llama runner process has terminated: exit status 2"), CALL, "has terminated"),
    (internal("model requires more system memory (9 GiB)"), OF_MODEL, "smaller model"),
    (internal("unable to load model: /models/sha256-1"), OF_MODEL, "unable to load"),
]


def spread(faults: list[Any], first: int = 0) -> list[Any]:
    """Each fault at one of the moments, so that each moment has some of every kind."""
    moments = cycle(MOMENTS[first:] + MOMENTS[:first])
    with_moments = zip(faults, moments, strict=False)
    return [pytest.param(moment, *each, id=f"{each[0].kind}-{moment}") for each, moment in with_moments]


@pytest.mark.parametrize(("moment", "fault", "scope", "words"), spread(SERVERS), indirect=["moment"])
def test_a_fault_of_the_server_costs_the_document_nothing(
    double: OllamaDouble, client: OllamaClient, moment: Reading, fault: Fault, scope: Scope, words: str
) -> None:
    double.order(fault)
    failure = failure_of(moment, client)
    assert (failure.kind, failure.scope) == ("unavailable", scope)
    assert words in f"{failure.message} {failure.remedy}"
    assert failure.remedy
    assert failure.retry_seconds == fault.seconds
    double.clear()
    assert moment(client).result


MODELS = [
    (Fault(FaultKind.REPEAT_ABORT, times=-1), "repeated 'document' without end"),
    (Fault(FaultKind.REPEAT_ABORT, times=-1, text="\n "), "repeated blanks without end"),
    (Fault(FaultKind.EMPTY_STREAM, times=-1), "what is no text"),
    (Fault(FaultKind.LENGTH, times=-1), "was cut off after"),
    (Fault(FaultKind.WRONG_SCHEMA, times=-1), "not valid"),
    (Fault(FaultKind.INVALID_JSON, times=-1), "not valid"),
    (Fault(FaultKind.REPLY, times=-1, text='["invoice", 3]'), "not valid"),
    (Fault(FaultKind.REPLY, times=-1, text=""), "not valid"),
    (Fault(FaultKind.REPLY, times=-1, text="\x00\x1b[31m"), "not valid"),
]


@pytest.mark.parametrize(("moment", "fault", "words"), spread(MODELS), indirect=["moment"])
def test_a_fault_of_the_model_is_told_to_it_once(
    double: OllamaDouble, client: OllamaClient, moment: Reading, fault: Fault, words: str
) -> None:
    double.order(fault)
    before = len(double.calls("/api/chat"))
    failure = failure_of(moment, client)
    assert failure.kind == "reply"
    assert words in failure.message
    assert len(double.calls("/api/chat")) - before == 2
    double.clear()
    assert moment(client).result


@pytest.mark.parametrize(
    ("moment", "fault"),
    spread([(fault,) for fault, words in MODELS if "cut" not in words], 2),
    indirect=["moment"],
)
def test_a_model_that_mends_its_reply_is_believed(
    double: OllamaDouble, client: OllamaClient, moment: Reading, fault: Fault
) -> None:
    double.order(Fault(**{**vars(fault), "times": 1}))
    assert moment(client).result


@pytest.mark.parametrize(
    ("fault", "scope"),
    [
        (Fault(FaultKind.HANG, times=-1), CALL),
        (Fault(FaultKind.HANG, times=-1, path="*"), SERVER),
        (Fault(FaultKind.SILENCE, times=-1, seconds=60), CALL),
        (Fault(FaultKind.SILENCE, times=-1, seconds=60, after=2), CALL),
        (Fault(FaultKind.HALF_SILENCE, times=-1, after=2), CALL),
    ],
    ids=["chat hangs", "all hangs", "before the first byte", "in mid-stream", "in mid-line"],
)
@pytest.mark.parametrize("moment", ["merge"], indirect=True)
def test_silence_ends_and_can_be_cancelled(
    double: OllamaDouble,
    moment: Reading,
    fault: Fault,
    scope: Scope,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tasks.engines.llm.ollama_models.QUERY_SECONDS", 0.3)
    monkeypatch.setattr(wire, "SLICE_SECONDS", 0.05)
    double.order(fault)
    with closing(OllamaClient(double.url, silence_seconds=0.3, load_seconds=0.3)) as impatient:
        failure = failure_of(moment, impatient)
    assert (failure.kind, failure.scope) == ("unavailable", scope)
    assert "nothing came for 0.3 s" in failure.message

    patient = OllamaClient(double.url, silence_seconds=3600, load_seconds=3600)
    monkeypatch.setattr("tasks.engines.llm.ollama_models.QUERY_SECONDS", 3600)
    path = "/api/tags" if scope is SERVER else "/api/chat"
    before = len(double.calls(path))
    with closing(patient), pytest.raises(UnitFailedError) as cancelled:
        moment(patient, should_stop=lambda: len(double.calls(path)) > before)
    assert cancelled.value.failure.kind == "cancelled"


@pytest.mark.parametrize("moment", ["merge"], indirect=True)
def test_slow_tokens_are_waited_for(double: OllamaDouble, moment: Reading) -> None:
    """Longer in all than silence may last."""
    double.order(FaultKind.SLOW, seconds=0.02, times=-1)
    with closing(OllamaClient(double.url, silence_seconds=0.4, load_seconds=30)) as client:
        assert moment(client).result


@pytest.mark.parametrize(
    "fault", [fault for fault, scope, _ in SERVERS if scope is SERVER], ids=lambda f: f.kind
)
def test_texts_whose_vectors_are_not_made_are_not_to_blame(
    double: OllamaDouble, settings: Settings, fault: Fault
) -> None:
    double.order(Fault(**{**vars(fault), "path": fault.path or "/api/embed"}))
    payload = EmbedPayload(model="vectors", num_ctx=512, on_cpu=True, prefix="", chunks=(1,), texts=("a",))
    here = settings.model_copy(update={"ollama_host": double.url})
    found = embed_batch([payload.model_dump_json().encode()], here)
    assert EmbedResult.model_validate(found.result).is_servers
    double.clear()
    found = embed_batch([payload.model_dump_json().encode()], here)
    assert EmbedResult.model_validate(found.result).vectors


# ---------------------------------------------------------------- byte by byte


@pytest.fixture
def server() -> Iterator[RawServer]:
    with raw_server() as running:
        running.routes["/api/tags"] = json_answer({"models": [LISTED]})
        yield running


@pytest.fixture(params=["ollama", "openai"])
def either(request: pytest.FixtureRequest, server: RawServer) -> Iterator[ChatClient]:
    """A client of each protocol, for what must hold in both."""
    limits = {"silence_seconds": 30.0, "load_seconds": 30.0}
    with closing(
        OllamaClient(server.url, **limits)
        if request.param == "ollama"
        else OpenAiClient(server.url, None, **limits)
    ) as opened:
        yield opened


def said(client: ChatClient, content: str, *, escaped: bool = False) -> bytes:
    """A piece of a reply in the client's protocol, with characters as they are unless they are escaped."""
    if client.name == "ollama":
        piece: dict[str, Any] = {"message": {"role": "assistant", "content": content}, "done": False}
        return chunk(json.dumps(piece, ensure_ascii=escaped) + "\n")
    piece = {"choices": [{"delta": {"content": content}}]}
    return chunk(f"data: {json.dumps(piece, ensure_ascii=escaped)}\n\n")


def ended(client: ChatClient) -> bytes:
    """The end of a reply in the client's protocol."""
    if client.name == "ollama":
        return line(DONE) + END
    return event({"choices": [{"delta": {}, "finish_reason": "stop"}]}) + event("[DONE]") + END


def chat(client: ChatClient) -> str:
    messages = (Message(role="user", content="hi"),)
    request = ChatRequest(model="tiny", messages=messages, num_ctx=512, max_tokens=20, top_logprobs=2)
    reply = client.chat(request, lambda piece: print(piece.encode()), lambda: False)
    assert all(token.logprob <= 0 for token in reply.tokens)
    return reply.content


def refusal(client: ChatClient) -> LlmError:
    with pytest.raises(LlmError) as failed:
        chat(client)
    return failed.value


@pytest.mark.parametrize("character", ["\u0085", "\u2028", "\u2029", "\u001e", "\x00"])
def test_a_character_that_ends_a_line_elsewhere_ends_none_here(
    server: RawServer, either: ChatClient, character: str
) -> None:
    text = f"one{character}two"
    server.scripts = [lambda c: c.send(head(), said(either, text), ended(either))]
    assert chat(either) == text


def test_half_a_character_does_not_get_on(server: RawServer, either: ChatClient) -> None:
    server.scripts = [lambda c: c.send(head(), said(either, "one\ud800", escaped=True), ended(either))]
    if either.name == "ollama":
        assert chat(either) == "one\ufffd"
    else:  # its parser takes none
        assert refusal(either).kind is LlmErrorKind.UNAVAILABLE


def test_a_probability_that_is_no_number_counts_as_none(server: RawServer, either: ChatClient) -> None:
    token = '{"token": "a", "logprob": NaN, "top_logprobs": [{"token": "a", "logprob": -Infinity}]}'
    of_ollama = (
        f'{{"message": {{"role": "assistant", "content": "a"}}, "logprobs": [{token}], "done": false}}'
    )
    choice = f'{{"delta": {{"content": "a"}}, "logprobs": {{"content": [{token}]}}}}'
    of_openai = f'data: {{"choices": [{choice}]}}\n'
    piece = (of_ollama if either.name == "ollama" else of_openai) + "\n"
    server.scripts = [lambda c: c.send(head(), chunk(piece), ended(either))]
    assert chat(either) == "a"


def endless(*beginning: bytes, piece: bytes = b"x" * 1_000_000) -> Callable[[Connection], None]:
    """Goes on until the client leaves."""

    def script(connection: Connection) -> None:
        connection.send(head(), *beginning)
        while connection.send(chunk(piece)):
            pass

    return script


def test_an_answer_without_end_takes_no_memory(server: RawServer, either: ChatClient) -> None:
    before = psutil.Process(os.getpid()).memory_info().rss
    server.scripts = [endless(said(either, "a"))]
    assert "a line of more than 16 MB" in refusal(either).message
    server.routes["/api/tags"] = server.routes["/v1/models"] = endless()
    with pytest.raises(LlmError) as listing:
        either.models()
    assert listing.value.scope is SERVER
    taken = psutil.Process(os.getpid()).memory_info().rss - before
    assert taken < 10 * MOST_LINE_BYTES


def test_lines_are_whole_whatever_they_come_in_and_all_of_them_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = "a\u2028b\nc\u0085\n".encode()
    pieces = [text[i : i + 1] for i in range(len(text))]
    assert b"".join(whole_lines(pieces, ValueError)) == b"a\\u2028b\nc\\u0085\n"
    monkeypatch.setattr("tasks.engines.llm.lines.MOST_BYTES", 2 << 20)
    with pytest.raises(ValueError, match="more than 2 MB"):
        for _ in whole_lines((b"x" * 999_999 + b"\n" for _ in range(4)), ValueError):
            pass


def test_nothing_is_taken_compressed(server: RawServer, either: ChatClient) -> None:
    import gzip

    bomb = gzip.compress(b" " * 5_000_000)
    kind = "application/x-ndjson"
    server.scripts = [lambda c: c.send(head("200 OK", kind, "Content-Encoding: gzip"), chunk(bomb), END)]
    refusal(either)
    assert server.requests[-1].headers["accept-encoding"] == "identity"


def test_signs_of_life_are_no_reply(server: RawServer, either: ChatClient) -> None:
    """A connection that is kept alive without a piece is given up too."""
    url = server.url
    server.scripts = [endless(said(either, "a"), piece=b":\n" if either.name == "openai" else b"\n")]
    kind = OllamaClient if either.name == "ollama" else lambda url, **more: OpenAiClient(url, None, **more)
    with closing(kind(url, silence_seconds=0.2, load_seconds=0.4)) as client:
        error = refusal(client)
    assert error.kind is LlmErrorKind.UNAVAILABLE


def test_an_error_whose_text_never_comes_is_one_all_the_same(
    server: RawServer, either: ChatClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "ERROR_SECONDS", 0.1)

    def script(connection: Connection) -> None:
        connection.send(head("500 Internal Server Error"))
        connection.until_client_closes()

    server.scripts = [script]
    assert "HTTP 500" in refusal(either).message


def test_a_name_that_is_none_is_a_server_that_is_away() -> None:
    for url in ("http://no-such-host.invalid:1", f"http://{'x' * 70}.example:1"):
        with closing(OllamaClient(url, silence_seconds=1, load_seconds=1)) as client:
            error = refusal(client)
        assert (error.kind, error.scope) == (LlmErrorKind.UNAVAILABLE, SERVER)


@pytest.mark.parametrize("size", ["9" * 400 + "B", "1.2.3B", ""])
def test_whatever_a_server_lists_it_is_looked_at_again(
    server: RawServer, settings: Settings, size: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.model_watch._SECONDS", 0.02)
    details = {"parameter_size": size, "context_length": 5}
    server.routes["/api/tags"] = json_answer({"models": [{**LISTED, "details": details}]})
    server.routes["/api/ps"] = json_answer({"models": []})
    server.routes["/api/show"] = json_answer({"details": details})
    leaving = threading.Event()
    watch = ModelWatch(settings.model_copy(update={"ollama_host": server.url, "engine": "ollama"}), leaving)
    deadline = time.monotonic() + 10
    while len(server.to("/api/tags")) < 3:
        assert time.monotonic() < deadline, "the watch has ended"
        time.sleep(0.01)
    leaving.set()
    assert [model.parameters for model in watch.seen.models] == [0]
