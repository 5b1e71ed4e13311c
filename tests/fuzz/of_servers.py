"""Targets that read what model servers send: streams cut anywhere, JSON of any shape, errors."""

import json
from contextlib import closing, suppress
from typing import Any

import httpcore
from hypothesis import strategies as st

from tasks.documents import Stage, State
from tasks.engines.llm.base import (
    ChatReply,
    ChatRequest,
    EmbedRequest,
    LlmError,
    Message,
)
from tasks.engines.llm.confidence import measure
from tasks.engines.llm.failures import Failures
from tasks.engines.llm.ollama_client import OllamaClient
from tasks.engines.llm.openai_client import OpenAiClient
from tasks.events import Event, EventKind
from tests.fuzz.runner import Target
from tests.fuzz.shapes import json_values, mutated, mutated_bytes, mutated_json, pieces_of, texts
from tests.raw_server import RECORDINGS

_TAGS = {
    "models": [
        {
            "name": "m:latest",
            "capabilities": ["completion", "thinking"],
            "details": {"parameter_size": "7B", "context_length": 4096},
        }
    ]
}
_PS = {
    "models": [
        {"name": "m:latest", "size_vram": 12, "expires_at": "2026-11-20T22:09:03Z", "context_length": 4096}
    ]
}
_CATEGORIES = ("invoice", "letter")
_REQUEST = ChatRequest(
    model="m",
    messages=(Message(role="user", content="?"),),
    reply_schema={"type": "object"},
    num_ctx=512,
    max_tokens=64,
    top_logprobs=5,
)


def _body(name: str) -> bytes:
    return (RECORDINGS / name).read_bytes().partition(b"##### RESPONSE BODY (de-chunked)\n")[2]


_OLLAMA = [
    _body(f"05-chat-tiny-ct-{form}.txt")[:6_000]
    for form in ("format-stream", "format-stream-logprobs", "free-stream", "json-nostream")
]
_OPENAI = [
    b'data: {"choices":[{"delta":{"content":"{\\"a\\": 1}"},"logprobs":{"content":[{"token":"{",'
    b'"logprob":-0.1,"top_logprobs":[{"token":"[","logprob":null}]}]}}]}\n\n'
    b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
    b'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2},"timings":{"prompt_ms":1.5}}\n\n'
    b"data: [DONE]\n\n",
    b': ping\n\nevent: x\ndata: {"error":{"message":"context size has been exceeded","code":400}}\n\n',
    b'error: {"code":500,"message":"slot unavailable"}\n\n',
]


class _Wire(httpcore.NetworkBackend):
    """Stands in the place of the network: answers each path with the bytes that it was given, in pieces."""

    def __init__(self, answers: dict[str, list[bytes]]) -> None:
        self._answers = answers

    def connect_tcp(self, *_: Any, **__: Any) -> httpcore.NetworkStream:
        """A connection."""
        return _Connection(self._answers)


class _Connection(httpcore.NetworkStream):
    def __init__(self, answers: dict[str, list[bytes]]) -> None:
        self._answers = answers
        self._left: list[bytes] = []

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if buffer.startswith((b"GET ", b"POST ")):
            self._left = list(self._answers[buffer.split(b" ", 2)[1].decode()])

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        while self._left:
            piece = self._left.pop(0)
            if len(piece) > max_bytes:
                self._left.insert(0, piece[max_bytes:])
            if piece:
                return piece[:max_bytes]
        return b""

    def close(self) -> None:
        self._left = []

    def get_extra_info(self, info: str) -> Any:
        return None


def _http(status: str, pieces: list[bytes], *, is_chunked: bool) -> list[bytes]:
    """An answer whose body ends where it says, or with the connection."""
    head = f"HTTP/1.1 {status}\r\nConnection: close\r\n"
    if not is_chunked:
        return [head.encode() + b"\r\n", *pieces]
    return [
        f"{head}Transfer-Encoding: chunked\r\n\r\n".encode(),
        *(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces if piece),
        b"0\r\n\r\n",
    ]


def _plugged(client: OllamaClient | OpenAiClient, answers: dict[str, list[bytes]]) -> None:
    pool = httpcore.ConnectionPool(max_keepalive_connections=1, network_backend=_Wire(answers))
    client._wire._pool = pool


@st.composite
def _answers(draw: st.DrawFn, bodies: st.SearchStrategy[bytes]) -> list[bytes]:
    """An answer of a server: good or bad status, cut anywhere, now and then no HTTP at all."""
    status = draw(
        st.sampled_from(["200 OK"] * 6 + ["400 Bad", "404 Not Found", "307 Elsewhere", "500 No", "503 Busy"])
    )
    whole = _http(status, pieces_of(draw, draw(bodies)), is_chunked=draw(st.booleans()))
    if draw(st.integers(0, 9)) == 0:
        return pieces_of(draw, draw(mutated_bytes([b"".join(whole)])))
    return whole


def _encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


