"""Both chat clients against a real llama.cpp server, Ollama's protocol by its double."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tasks.engines.llm.base import ChatReply, ChatRequest, LlmError, LlmErrorKind, Message
from tasks.engines.llm.ollama_client import OllamaClient
from tasks.engines.llm.openai_client import OpenAiClient
from tests.ollama.faults import FaultKind
from tests.ollama.handle import OllamaDouble
from tests.ollama.llama_server import LlamaServer
from tests.ollama.models import ModelSpec
from tests.ollama.tiny_model import write_tiny_model

CATEGORIES = ["invoice", "contract", "letter", "report", "other"]
SCHEMA = {
    "type": "object",
    "properties": {"category": {"type": "string", "enum": CATEGORIES}},
    "required": ["category"],
    "additionalProperties": False,
}
LONG = 100_000
"""Tokens that no test waits for."""
LAYERS = 48  # slow enough to be interrupted


@pytest.fixture(scope="module")
def double() -> Iterator[OllamaDouble]:
    """Ollama's double. Its quick models say a label for ever if no schema holds them."""
    models = (
        ModelSpec("tiny", context_length=4096),
        ModelSpec("slow", context_length=4096, layers=LAYERS, labelled=False),
        ModelSpec("babbler", context_length=4096, labelled=False),
        ModelSpec("thinker", capabilities=("completion", "thinking")),
        ModelSpec("faraway:120b-cloud", remote=True),
    )
    with OllamaDouble(models) as running:
        yield running


@pytest.fixture
def ollama(double: OllamaDouble) -> Iterator[OllamaClient]:
    """A client of the double."""
    with closing(OllamaClient(double.url, silence_seconds=30, load_seconds=60)) as client:
        yield client
    double.clear()


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaServer]:
    """A llama.cpp server with a slow model."""
    model = write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.gguf", layers=LAYERS)
    with closing(LlamaServer(model, num_ctx=2048)) as running:
        yield running


@pytest.fixture
def openai(llama: LlamaServer) -> Iterator[OpenAiClient]:
    """A client of the llama.cpp server."""
    with closing(OpenAiClient(llama.url, None, silence_seconds=30, load_seconds=60)) as client:
        yield client


def request(text: str, **changes: Any) -> ChatRequest:
    """A chat about a text."""
    values: dict[str, Any] = {
        "model": "tiny",
        "messages": (Message(role="system", content="You read."), Message(role="user", content=text)),
        "num_ctx": 2048,
        "max_tokens": 40,
    }
    return ChatRequest(**values | changes)


def chat(client: OllamaClient | OpenAiClient, asked: ChatRequest) -> ChatReply:
    """Chat to the end."""
    return client.chat(asked, lambda _: None, lambda: False)


def test_ollama_holds_a_reply_to_the_schema(ollama: OllamaClient) -> None:
    reply = chat(ollama, request("Invoice no 12, total 40 EUR", reply_schema=SCHEMA, top_logprobs=5))

    assert any(f'"{category}"' in reply.content for category in CATEGORIES)
    assert reply.done_reason == "stop"
    assert reply.prompt_tokens > 0
    assert reply.tokens and all(len(token.alternatives) == 5 for token in reply.tokens)


def test_ollama_cuts_nothing_silently(ollama: OllamaClient) -> None:
    with pytest.raises(LlmError) as caught:
        chat(ollama, request("word " * 3000))

    error = caught.value
    assert error.kind is LlmErrorKind.OVERFLOW
    assert error.context_tokens == 2048
    assert error.prompt_tokens and error.prompt_tokens > 3000


def test_ollama_ends_a_reply_at_the_end_of_the_context(ollama: OllamaClient) -> None:
    """Instead of forgetting the beginning of the prompt."""
    reply = chat(ollama, request("word " * 100, model="babbler", num_ctx=512, max_tokens=2000))

    assert reply.done_reason == "length"
    assert reply.reply_tokens <= 512


