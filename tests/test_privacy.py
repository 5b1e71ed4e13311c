"""To whom a document is given, and by which road it could go elsewhere: each is tried here."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from pydantic import SecretStr

from app.doctor import check_llm_server
from tasks.engines.llm import wire
from tasks.engines.llm.base import ChatRequest, EmbedRequest, LlmError, LlmErrorKind, Message
from tasks.engines.llm.ollama_client import OllamaClient
from tasks.engines.llm.openai_client import OpenAiClient
from tasks.notify.webhook import WebhookError, post
from tasks.settings import Settings
from tasks.stages.reading import make_client
from tests.hooks import receiving
from tests.raw_server import RawServer, answer, json_answer, raw_server

SECRET = "a sentence that nobody else may read"
WHOLE = {"parameter_size": "7.6B", "context_length": 32768}
REMOTE = {"remote_host": "https://ollama.com:443", "remote_model": "gpt-oss:120b"}
PROXIES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")

Road = Callable[[OllamaClient | OpenAiClient, str], object]


def _chat(client: OllamaClient | OpenAiClient, model: str) -> object:
    return _say(client, model, ())


def _look(client: OllamaClient | OpenAiClient, model: str) -> object:
    return _say(client, model, (b"\xff\xd8 a page",))


def _say(client: OllamaClient | OpenAiClient, model: str, images: tuple[bytes, ...]) -> object:
    said = (Message(role="user", content=SECRET, images=images),)
    request = ChatRequest(model=model, messages=said, num_ctx=512, max_tokens=9)
    return client.chat(request, lambda _: None, lambda: False)


def _embed(client: OllamaClient | OpenAiClient, model: str) -> object:
    return client.embed(EmbedRequest(model=model, texts=(SECRET,), num_ctx=512))


def _choose(client: OllamaClient | OpenAiClient, model: str) -> object:
    return client.choose(model, SECRET, "which?", {"a": "", "b": ""}, "5m")


ROADS: dict[str, Road] = {"chat": _chat, "images": _look, "embed": _embed, "choose": _choose}


def tag(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "details": WHOLE, "capabilities": ["completion", "embedding", "vision"], **more}


def listing(*tags: dict[str, Any]) -> Any:
    return json_answer({"models": list(tags)})


@pytest.fixture
def server() -> Iterator[RawServer]:
    with raw_server() as running:
        done = {"message": {"role": "assistant", "content": "{}"}, "done": True, "done_reason": "stop"}
        running.routes["/api/chat"] = answer((json.dumps(done) + "\n").encode().join([b"", b""]))
        running.routes["/api/embed"] = json_answer({"model": "mine", "embeddings": [[0.5, 0.5]]})
        yield running


@pytest.fixture
def client(server: RawServer) -> Iterator[OllamaClient]:
    with closing(OllamaClient(server.url, silence_seconds=9, load_seconds=9)) as opened:
        yield opened


def told(server: RawServer) -> list[str]:
    """The paths whose requests held what nobody else may read."""
    return [one.path for one in server.requests if SECRET.encode() in one.raw]


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize(
    ("listed", "shown"),
    [
        (tag("mine:latest", **REMOTE), {}),
        (tag("mine:latest", remote_host="https://ollama.com:443"), {}),
        (tag("mine:latest", remote_model="gpt-oss:120b"), {}),
        ({"name": "mine:latest"}, REMOTE),  # a list that leaves it out, as it leaves out the rest
        ({"name": "mine:latest"}, {"remote_model": "gpt-oss:120b"}),
    ],
)
def test_a_cloud_model_under_a_name_of_ones_own_is_given_nothing(
    server: RawServer, client: OllamaClient, listed: dict[str, Any], shown: dict[str, str], road: str
) -> None:
    """As `ollama cp gpt-oss:120b-cloud mine` and a Modelfile FROM it make: the name tells nothing."""
    server.routes["/api/tags"] = listing(listed)
    server.routes["/api/show"] = json_answer({"details": WHOLE, "capabilities": ["completion"], **shown})
    with pytest.raises(LlmError) as caught:
        ROADS[road](client, "mine")
    assert caught.value.kind is LlmErrorKind.REFUSED
    assert "cloud" in caught.value.message
    assert {one.path for one in server.requests} <= {"/api/tags", "/api/show"}


@pytest.mark.parametrize(
    "name", ["gpt-oss:120b-cloud", "glm-5:cloud", "GPT-OSS:120B-Cloud", "a/b:cloud", "m:20b:cloud"]
)
@pytest.mark.parametrize("road", ROADS)
def test_a_name_of_the_cloud_is_given_nothing_whatever_the_server_says(
    server: RawServer, client: OllamaClient, name: str, road: str
) -> None:
    for tags in ([], [tag(name)]):
        server.routes["/api/tags"] = listing(*tags)
        with pytest.raises(LlmError) as caught:
            ROADS[road](client, name)
        assert caught.value.kind is LlmErrorKind.REFUSED
    assert {one.path for one in server.requests} == {"/api/tags"}


@pytest.mark.parametrize("road", ["chat", "embed"])
def test_a_cloud_model_that_takes_the_place_of_an_own_one_between_two_calls_is_given_nothing(
    server: RawServer, client: OllamaClient, road: str
) -> None:
    server.routes["/api/tags"] = listing(tag("mine:latest"))
    server.routes["/api/chat"] = json_answer({"error": "no"}, "500 No")
    server.routes["/api/embed"] = json_answer({"error": "no"}, "500 No")
    with pytest.raises(LlmError) as caught:
        ROADS[road](client, "mine")
    assert caught.value.kind is LlmErrorKind.UNAVAILABLE
    before = told(server)
    assert before
    server.routes["/api/tags"] = listing(tag("mine:latest", **REMOTE))
    with pytest.raises(LlmError) as caught:
        ROADS[road](client, "mine")
    assert caught.value.kind is LlmErrorKind.REFUSED
    assert told(server) == before


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("path", ["/api/tags", "/api/chat", "/api/embed"])
def test_no_server_sends_a_document_on_to_another(
    server: RawServer, client: OllamaClient, path: str, status: int
) -> None:
    with raw_server() as other:
        server.routes["/api/tags"] = listing(tag("mine:latest"))
        server.routes[path] = json_answer("", f"{status} Elsewhere\r\nLocation: {other.url}{path}")
        with pytest.raises(LlmError):
            ROADS["embed" if path == "/api/embed" else "chat"](client, "mine")
        assert other.requests == []


@pytest.mark.parametrize("status", [302, 307])
def test_no_openai_server_sends_a_document_on_to_another(server: RawServer, status: int) -> None:
    with (
        raw_server() as other,
        closing(OpenAiClient(server.url, SecretStr("key"), silence_seconds=9, load_seconds=9)) as client,
    ):
        for path in ("/v1/chat/completions", "/v1/embeddings", "/v1/models"):
            server.routes[path] = json_answer("", f"{status} Elsewhere\r\nLocation: {other.url}{path}")
        for road in (_chat, _embed):
            with pytest.raises(LlmError):
                road(client, "mine")
        with pytest.raises(LlmError):
            client.models()
        assert other.requests == []


@pytest.mark.parametrize("engine", ["ollama", "openai"])
def test_no_proxy_of_the_environment_is_asked_for_a_model_server(
    server: RawServer, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    with raw_server() as proxy:
        for name in PROXIES:
            monkeypatch.setenv(name, proxy.url)
        server.routes["/api/tags"] = listing(tag("mine:latest"))
        server.routes["/v1/chat/completions"] = json_answer("", "500 No")
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        settings = Settings(engine=engine, openai_url=server.url)
        with closing(make_client(settings)) as client, pytest.raises(LlmError):
            _chat(client, "mine")
        assert proxy.requests == []
    assert told(server)


@pytest.fixture
def resolved(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Addresses by name, for names that a test makes up."""
    names: dict[str, list[str]] = {}
    real = socket.getaddrinfo

    def look_up(host: Any, port: Any, *arguments: Any, **options: Any) -> Any:
        found = names.get(host, [host])
        return [entry for one in found for entry in real(one, port, *arguments, **options)]

    monkeypatch.setattr(wire.socket, "getaddrinfo", look_up)
    return names


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hosts that connections were opened to."""
    hosts: list[str] = []
    real = socket.create_connection

    def connect(address: tuple[str, int], *arguments: Any, **options: Any) -> socket.socket:
        hosts.append(address[0])
        return real(address, *arguments, **options)

    monkeypatch.setattr(socket, "create_connection", connect)
    return hosts


@pytest.mark.parametrize("name", ["OLLAMA_HOST", "the settings"])
def test_a_server_in_the_open_internet_is_not_even_connected_to(
    resolved: dict[str, list[str]], connected: list[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    resolved["models.example"] = ["93.184.215.14", "2606:2800:21f:cb07::1"]
    settings = Settings()
    if name == "OLLAMA_HOST":
        monkeypatch.setenv("OLLAMA_HOST", "http://models.example:8080")
    else:
        settings = Settings(ollama_host="http://models.example:8080")
    with closing(make_client(settings)) as client, pytest.raises(LlmError) as caught:
        _chat(client, "mine")
    assert caught.value.kind is LlmErrorKind.REFUSED
    assert "93.184.215.14" in caught.value.message
    assert connected == []


@pytest.mark.parametrize("allowed", [False, True])
def test_doctor_asks_no_server_in_the_open_internet_either(
    resolved: dict[str, list[str]], connected: list[str], monkeypatch: pytest.MonkeyPatch, allowed: bool
) -> None:
    resolved["models.example"] = ["93.184.215.14"]

    def refuse(address: tuple[str, int], *_: Any, **__: Any) -> socket.socket:
        connected.append(address[0])
        raise OSError("no way out of a test")

    monkeypatch.setattr(socket, "create_connection", refuse)
    settings = Settings(ollama_host="http://models.example:8080", allow_remote_models=allowed)
    assert ("open internet" in check_llm_server(settings).found) is not allowed
    assert connected == (["models.example"] if allowed else [])


def test_of_a_name_with_a_near_and_a_public_address_only_the_near_one_is_used(
    resolved: dict[str, list[str]], connected: list[str], server: RawServer
) -> None:
    resolved["box.example"] = ["93.184.215.14", "127.0.0.1"]
    server.routes["/api/tags"] = listing(tag("mine:latest", **REMOTE))
    port = server.url.rpartition(":")[2]
    with closing(make_client(Settings(ollama_host=f"box.example:{port}"))) as client:
        assert client.models()[0].is_remote
    assert set(connected) == {"127.0.0.1"}


@pytest.mark.parametrize("allowed", [False, True])
def test_a_public_openai_server_is_asked_only_where_that_is_allowed(
    server: RawServer, monkeypatch: pytest.MonkeyPatch, allowed: bool
) -> None:
    monkeypatch.setattr(wire, "is_public", lambda _: True)
    server.routes["/v1/models"] = json_answer({"object": "list", "data": [{"id": "mine"}]})
    settings = Settings(engine="openai", openai_url=server.url, allow_remote_models=allowed)
    with closing(make_client(settings)) as client:
        if allowed:
            assert [one.name for one in client.models()] == ["mine"]
        else:
            with pytest.raises(LlmError) as caught:
                client.models()
            assert caught.value.kind is LlmErrorKind.REFUSED
    assert bool(server.requests) is allowed


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "[::ffff:127.0.0.1]"])
def test_no_proxy_is_told_what_is_for_a_receiver_on_this_machine(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    with receiving() as receiver, raw_server() as proxy:
        proxy.scripts = [json_answer("")]
        for name in PROXIES:
            monkeypatch.setenv(name, proxy.url)
        port = receiver.url.split(":")[2]
        assert post(SecretStr(f"http://{host}:{port}"), None, "1", SECRET.encode(), 0.0) == 204
        assert proxy.requests == []
        assert [one.raw for one in receiver.received] == [SECRET.encode()]


def test_a_proxy_of_the_environment_is_asked_for_a_receiver_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with raw_server() as proxy:
        proxy.scripts = [json_answer("", "502 No")]
        for name in PROXIES:
            monkeypatch.setenv(name, proxy.url)
        with pytest.raises(WebhookError, match="502"):
            post(SecretStr("http://hook.example/a"), None, "1", b"{}", 0.0)
        assert [one.path for one in proxy.requests] == ["http://hook.example/a"]
