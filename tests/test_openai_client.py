"""The chat client for vLLM, llama.cpp and LM Studio: their protocol in all its dialects, and its failures."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from pydantic import SecretStr

from tasks.engines.llm.addresses import openai_url, shown
from tasks.engines.llm.base import Alternative, ChatReply, ChatRequest, LlmError, LlmErrorKind, Message
from tasks.engines.llm.openai_client import OpenAiClient
from tasks.errors import ConfigError
from tests.raw_server import (
    END,
    Connection,
    RawServer,
    answer,
    chunk,
    event,
    head,
    json_answer,
    raw_server,
)

SCHEMA = {"type": "object", "properties": {"category": {"enum": ["invoice", "letter"]}}}
EVENTS = "text/event-stream"
KEY = "sk-very-secret"
CHAT = "/v1/chat/completions"


def delta(content: str | None = None, finish_reason: str | None = None, **more: Any) -> bytes:
    """An event with a piece of the reply."""
    choice = {"index": 0, "delta": {"content": content} | more, "finish_reason": finish_reason}
    return event({"object": "chat.completion.chunk", "choices": [choice]})


STOP, DONE = delta(finish_reason="stop"), event("[DONE]")


@pytest.fixture
def server() -> Iterator[RawServer]:
    """A server without any route."""
    with raw_server() as running:
        yield running


@pytest.fixture
def client(server: RawServer) -> Iterator[OpenAiClient]:
    """A patient client of the server with a key."""
    with closing(OpenAiClient(server.url, SecretStr(KEY), silence_seconds=30, load_seconds=30)) as opened:
        yield opened


def chat(
    client: OpenAiClient,
    on_text: Callable[[str], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
    **changes: Any,
) -> ChatReply:
    """Chat, and throw the pieces away."""
    values: dict[str, Any] = {
        "model": "tiny",
        "messages": (Message(role="system", content="Read."), Message(role="user", content="Rechnung")),
        "num_ctx": 4096,
        "max_tokens": 200,
    }
    return client.chat(ChatRequest(**values | changes), on_text, should_stop)


def failure(client: OpenAiClient, **arguments: Any) -> LlmError:
    """The error of a chat."""
    with pytest.raises(LlmError) as caught:
        chat(client, **arguments)
    return caught.value


def test_a_request_holds_the_reply_to_the_schema(server: RawServer, client: OpenAiClient) -> None:
    server.scripts = [answer(delta("ok"), STOP, DONE, kind=EVENTS)]

    chat(client, reply_schema=SCHEMA, top_logprobs=5)

    (sent,) = server.to(CHAT)
    assert sent.headers["authorization"] == f"Bearer {KEY}"
    assert sent.body == {
        "model": "tiny",
        "messages": [{"role": "system", "content": "Read."}, {"role": "user", "content": "Rechnung"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 200,
        "temperature": 0,
        "seed": 42,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "reply", "strict": True, "schema": SCHEMA},
        },
        "logprobs": True,
        "top_logprobs": 5,
    }


def test_pieces_counts_and_tokens_are_read(server: RawServer, client: OpenAiClient) -> None:
    logprobs = {
        "content": [
            {
                "token": "in",
                "logprob": -0.5,
                "top_logprobs": [{"token": "in", "logprob": -0.5}, {"token": "le", "logprob": None}],
            }
        ]
    }
    first = {"choices": [{"delta": {"role": "assistant", "content": "in"}, "logprobs": logprobs}]}
    usage = {"prompt_tokens": 70, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 64}}
    server.scripts = [
        answer(
            chunk(": ping\n\n"),
            event(first),
            delta("voice"),
            STOP,
            event({"choices": [], "usage": usage}),
            DONE,
            kind=EVENTS,
        )
    ]
    pieces: list[str] = []

    reply = chat(client, on_text=pieces.append)

    assert pieces == ["in", "voice"]
    assert (reply.content, reply.done_reason) == ("invoice", "stop")
    assert (reply.prompt_tokens, reply.cached_tokens, reply.reply_tokens) == (70, 64, 2)
    assert reply.tokens[0].alternatives == (
        Alternative(token="in", logprob=-0.5),
        Alternative(token="le", logprob=-9999.0),
    )


def test_the_counts_of_llama_cpp_are_read(server: RawServer, client: OpenAiClient) -> None:
    timings = {"cache_n": 60, "prompt_n": 10, "prompt_ms": 250.0, "predicted_n": 3}
    server.scripts = [answer(delta("x"), STOP, event({"choices": [], "timings": timings}), DONE)]

    reply = chat(client)

    assert (reply.prompt_tokens, reply.cached_tokens, reply.reply_tokens) == (70, 60, 3)
    assert reply.prompt_seconds == 0.25


def test_a_server_that_does_not_count_leaves_it_open(server: RawServer, client: OpenAiClient) -> None:
    server.scripts = [answer(delta("x"), delta(finish_reason="length"), DONE, kind=EVENTS)]

    reply = chat(client)

    assert (reply.prompt_tokens, reply.cached_tokens, reply.done_reason) == (0, None, "length")


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_thinking_is_kept_apart(server: RawServer, client: OpenAiClient, field: str) -> None:
    server.scripts = [
        answer(delta(**{field: "hm"}), delta("```json\n"), delta('{"a":1}\n```'), STOP, DONE, kind=EVENTS)
    ]

    reply = chat(client, reply_schema=SCHEMA)

    assert (reply.content, reply.thinking) == ('{"a":1}', "hm")


@pytest.mark.parametrize(
    ("events", "kind"),
    [
        ([END], "bad reply"),
        ([delta("a"), END], "unavailable"),
        ([delta("a"), DONE, END], "unavailable"),
        ([delta("a")], "unavailable"),
        ([delta("a"), event("{half"), END], "unavailable"),
        ([delta("a"), event("[]"), END], "unavailable"),
        ([delta("a"), delta(finish_reason="content_filter"), DONE, END], "refused"),
        ([delta("a"), delta(finish_reason="abort"), DONE, END], "unavailable"),
        ([*[delta("no ")] * 40, END], "bad reply"),
        ([delta("a"), event({"error": {"message": "boom", "code": 500}}), END], "unavailable"),
        ([delta("a"), event({"error": {"message": "boom"}}), END], "unavailable"),
        ([delta("a"), event({"error": "CUDA out of memory"}), END], "unavailable"),
        ([event({"object": "error", "message": "EngineCore died", "code": 500}), END], "unavailable"),
        ([chunk('error: {"code": 400, "message": "invalid grammar"}\n\n'), END], "refused"),
        (
            [event({"error": {"code": 400, "type": "exceed_context_size_error", "message": "long"}}), END],
            "overflow",
        ),
    ],
)
def test_a_stream_that_goes_wrong_is_no_reply(
    server: RawServer, client: OpenAiClient, events: list[bytes], kind: str
) -> None:
    server.scripts = [lambda connection: connection.send(head("200 OK", EVENTS), *events)]

    assert failure(client).kind == kind


@pytest.mark.parametrize(
    "after", [b"", event({"error": "late"}), DONE], ids=["cut", "error", "done without usage"]
)
def test_a_reply_is_whole_once_it_says_why_it_ended(
    server: RawServer, client: OpenAiClient, after: bytes
) -> None:
    server.scripts = [lambda connection: connection.send(head("200 OK", EVENTS), delta("ok"), STOP, after)]

    assert chat(client).content == "ok"


VLLM = (
    "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens "
    "(4800 in the messages, 200 in the completion). Please reduce the length of the messages."
)
VLLM_NEW = (
    "This model's maximum context length is 4096 tokens. However, your request has 4800 input tokens. "
    "Please reduce the length of the input messages."
)
LM_STUDIO = (
    "Trying to keep the first 4800 tokens when context the overflows. However, the model is loaded with "
    "context length of only 4096 tokens, which is not enough."
)
LLAMA_CPP = {
    "code": 400,
    "message": "request (4800 tokens) exceeds the available context size (4096 tokens)",
    "type": "exceed_context_size_error",
    "n_prompt_tokens": 4800,
    "n_ctx": 4096,
}


@pytest.mark.parametrize(
    "body",
    [
        {"object": "error", "message": VLLM, "type": "BadRequestError", "code": 400},
        {"error": {"message": VLLM_NEW, "type": "BadRequestError", "code": 400}},
        {"error": LM_STUDIO},
        {"error": "Cannot truncate prompt with n_keep (4800) >= n_ctx (4096)"},
        {"error": LLAMA_CPP},
    ],
    ids=["vllm", "newer vllm", "lm studio", "newer lm studio", "llama.cpp"],
)
def test_an_overflow_is_known_in_every_dialect(server: RawServer, client: OpenAiClient, body: object) -> None:
    server.scripts = [json_answer(body, "400 Bad Request")]

    error = failure(client)

    assert (error.kind, error.prompt_tokens, error.context_tokens) == (LlmErrorKind.OVERFLOW, 4800, 4096)


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (401, {"error": {"message": f"Incorrect API key provided: {KEY}"}}, "unavailable", "API key in the"),
        (400, {"error": {"message": "bad response_format"}}, "refused", "bad response_format"),
        (404, {"error": {"message": "The model `tiny` does not exist."}}, "no model", "Load 'tiny'"),
        (404, {"detail": "Not Found"}, "unavailable", "there is no /v1/chat/completions"),
        (429, {"error": {"message": "slow down"}}, "unavailable", "again later"),
        (503, {"error": {"message": "Loading model", "code": 503}}, "unavailable", "again later"),
        (500, {"error": {"message": "boom"}}, "unavailable", "boom"),
        (302, "", "unavailable", "elsewhere"),
    ],
)
def test_an_error_status_says_what_to_do(
    server: RawServer, client: OpenAiClient, status: int, body: object, kind: str, words: str
) -> None:
    server.scripts = [json_answer(body, f"{status} Whatever\r\nLocation: http://example.com/")]

    error = failure(client)

    assert error.kind == kind
    assert words in str(error)
    assert KEY not in str(error)


def test_cancelling_closes_the_connection(server: RawServer, client: OpenAiClient) -> None:
    closed = threading.Event()

    def script(connection: Connection) -> None:
        connection.send(head("200 OK", EVENTS), delta("never "))
        connection.until_client_closes()
        closed.set()

    server.scripts = [script]
    pieces: list[str] = []

    error = failure(client, on_text=pieces.append, should_stop=lambda: bool(pieces))

    assert error.kind is LlmErrorKind.CANCELLED
    assert closed.wait(10)


def test_signs_of_life_without_a_piece_are_still_loading(server: RawServer) -> None:
    def script(connection: Connection) -> None:
        connection.send(head("200 OK", EVENTS), delta(None, role="assistant"))
        pace = threading.Event()
        while connection.send(chunk(": ping\n\n")):
            pace.wait(0.02)

    server.scripts = [script]
    with closing(OpenAiClient(server.url, None, silence_seconds=60, load_seconds=0.5)) as client:
        error = failure(client)

    assert error.kind is LlmErrorKind.UNAVAILABLE
    assert "did not begin to reply" in error.message


def test_a_dead_connection_is_tried_once_more(server: RawServer, client: OpenAiClient) -> None:
    server.scripts = [lambda _: None, answer(delta("ok"), STOP, DONE, kind=EVENTS)]

    assert chat(client).content == "ok"
    assert len(server.to(CHAT)) == 2


def test_models_are_listed_with_what_each_server_says(server: RawServer, client: OpenAiClient) -> None:
    server.routes["/v1/models"] = json_answer(
        {
            "data": [
                {"id": "llama", "meta": {"n_params": 213_312, "n_ctx": 1024, "n_ctx_train": 65536}},
                {"id": "vllm", "max_model_len": 32768},
                {"id": "lmstudio", "object": "model"},
            ]
        }
    )

    models = [(model.name, model.parameters, model.context_length) for model in client.models()]

    assert models == [("llama", 213_312, 1024), ("vllm", 0, 32768), ("lmstudio", 0, 0)]


def test_a_list_that_is_none_means_that_the_server_is_another(
    server: RawServer, client: OpenAiClient
) -> None:
    server.routes["/v1/models"] = json_answer("<html>hello</html>")

    with pytest.raises(LlmError) as caught:
        client.models()

    assert caught.value.kind is LlmErrorKind.UNAVAILABLE


def test_there_are_no_decision_models(server: RawServer, client: OpenAiClient) -> None:
    with pytest.raises(LlmError) as caught:
        client.choose("nimble", "text", "which?", {"a": ""}, "5m")

    assert caught.value.kind is LlmErrorKind.REFUSED
    assert server.requests == []


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("http://box:8000", "http://box:8000/v1"),
        ("box:8000/", "http://box:8000/v1"),
        ("https://box/api/v3/", "https://box/api/v3"),
        ("http://[::1]:1234/v1", "http://[::1]:1234/v1"),
    ],
)
def test_addresses_are_completed(base_url: str, url: str) -> None:
    assert openai_url(base_url) == url


def test_a_password_in_the_address_is_not_shown() -> None:
    assert shown(openai_url("http://me:hunter2@box:8000")) == "http://box:8000/v1"


@pytest.mark.parametrize(("base_url", "key"), [("", ""), ("ftp://x", ""), ("http://x", "two\nlines")])
def test_what_is_no_address_or_key_is_refused(base_url: str, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        OpenAiClient(base_url, SecretStr(key), silence_seconds=1, load_seconds=1)

    assert "two" not in str(caught.value)