def test_cancelling_frees_ollama(double: OllamaDouble, ollama: OllamaClient) -> None:
    pieces: list[str] = []

    with pytest.raises(LlmError) as caught:
        ollama.chat(request("word", model="slow", max_tokens=LONG), pieces.append, lambda: len(pieces) > 3)

    assert caught.value.kind is LlmErrorKind.CANCELLED
    (call,) = double.wait_for(lambda calls: calls[-1].generation_stopped is not None)[-1:]
    assert call.disconnected is not None
    assert call.done_reason is None


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (FaultKind.REPEAT_ABORT, LlmErrorKind.BAD_REPLY),
        (FaultKind.EMPTY_STREAM, LlmErrorKind.BAD_REPLY),
        (FaultKind.STREAM_ENDS, LlmErrorKind.UNAVAILABLE),
        (FaultKind.SERVER_KILLED, LlmErrorKind.UNAVAILABLE),
        (FaultKind.RUNNER_KILLED, LlmErrorKind.UNAVAILABLE),
        (FaultKind.HALF_LINE, LlmErrorKind.UNAVAILABLE),
        (FaultKind.BUSY, LlmErrorKind.UNAVAILABLE),
        (FaultKind.MISSING, LlmErrorKind.NO_MODEL),
        (FaultKind.CLOUD, LlmErrorKind.REFUSED),
        (FaultKind.BAD_SCHEMA, LlmErrorKind.REFUSED),
        (FaultKind.OVERFLOW, LlmErrorKind.OVERFLOW),
    ],
)
def test_a_fault_ends_in_its_class_and_the_next_call_works(
    double: OllamaDouble, ollama: OllamaClient, fault: FaultKind, kind: LlmErrorKind
) -> None:
    double.order(fault, after=2)

    with pytest.raises(LlmError) as caught:
        chat(ollama, request("Invoice", reply_schema=SCHEMA))

    assert caught.value.kind is kind
    assert chat(ollama, request("Invoice", reply_schema=SCHEMA)).reply_tokens > 0


def test_a_connection_that_died_is_tried_once_more(double: OllamaDouble, ollama: OllamaClient) -> None:
    double.order(FaultKind.CLOSED)
    before = len(double.calls("/api/chat"))

    assert chat(ollama, request("Invoice", reply_schema=SCHEMA)).reply_tokens > 0
    assert len(double.calls("/api/chat")) == before + 2


def test_a_reply_in_the_thinking_is_found(double: OllamaDouble, ollama: OllamaClient) -> None:
    double.order(FaultKind.IN_THINKING)

    reply = chat(ollama, request("Invoice", model="thinker", reply_schema=SCHEMA))

    assert any(f'"{category}"' in reply.content for category in CATEGORIES)


def test_ollama_lists_its_models(ollama: OllamaClient) -> None:
    models = {model.name: model for model in ollama.models()}

    assert models["tiny:latest"].parameters == 151_000
    assert models["tiny:latest"].context_length == 4096
    assert "thinking" in models["thinker:latest"].capabilities
    assert models["faraway:120b-cloud"].is_remote


def test_openai_holds_a_reply_to_the_schema_and_counts_the_cache(openai: OpenAiClient) -> None:
    asked = request("Invoice no 12, total 40 EUR. " * 20, reply_schema=SCHEMA, top_logprobs=5)

    first, second = chat(openai, asked), chat(openai, asked)

    assert any(f'"{category}"' in first.content for category in CATEGORIES)
    assert first.done_reason == second.done_reason == "stop"
    assert first.tokens and all(len(token.alternatives) == 5 for token in first.tokens)
    assert second.cached_tokens == second.prompt_tokens - 1


def test_openai_reports_an_overflow(openai: OpenAiClient) -> None:
    with pytest.raises(LlmError) as caught:
        chat(openai, request("word " * 5000))

    error = caught.value
    assert (error.kind, error.context_tokens) == (LlmErrorKind.OVERFLOW, 2048)
    assert error.prompt_tokens and error.prompt_tokens > 5000


def test_openai_refuses_a_bad_schema(openai: OpenAiClient) -> None:
    with pytest.raises(LlmError) as caught:
        chat(openai, request("Invoice", reply_schema={"type": "nope"}))

    assert caught.value.kind is LlmErrorKind.REFUSED


def test_cancelling_frees_llama_cpp(llama: LlamaServer, openai: OpenAiClient) -> None:
    pieces: list[str] = []

    with pytest.raises(LlmError) as caught:
        openai.chat(request("word", max_tokens=LONG), pieces.append, lambda: len(pieces) > 3)

    assert caught.value.kind is LlmErrorKind.CANCELLED
    assert llama.wait_idle(10)


def test_openai_lists_its_models(openai: OpenAiClient) -> None:
    (model,) = openai.models()

    assert model.name == "tiny"
    assert model.parameters > 0
    assert model.context_length == 2048


def test_a_llama_cpp_that_dies_in_mid_reply_is_away(tmp_path: Path) -> None:
    server = LlamaServer(write_tiny_model(tmp_path / "tiny.gguf", layers=LAYERS), num_ctx=2048)
    with closing(OpenAiClient(server.url, None, silence_seconds=30, load_seconds=30)) as client:
        with pytest.raises(LlmError) as dying:
            client.chat(request("word", max_tokens=LONG), lambda _: server.process.kill(), lambda: False)
        with pytest.raises(LlmError) as dead:
            client.models()
    server.close()

    assert dying.value.kind is dead.value.kind is LlmErrorKind.UNAVAILABLE
