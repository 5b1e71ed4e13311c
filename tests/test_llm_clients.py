"""The chat client for Ollama: what it sends, how it reads, and how each thing that can go wrong ends."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tasks.engines.llm import wire
from tasks.engines.llm.addresses import is_public, ollama_url
from tasks.engines.llm.base import ChatReply, ChatRequest, LlmError, LlmErrorKind, Message
from tasks.engines.llm.ollama_client import OllamaClient
from tasks.engines.llm.ollama_models import Progress, parameters
from tasks.errors import ConfigError
from tests.raw_server import (
    END,
    Connection,
    RawServer,
    Script,
    answer,
    chunk,
    head,
    json_answer,
    line,
    raw_server,
    recorded,
)

SCHEMA = {"type": "object", "properties": {"category": {"enum": ["invoice", "letter"]}}}
DONE = {
    "message": {"role": "assistant", "content": ""},
    "done": True,
    "done_reason": "stop",
    "load_duration": 2_000_000_000,
    "prompt_eval_count": 67,
    "prompt_eval_duration": 500_000_000,
    "eval_count": 3,
}
COMPLETE = {"parameter_size": "7.6B", "context_length": 32768}


def request(**changes: Any) -> ChatRequest:
    """A chat with the model `tiny`."""
    values: dict[str, Any] = {
        "model": "tiny",
        "messages": (Message(role="system", content="Read."), Message(role="user", content="Rechnung 12 €")),
        "num_ctx": 4096,
        "max_tokens": 200,
    }
    return ChatRequest(**values | changes)


def said(content: str, **message: str) -> dict[str, Any]:
    """A piece of a reply."""
    return {"message": {"role": "assistant", "content": content} | message, "done": False}


def tag(name: str = "tiny:latest", **changes: Any) -> dict[str, Any]:
    """An entry of /api/tags."""
    return {"name": name, "details": COMPLETE, "capabilities": ["completion"]} | changes


@pytest.fixture
def server() -> Iterator[RawServer]:
    """A server that lists the model `tiny`."""
    with raw_server() as running:
        running.routes["/api/tags"] = json_answer({"models": [tag()]})
        yield running


@pytest.fixture
def client(server: RawServer) -> Iterator[OllamaClient]:
    """A patient client of the server."""
    with closing(OllamaClient(server.url, silence_seconds=30, load_seconds=30)) as opened:
        yield opened


def chat(
    client: OllamaClient,
    on_text: Callable[[str], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
    **changes: Any,
) -> ChatReply:
    """Chat, and throw the pieces away."""
    return client.chat(request(**changes), on_text, should_stop)


def failure(client: OllamaClient, **arguments: Any) -> LlmError:
    """The error of a chat."""
    with pytest.raises(LlmError) as caught:
        chat(client, **arguments)
    return caught.value


def test_a_request_says_all_that_counts_and_forbids_silent_cuts(
    server: RawServer, client: OllamaClient
) -> None:
    server.scripts = [answer(line(DONE))]

    chat(client, reply_schema=SCHEMA, top_logprobs=5, on_cpu=True, num_thread=3, keep_alive="7m")

    body = server.to("/api/chat")[0].body
    assert body == {
        "model": "tiny",
        "messages": [
            {"role": "system", "content": "Read."},
            {"role": "user", "content": "Rechnung 12 €"},
        ],
        "stream": True,
        "format": SCHEMA,
        "options": {
            "num_ctx": 4096,
            "num_predict": 200,
            "temperature": 0,
            "seed": 42,
            "num_thread": 3,
            "num_gpu": 0,
        },
        "logprobs": True,
        "top_logprobs": 5,
        "keep_alive": "7m",
        "tools": [],
        "truncate": False,
        "shift": False,
    }


def test_nothing_is_sent_that_was_not_asked_for(server: RawServer, client: OllamaClient) -> None:
    server.scripts = [answer(line(DONE))]

    chat(client)

    body = server.to("/api/chat")[0].body
    assert not {"format", "logprobs", "top_logprobs", "think"} & set(body)
    assert not {"num_gpu", "num_thread"} & set(body["options"])


def test_pieces_are_passed_on_and_counts_are_in_seconds(server: RawServer, client: OllamaClient) -> None:
    server.scripts = [answer(line(said("in")), line(said("voice")), line(DONE))]
    pieces: list[str] = []

    reply = chat(client, on_text=pieces.append)

    assert pieces == ["in", "voice"]
    assert reply == ChatReply(
        content="invoice",
        done_reason="stop",
        prompt_tokens=67,
        reply_tokens=3,
        load_seconds=2.0,
        prompt_seconds=0.5,
    )


def test_tokens_come_with_their_alternatives(server: RawServer, client: OllamaClient) -> None:
    server.scripts = [recorded("05-chat-tiny-ct-format-stream-logprobs.txt")]

    reply = chat(client, reply_schema=SCHEMA, top_logprobs=5)

    assert "".join(token.token for token in reply.tokens).startswith(reply.content[:10])
    assert all(len(token.alternatives) == 5 for token in reply.tokens)
    assert reply.tokens[0].token == "{"
    assert reply.tokens[0].logprob == pytest.approx(-5.7049, abs=1e-4)
    assert reply.tokens[0].alternatives[0].token == "ing"


def test_a_model_that_can_think_is_told_not_to(server: RawServer, client: OllamaClient) -> None:
    server.routes["/api/tags"] = json_answer({"models": [tag(capabilities=["completion", "thinking"])]})
    server.scripts = [answer(line(said("", thinking="hm")), line(said("ok")), line(DONE))]

    reply = chat(client)

    assert server.to("/api/chat")[0].body["think"] is False
    assert (reply.content, reply.thinking) == ("ok", "hm")


@pytest.mark.parametrize(
    ("content", "thinking", "expected"),
    [
        ('{"a":1}', "{}", ('{"a":1}', "{}")),
        ("", '{"a":1}', ('{"a":1}', "")),
        ("Sure!", '```json\n{"a":1}\n```', ('{"a":1}', "Sure!")),
        ('```json\n{"a":1}\n```', "", ('{"a":1}', "")),
        ('```json\n{"a":', "let me see", ('{"a":', "let me see")),
    ],
)
def test_json_is_taken_from_where_it_is(
    server: RawServer, client: OllamaClient, content: str, thinking: str, expected: tuple[str, str]
) -> None:
    server.scripts = [answer(line(said(content, thinking=thinking)), line(DONE))] * 2

    reply = chat(client, reply_schema=SCHEMA)
    as_it_came = chat(client)

    assert (reply.content, reply.thinking) == expected
    assert (as_it_came.content, as_it_came.thinking) == (content, thinking)


@pytest.mark.parametrize(
    ("pieces", "kind"),
    [
        ([line(said("a")), chunk('{"model":"tiny","mess'), END], LlmErrorKind.UNAVAILABLE),
        ([line(said("a")), chunk("<html>busy</html>\n"), END], LlmErrorKind.UNAVAILABLE),
        ([line(said("a")), line([1]), END], LlmErrorKind.UNAVAILABLE),
        ([line(said("a")), line({"done": True}), END], LlmErrorKind.UNAVAILABLE),
        ([chunk(b"\xff\xfe\x00\n"), END], LlmErrorKind.UNAVAILABLE),
        ([chunk("[" * 100_000 + "\n"), END], LlmErrorKind.UNAVAILABLE),
        ([line(DONE | {"done_reason": "unload"}), END], LlmErrorKind.UNAVAILABLE),
        ([line({"error": {"odd": "shape"}}), END], LlmErrorKind.UNAVAILABLE),
        ([line({"error": "CUDA error: out of memory"}), END], LlmErrorKind.UNAVAILABLE),
        ([line(said("a")), chunk('{"model":"ti')], LlmErrorKind.UNAVAILABLE),
        ([line(said("a")), b"5\r\n{"], LlmErrorKind.UNAVAILABLE),
    ],
)
def test_a_stream_that_goes_wrong_is_no_reply(
    server: RawServer, client: OllamaClient, pieces: list[bytes], kind: LlmErrorKind
) -> None:
    server.scripts = [lambda connection: connection.send(head(), *pieces)]

    assert failure(client).kind is kind


def test_a_reply_is_whole_once_it_says_so(server: RawServer, client: OllamaClient) -> None:
    server.scripts = [lambda connection: connection.send(head(), line(said("ok")), line(DONE), b"zz")]

    assert chat(client).content == "ok"


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (500, {"error": "model requires more system memory (9 GiB)"}, "unavailable", "smaller model"),
        (500, {"error": "something new"}, "unavailable", "something new"),
        (502, "<html>Bad Gateway</html>", "unavailable", "Bad Gateway"),
        (503, '"quoted"', "unavailable", "quoted"),
        (404, {"error": "model 'tiny' not found"}, "no model", "ollama pull tiny"),
        (404, "404 page not found", "unavailable", "there is no /api/chat"),
        (401, {"error": "unauthorized"}, "unavailable", "API key"),
        (403, {"error": "ollama cloud is disabled"}, "refused", "runs on this server"),
        (501, {"error": "this model does not chat"}, "refused", "does not chat"),
        (400, {"error": "x" * 5000}, "refused", "xxx..."),
        (400, "[" * 100_000, "refused", "[[[..."),
        (307, "", "unavailable", "elsewhere"),
    ],
)
def test_an_error_status_says_what_to_do(
    server: RawServer, client: OllamaClient, status: int, body: object, kind: str, words: str
) -> None:
    server.scripts = [json_answer(body, f"{status} Whatever\r\nLocation: http://example.com/")]

    error = failure(client)

    assert error.kind == kind
    assert words in str(error)
    assert server.url in error.message
    assert len(str(error)) < 600


def test_an_overflow_tells_the_numbers_of_tokens(server: RawServer, client: OllamaClient) -> None:
    server.scripts = [recorded("13-tiny-ct-overflow-truncfalse-stream.txt")]

    error = failure(client)

    assert (error.kind, error.prompt_tokens, error.context_tokens) == (LlmErrorKind.OVERFLOW, 3879, 256)


def test_cancelling_in_mid_reply_closes_the_connection(server: RawServer, client: OllamaClient) -> None:
    closed = threading.Event()

    def script(connection: Connection) -> None:
        connection.send(head(), line(said("never ")))
        connection.until_client_closes()
        closed.set()

    server.scripts = [script]
    pieces: list[str] = []

    error = failure(client, on_text=pieces.append, should_stop=lambda: bool(pieces))

    assert error.kind is LlmErrorKind.CANCELLED
    assert closed.wait(10)


def test_cancelling_works_between_pieces_that_came_at_once(server: RawServer, client: OllamaClient) -> None:
    server.scripts = [answer(line(said("one")) + line(said("two")) + line(DONE))]
    pieces: list[str] = []

    error = failure(client, on_text=pieces.append, should_stop=lambda: bool(pieces))

    assert error.kind is LlmErrorKind.CANCELLED
    assert pieces == ["one"]


def test_cancelling_before_the_first_byte_closes_the_connection(
    server: RawServer, client: OllamaClient
) -> None:
    asked, closed = threading.Event(), threading.Event()

    def script(connection: Connection) -> None:
        asked.set()
        connection.until_client_closes()
        closed.set()

    server.scripts = [script]

    assert failure(client, should_stop=asked.is_set).kind is LlmErrorKind.CANCELLED
    assert closed.wait(10)


def test_any_error_of_the_caller_closes_the_connection(server: RawServer, client: OllamaClient) -> None:
    closed = threading.Event()

    def script(connection: Connection) -> None:
        connection.send(head(), line(said("piece")))
        connection.until_client_closes()
        closed.set()

    def on_text(_: str) -> None:
        raise ValueError("the caller's own")

    server.scripts = [script]

    with pytest.raises(ValueError, match="the caller's own"):
        chat(client, on_text=on_text)
    assert closed.wait(10)


def test_silence_in_mid_reply_is_a_failure(server: RawServer) -> None:
    def script(connection: Connection) -> None:
        connection.send(head(), line(said("and then")))
        connection.until_client_closes()

    server.scripts = [script]
    with closing(OllamaClient(server.url, silence_seconds=0.1, load_seconds=60)) as client:
        error = failure(client)

    assert error.kind is LlmErrorKind.UNAVAILABLE
    assert "in the middle of a reply: nothing came for 0.1 s" in error.message


def test_loading_has_a_limit_of_its_own(server: RawServer) -> None:
    server.scripts = [Connection.until_client_closes]
    with closing(OllamaClient(server.url, silence_seconds=60, load_seconds=0.1)) as client:
        error = failure(client)

    assert error.kind is LlmErrorKind.UNAVAILABLE
    assert "did not begin to reply" in error.message


def test_loading_may_take_longer_than_silence(server: RawServer) -> None:
    asked_often = threading.Event()
    asked = 0

    def should_stop() -> bool:
        nonlocal asked
        asked += bool(server.to("/api/chat"))
        if asked == 4:  # three slices of waiting are over: far more than the silence allowed
            asked_often.set()
        return False

    def script(connection: Connection) -> None:
        asked_often.wait(30)
        connection.send(head(), line(said("ok")), line(DONE), END)

    server.scripts = [script]
    with closing(OllamaClient(server.url, silence_seconds=0.2, load_seconds=60)) as client:
        assert chat(client, should_stop=should_stop).content == "ok"


def test_a_dead_connection_is_tried_once_more(server: RawServer, client: OllamaClient) -> None:
    server.scripts = [lambda _: None, answer(line(said("ok")), line(DONE))]

    assert chat(client).content == "ok"
    assert len(server.to("/api/chat")) == 2


def test_a_dead_connection_is_not_tried_a_third_time(server: RawServer, client: OllamaClient) -> None:
    server.scripts = [lambda _: None] * 3

    assert failure(client).kind is LlmErrorKind.UNAVAILABLE
    # One is seen where the end of the connection before it came late: then that was the first dead one.
    assert len(server.to("/api/chat")) in {1, 2}


def test_a_reply_that_had_begun_is_not_asked_for_again(server: RawServer, client: OllamaClient) -> None:
    server.scripts = [lambda connection: connection.send(b"HTTP/1.1 200 OK\r\nContent-")] * 2

    assert failure(client).kind is LlmErrorKind.UNAVAILABLE
    assert len(server.to("/api/chat")) == 1


def test_a_server_that_is_away_says_where_and_what_to_do() -> None:
    with raw_server() as gone:
        url = gone.url
    with closing(OllamaClient(url, silence_seconds=5, load_seconds=5)) as client:
        error = failure(client)
        with pytest.raises(LlmError) as listing:
            client.models()

    assert error.kind is listing.value.kind is LlmErrorKind.UNAVAILABLE
    assert url in error.message
    assert "ollama serve" in error.remedy


def test_another_service_on_the_port_is_no_ollama(server: RawServer, client: OllamaClient) -> None:
    server.routes["/api/tags"] = answer(chunk("<html>Router login</html>"), kind="text/html")

    with pytest.raises(LlmError) as listing:
        client.models()

    assert failure(client).kind is listing.value.kind is LlmErrorKind.UNAVAILABLE


def test_proxies_of_the_environment_are_not_used(
    server: RawServer, client: OllamaClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server.scripts = [answer(line(said("ok")), line(DONE))]

    assert chat(client).content == "ok"


def test_nothing_is_sent_to_the_open_internet_unless_allowed(
    server: RawServer, client: OllamaClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "is_public", lambda _: True)
    server.scripts = [answer(line(said("ok")), line(DONE))]

    error = failure(client)
    assert (error.kind, server.requests) == (LlmErrorKind.REFUSED, [])

    with closing(OllamaClient(server.url, silence_seconds=9, load_seconds=9, allow_remote=True)) as allowed:
        assert chat(allowed).content == "ok"


@pytest.mark.parametrize(
    ("tags", "model", "kind"),
    [
        ([tag(remote_host="https://ollama.com:443", remote_model="x")], "tiny", "refused"),
        ([tag("big:cloud")], "big:cloud", "refused"),
        ([tag()], "gpt-oss:120b-cloud", "refused"),
        ([tag()], "other", "no model"),
        (None, "tiny", "no model"),
    ],
)
def test_a_document_is_given_only_to_models_of_the_server_itself(
    server: RawServer, client: OllamaClient, tags: Any, model: str, kind: str
) -> None:
    server.routes["/api/tags"] = json_answer({"models": tags})
    server.scripts = [answer(line(said("ok")), line(DONE))]

    assert failure(client, model=model).kind == kind
    with pytest.raises(LlmError) as choosing:
        client.choose(model, "text", "which?", {"a": ""}, "5m")
    assert choosing.value.kind == kind
    assert {request.path for request in server.requests} == {"/api/tags"}

    with closing(OllamaClient(server.url, silence_seconds=9, load_seconds=9, allow_remote=True)) as allowed:
        assert chat(allowed, model=model).content == "ok"


def test_models_are_listed_as_the_server_reports_them(server: RawServer, client: OllamaClient) -> None:
    server.routes["/api/tags"] = recorded("02-tags.txt")

    models = {model.name: model for model in client.models()}

    assert models["slow:latest"].parameters == 309_560_000
    assert models["slow:latest"].context_length == 4096
    assert models["tiny-embed:latest"].capabilities == ("embedding",)
    assert not any(model.is_remote for model in models.values())
    assert not server.to("/api/show")


def test_which_models_are_loaded_is_asked_for(server: RawServer, client: OllamaClient) -> None:
    server.routes["/api/tags"] = recorded("02-tags.txt")
    server.routes["/api/ps"] = recorded("05-ps-tiny.txt")

    models = {model.name: model for model in client.models()}

    assert {name for name, model in models.items() if model.loaded} == {"tiny:latest", "tiny-ct:latest"}
    assert {model.vram for model in models.values()} == {0}

    server.routes["/api/ps"] = json_answer({"models": [{"name": "slow:latest", "size_vram": 5_000_000_000}]})
    models = {model.name: model for model in client.models()}

    assert (models["slow:latest"].loaded, models["slow:latest"].vram) == (True, 5_000_000_000)
    assert models["tiny:latest"].loaded is False


@pytest.mark.parametrize("body", ["404 page not found", {"models": "?"}])
def test_a_server_that_cannot_say_what_is_loaded_still_lists_its_models(
    server: RawServer, client: OllamaClient, body: object
) -> None:
    server.routes["/api/tags"] = recorded("02-tags.txt")
    server.routes["/api/ps"] = json_answer(body, "404 Not Found" if isinstance(body, str) else "200 OK")

    assert {(model.loaded, model.vram) for model in client.models()} == {(None, None)}


def test_what_an_older_server_leaves_out_of_the_list_is_asked_for(
    server: RawServer, client: OllamaClient
) -> None:
    server.routes["/api/tags"] = json_answer({"models": [{"name": "old:7b", "details": {}}]})
    server.routes["/api/show"] = json_answer(
        {
            "details": {"parameter_size": ""},
            "capabilities": ["completion", "thinking"],
            "model_info": {"general.parameter_count": 7_615_616_512, "qwen2.context_length": 32768},
        }
    )

    (model,) = client.models()

    assert server.to("/api/show")[0].body == {"model": "old:7b"}
    assert (model.parameters, model.context_length) == (7_615_616_512, 32768)
    assert model.capabilities == ("completion", "thinking")


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ("7.6B", 7_600_000_000),
        ("134.52M", 134_520_000),
        ("309M", 309_000_000),
        ("151K", 151_000),
        ("1.2t", 1_200_000_000_000),
        ("42", 42),
        ("", 0),
        ("unknown", 0),
        ("1.2.3B", 0),
    ],
)
def test_sizes_are_read(size: str, expected: int) -> None:
    assert parameters(size) == expected


def test_the_version_is_the_servers(server: RawServer, client: OllamaClient) -> None:
    server.routes["/api/version"] = recorded("01-version.txt")

    assert client.version() == "0.32.15"


def test_a_decision_model_gives_a_probability_for_each_choice(
    server: RawServer, client: OllamaClient
) -> None:
    probabilities = {"invoice": 0.9, "letter": 0.1}
    chosen = {"type": "choice", "choice": "invoice", "probabilities": probabilities, "confidence": 0.9}
    usage = {"input_tokens": 9, "output_tokens": 1}
    server.scripts = [json_answer({"model": "tiny", "answers": {"choice": chosen}, "usage": usage})]

    found = client.choose("tiny", "Rechnung", "What is it?", {"invoice": "a bill", "letter": ""}, "5m")

    assert found == probabilities
    body = server.to("/v1/systemone")[0].body
    assert body["state"] == "Rechnung"
    assert body["questions"]["choice"]["criteria"] == {"invoice": "a bill", "letter": ""}
    assert body["keep_alive"] == "5m"


@pytest.mark.parametrize(
    ("script", "kind", "words"),
    [
        (answer(chunk("404 page not found"), status="404 Not Found"), "refused", "0.35"),
        (json_answer({"error": "model 'tiny' not found"}, "404 Not Found"), "no model", "pull tiny"),
        (json_answer({"model": "tiny", "answers": {}}), "unavailable", ""),
        (
            json_answer({"model": "t", "answers": {}, "usage": {"input_tokens": 1, "output_tokens": 1}}),
            "bad reply",
            "none of the choices",
        ),
    ],
)
def test_a_decision_that_is_none(
    server: RawServer, client: OllamaClient, script: Script, kind: str, words: str
) -> None:
    server.scripts = [script]

    with pytest.raises(LlmError) as caught:
        client.choose("tiny", "text", "which?", {"a": "first"}, "5m")

    assert caught.value.kind == kind
    assert words in str(caught.value)


def test_pulling_shows_progress(server: RawServer, client: OllamaClient) -> None:
    steps = [
        {"status": "pulling manifest"},
        {"status": "pulling 30", "digest": "sha256:30", "total": 90, "completed": 45},
        {"status": "success"},
    ]
    server.scripts = [answer(*map(line, steps))]
    seen: list[Progress] = []

    client.pull("tiny", seen.append)

    assert server.to("/api/pull")[0].body["model"] == "tiny"
    assert seen == [
        Progress(status="pulling manifest"),
        Progress(status="pulling 30", completed=45, total=90),
        Progress(status="success"),
    ]


@pytest.mark.parametrize(
    ("script", "kind", "words"),
    [
        (recorded("19-pull-offline-stream.txt"), "unavailable", "needs the internet"),
        (answer(line({"error": "pull model manifest: file does not exist"})), "refused", "the name"),
        (answer(line({"status": "pulling manifest"})), "bad reply", "pulling manifest"),
    ],
)
def test_pulling_that_fails_says_why(
    server: RawServer, client: OllamaClient, script: Script, kind: str, words: str
) -> None:
    server.scripts = [script]

    with pytest.raises(LlmError) as caught:
        client.pull("tiny", lambda _: None)

    assert caught.value.kind == kind
    assert words in str(caught.value)


def test_a_model_is_created_from_another(server: RawServer, client: OllamaClient) -> None:
    server.scripts = [recorded("20-create-stream.txt")]
    seen: list[Progress] = []

    client.create("shoebox-small", "qwen3:1.7b", "You read.", {"num_ctx": 8192}, seen.append)

    body = server.to("/api/create")[0].body
    assert (body["model"], body["from"], body["system"]) == ("shoebox-small", "qwen3:1.7b", "You read.")
    assert body["parameters"] == {"num_ctx": 8192}
    assert seen[-1].status == "success"


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("gpu-box", "http://gpu-box:11434"),
        (":5000", "http://127.0.0.1:5000"),
        ("0.0.0.0:11434", "http://127.0.0.1:11434"),
        ("https://llm.lan", "https://llm.lan:443"),
        ("http://llm.lan/ollama/", "http://llm.lan:80/ollama"),
        ("[fe80::1]:99", "http://[fe80::1]:99"),
    ],
)
def test_hosts_are_read_as_ollama_reads_them(host: str, url: str) -> None:
    assert ollama_url(host) == url


@pytest.mark.parametrize("host", ["ftp://x", "http://x:99999", "http://x:0", "a b", "http://[::1"])
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match="not the address"):
        OllamaClient(host, silence_seconds=1, load_seconds=1)


def test_the_host_of_the_environment_is_the_default(
    server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", server.url)
    with closing(OllamaClient(None, silence_seconds=5, load_seconds=5)) as client:
        assert [model.name for model in client.models()] == ["tiny:latest"]


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("127.0.0.1", False),
        ("192.168.1.9", False),
        ("100.64.0.1", False),
        ("fe80::1%eth0", False),
        ("::ffff:10.0.0.1", False),
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("::ffff:8.8.8.8", True),
    ],
)
def test_addresses_of_the_open_internet_are_known(address: str, public: bool) -> None:
    assert is_public(address) is public


def test_importing_the_clients_is_cheap() -> None:
    import subprocess
    import sys

    code = (
        "import sys, tasks.engines.llm.ollama_client, tasks.engines.llm.openai_client;"
        "print(sorted({'ollama', 'httpx', 'httpcore'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[1]
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert json.loads(shown.stdout.replace("'", '"')) == []