def _lists(*samples: Any) -> st.SearchStrategy[bytes]:
    """Mostly as it should be, so that what comes behind is reached."""
    good, near = st.sampled_from(samples).map(_encoded), mutated_json(samples).map(_encoded)
    return st.one_of(
        good, good, good, near, mutated_bytes([_encoded(one) for one in samples]), json_values().map(_encoded)
    )


def check_ollama(example: tuple[list[bytes], list[bytes], list[bytes], list[bytes]]) -> None:
    """A reply that ended as it should, or an LlmError: nothing else, whatever the server sends."""
    tags, ps, chat, embed = example
    text: list[str] = []
    with closing(OllamaClient("http://127.0.0.1:1", silence_seconds=9, load_seconds=9)) as client:
        _plugged(
            client,
            {
                "/api/tags": tags,
                "/api/ps": ps,
                "/api/show": tags,
                "/api/chat": chat,
                "/api/embed": embed,
                "/v1/systemone": embed,
                "/api/version": ps,
            },
        )
        with suppress(LlmError):
            reply = client.chat(_REQUEST, text.append, lambda: False)
            assert isinstance(reply, ChatReply)
            measure(reply.tokens, "category", _CATEGORIES)
        with suppress(LlmError):
            client.models()
        with suppress(LlmError):
            client.version()
        with suppress(LlmError):
            (vector,) = client.embed(EmbedRequest(model="m", texts=("a",), num_ctx=64))
            assert all(isinstance(number, float) for number in vector)
        with suppress(LlmError):
            chosen = client.choose("m", "text", "which?", {"a": "", "b": ""}, "5m")
            assert all(0 <= share <= 1 for share in chosen.values())
        with suppress(LlmError):
            client.memory.footprint("m", 512)
            client.memory.loaded()
    _printable(text)


def check_openai(example: tuple[list[bytes], list[bytes], list[bytes]]) -> None:
    """The same for servers that speak OpenAI's protocol."""
    models, chat, embed = example
    text: list[str] = []
    with closing(OpenAiClient("http://127.0.0.1:1", None, silence_seconds=9, load_seconds=9)) as client:
        _plugged(client, {"/v1/models": models, "/v1/chat/completions": chat, "/v1/embeddings": embed})
        with suppress(LlmError):
            reply = client.chat(_REQUEST, text.append, lambda: False)
            measure(reply.tokens, "category", _CATEGORIES)
        with suppress(LlmError):
            client.models()
        with suppress(LlmError):
            client.embed(EmbedRequest(model="m", texts=("a",), num_ctx=64))
    _printable(text)


def _printable(text: list[str]) -> None:
    """What goes on to the event stream as it is."""
    Event(
        kind=EventKind.TEXT, document="a", state=State.RUNNING, stage=Stage.CLASSIFY, text="".join(text)
    ).model_dump_json()


def check_errors(example: tuple[int, str]) -> None:
    """Any error of a server is put in words, in one line, of bounded length, without the key."""
    status, body = example
    failures = Failures("The server", start="", fetch="Get {model}.", secret="sk-123")
    for error in (failures.of_stream(body), failures.of_status("/api/chat", status, body)):
        assert len(str(error)) < 1_200
        assert "sk-123" not in str(error)
        str(error).encode()


_ERRORS = (
    '{"error":"{\\"error\\":{\\"code\\":400,\\"message\\":\\"request (9 tokens) exceeds the available context'
    ' size (8 tokens)\\"}}"}',
    '{"error":"model \'x\' not found"}',
    '{"detail":[{"msg":"sk-123"}]}',
    '{"object":"error","message":"This model\'s maximum context length is 8 tokens","code":400}',
)
TARGETS = (
    Target(
        "ollama",
        st.tuples(
            _answers(_lists(_TAGS)),
            _answers(_lists(_PS, {"version": "0.40.4"})),
            _answers(mutated_bytes(_OLLAMA) | st.sampled_from(_OLLAMA)),
            _answers(
                _lists(
                    {"model": "m", "embeddings": [[0.5, 1.0]]},
                    {
                        "answers": {
                            "choice": {
                                "type": "choice",
                                "choice": "a",
                                "probabilities": {"a": 0.9, "b": 0.1},
                                "confidence": 0.9,
                            }
                        }
                    },
                )
            ),
        ),
        check_ollama,
    ),
    Target(
        "openai",
        st.tuples(
            _answers(
                _lists(
                    {
                        "data": [{"id": "m", "meta": {"n_params": 7, "n_ctx": 512}}],
                        "models": [{"name": "m", "capabilities": ["multimodal"]}],
                    }
                )
            ),
            _answers(mutated_bytes(_OPENAI) | st.sampled_from(_OPENAI)),
            _answers(_lists({"data": [{"index": 0, "embedding": [0.5, 1.0]}]})),
        ),
        check_openai,
    ),
    Target(
        "errors",
        st.tuples(st.integers(300, 599), mutated(_ERRORS) | texts('{}[]":,\\error', 300)),
        check_errors,
    ),
)
