"""Vectors from model servers: what is asked, what is taken, and what each failure means."""

import math
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tasks.engines.llm.base import EmbedRequest, LlmError, LlmErrorKind, Vector
from tasks.engines.llm.embeddings import checked_vectors
from tasks.engines.llm.failures import Failures
from tasks.engines.llm.ollama_client import OllamaClient
from tasks.engines.llm.openai_client import OpenAiClient
from tasks.meaning.embedding import embed_all
from tests.ollama import FaultKind, ModelSpec, OllamaDouble
from tests.ollama.llama_server import LlamaServer
from tests.ollama.tiny_model import write_tiny_model
from tests.raw_server import json_answer, raw_server, recorded

FAILURES = Failures("The server", start="", fetch="")
MODELS = (
    ModelSpec("tiny-embed", capabilities=("embedding",), labelled=False),
    ModelSpec("by-words", capabilities=("embedding",), scripted=True),
    ModelSpec("tiny"),
    ModelSpec("far:cloud", capabilities=("embedding",), remote=True),
)


@pytest.fixture(scope="module")
def double() -> Iterator[OllamaDouble]:
    with OllamaDouble(MODELS) as running:
        yield running


@pytest.fixture
def client(double: OllamaDouble) -> Iterator[OllamaClient]:
    double.clear()
    with closing(OllamaClient(double.url, silence_seconds=10, load_seconds=30)) as opened:
        yield opened


def request(*texts: str, model: str = "tiny-embed", num_ctx: int = 512) -> EmbedRequest:
    return EmbedRequest(model=model, texts=texts, num_ctx=num_ctx, on_cpu=True, num_thread=1)


def cosine(one: Vector, other: Vector) -> float:
    return sum(map(float.__mul__, one, other)) / math.hypot(*one) / math.hypot(*other)


def test_texts_become_vectors_in_their_order_off_the_gpu_and_uncut(
    client: OllamaClient, double: OllamaDouble
) -> None:
    together = client.embed(request("hello", "an invoice of March"))
    alone = [client.embed(request(text))[0] for text in ("hello", "an invoice of March")]
    assert [len(vector) for vector in together] == [64, 64]
    assert all(cosine(one, other) > 0.999 for one, other in zip(together, alone, strict=True))
    body = double.calls("/api/embed")[-1].json
    assert body["truncate"] is False
    assert body["options"] == {"num_ctx": 512, "num_thread": 1, "num_gpu": 0}


@pytest.mark.parametrize(
    ("model", "text", "kind"),
    [
        ("nowhere", "text", LlmErrorKind.NO_MODEL),
        ("tiny", "text", LlmErrorKind.REFUSED),
        ("far:cloud", "text", LlmErrorKind.REFUSED),
        ("tiny-embed", "word " * 3000, LlmErrorKind.OVERFLOW),
    ],
)
def test_what_cannot_be_done_is_said(client: OllamaClient, model: str, text: str, kind: LlmErrorKind) -> None:
    with pytest.raises(LlmError) as caught:
        client.embed(request(text, model=model))
    assert caught.value.kind is kind


def test_nothing_is_sent_to_a_model_in_a_cloud(client: OllamaClient, double: OllamaDouble) -> None:
    before = len(double.calls("/api/embed"))
    with pytest.raises(LlmError, match="cloud"):
        client.embed(request("a secret", model="far:cloud"))
    assert len(double.calls("/api/embed")) == before


def test_a_busy_server_is_no_fault_of_the_text(client: OllamaClient, double: OllamaDouble) -> None:
    double.order(FaultKind.BUSY, path="/api/embed")
    with pytest.raises(LlmError) as caught:
        client.embed(request("text"))
    assert caught.value.kind is LlmErrorKind.UNAVAILABLE


def test_a_text_too_long_for_the_model_is_read_in_halves_not_cut(client: OllamaClient) -> None:
    beginning, end = "alpha beta gamma " * 60, "delta epsilon zeta " * 60
    long_text = beginning + end
    with pytest.raises(LlmError):
        client.embed(request(long_text, model="by-words"))
    short, long_one = embed_all(client, request("alpha", long_text, model="by-words"), "")
    for part in (beginning, end):
        (vector,) = embed_all(client, request(part[:300], model="by-words"), "")
        assert cosine(long_one, vector) > 0.5
    assert cosine(short, long_one) > 0


def test_a_prefix_stands_before_each_text_and_each_half(client: OllamaClient, double: OllamaDouble) -> None:
    embed_all(client, request("one", "two " * 1000, model="by-words"), "search_document: ")
    sent = double.calls("/api/embed")[-1].json["input"]
    assert all(text.startswith("search_document: ") for text in sent)
    assert len(sent) == 2


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("17-embed-one", 1),
        ("17-embed-many", 2),
        ("17-embed-empty", 0),
        ("17-embed-missing", LlmErrorKind.NO_MODEL),
        ("17-embed-noncapable", LlmErrorKind.REFUSED),
        ("17-embed-long-notruncate", LlmErrorKind.OVERFLOW),
        ("17-embed-badtype", LlmErrorKind.REFUSED),
    ],
)
def test_the_recorded_answers_of_a_real_server_are_understood(name: str, outcome: int | LlmErrorKind) -> None:
    tag = {
        "name": "tiny-embed:latest",
        "details": {"parameter_size": "151K", "context_length": 2048},
        "capabilities": ["embedding"],
    }
    with raw_server() as server:
        server.routes["/api/tags"] = json_answer({"models": [tag]})
        server.scripts = [recorded(f"{name}.txt")]
        with closing(OllamaClient(server.url, silence_seconds=5, load_seconds=5)) as client:
            if isinstance(outcome, int):
                vectors = client.embed(request(*("text",) * outcome))
                assert [len(vector) for vector in vectors] == [64] * outcome
            else:
                with pytest.raises(LlmError) as caught:
                    client.embed(request("text"))
                assert caught.value.kind is outcome
        (sent,) = server.to("/api/embed")
    assert sent.body["model"] == "tiny-embed"


@pytest.mark.parametrize(
    ("found", "texts"),
    [([[1.0]], 2), ([[1.0], [1.0, 2.0]], 2), ([[0.0, 0.0]], 1), ([[]], 1), ([[math.nan, 1.0]], 1)],
)
def test_vectors_that_nobody_can_calculate_with_are_no_reply(found: list[list[float]], texts: int) -> None:
    with pytest.raises(LlmError) as caught:
        checked_vectors(found, texts, FAILURES)
    assert caught.value.kind is LlmErrorKind.BAD_REPLY


def test_an_openai_server_makes_vectors_as_well(tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "tiny.gguf")
    with (
        closing(LlamaServer(model, num_ctx=512, embedding=True)) as server,
        closing(OpenAiClient(server.url, None, silence_seconds=10, load_seconds=30)) as client,
    ):
        first, second = client.embed(request("hello", "an invoice of March", model="tiny"))
        assert len(first) == len(second) == 64
        assert first != second
        with pytest.raises(LlmError) as caught:
            client.embed(request("word " * 3000, model="tiny"))
        assert caught.value.kind is LlmErrorKind.OVERFLOW


def test_an_openai_server_that_only_chats_refuses(tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "tiny.gguf")
    with (
        closing(LlamaServer(model, num_ctx=512)) as server,
        closing(OpenAiClient(server.url, None, silence_seconds=10, load_seconds=30)) as client,
        pytest.raises(LlmError) as caught,
    ):
        client.embed(request("hello", model="tiny"))
    assert caught.value.kind is LlmErrorKind.REFUSED
