"""Page images over the wire: a model that takes them, models that do not, and what servers say."""

import hashlib
import json
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from tasks.engines.llm.engine import LlmEngine
from tasks.engines.llm.ollama_client import OllamaClient
from tasks.engines.llm.openai_client import OpenAiClient
from tasks.engines.llm.page_images import PageImage
from tasks.engines.llm.prompts import SYSTEM
from tasks.recipes import load_recipe
from tests.ollama import Call, FaultKind, ModelSpec, OllamaDouble
from tests.raw_server import RawServer, Script, answer, event, json_answer, raw_server
from tests.reading import encoded
from tests.test_llm_wire import document

RECIPE = load_recipe("builtin", Path())
INVOICE = RECIPE.category("invoice")
SEES, NATIVE, BLIND, DEAR = "seer:8b", "native:8b", "blind:8b", "dear:8b"
CONTEXT = 16384
BOTH = ("completion", "vision")
IMAGES = tuple(
    PageImage(page=page, data=encoded(Image.new("L", (64, 64), shade), "JPEG"))
    for page, shade in ((1, 40), (3, 200))
)
HASHES = [hashlib.sha256(image.data).hexdigest() for image in IMAGES]


@pytest.fixture(scope="module")
def server() -> Iterator[OllamaDouble]:
    models = (
        ModelSpec(SEES, scripted=True, context_length=65536, capabilities=BOTH),
        ModelSpec(DEAR, scripted=True, context_length=65536, capabilities=BOTH, image_tokens=CONTEXT),
        ModelSpec(BLIND, scripted=True, context_length=65536),
        ModelSpec(NATIVE, scripted=True, context_length=65536, mode="native"),
    )
    with OllamaDouble(models) as double:
        yield double


@pytest.fixture
def engine_of(server: OllamaDouble) -> Iterator[Callable[..., LlmEngine]]:
    client = OllamaClient(server.url, silence_seconds=60, load_seconds=60)
    yield lambda model, images=IMAGES: LlmEngine(
        client, model, CONTEXT, b"a secret of this home", images=images, num_thread=1
    )
    client.close()


@pytest.fixture
def calls(server: OllamaDouble) -> Callable[[], list[Call]]:
    server.clear()
    before = len(server.calls("/api/chat"))
    return lambda: server.settled("/api/chat")[before:]


def prefix(call: Call) -> bytes:
    """The messages up to the end of the document, as a model is given them: images, then text."""
    system, user = call.json["messages"][:2]
    content = user["content"]
    text = content[: content.rindex("</document ") + 28]
    return json.dumps([system, user.get("images"), text]).encode()


def test_all_calls_about_a_document_send_the_same_images_and_compute_them_once(
    server: OllamaDouble, engine_of: Callable[..., LlmEngine], calls: Callable[[], list[Call]]
) -> None:
    server.order(FaultKind.INVALID_JSON, model=SEES)
    engine_of(SEES).analyse(document(3, 800), INVOICE)
    summary, repair, fields = calls()
    assert [call.images for call in (summary, repair, fields)] == [HASHES] * 3
    assert len({prefix(call) for call in (summary, repair, fields)}) == 1
    assert [("images" in message) for message in repair.json["messages"]] == [False, True, False, False]
    first = summary.tokens_computed or 0
    assert first > 2000
    assert (fields.tokens_computed or 0) < 0.2 * first


def test_without_images_the_request_has_no_word_of_them(
    engine_of: Callable[..., LlmEngine], calls: Callable[[], list[Call]]
) -> None:
    engine = engine_of(SEES, ())
    engine.classify(document(1, 50), RECIPE)
    engine.analyse(document(1, 50), INVOICE)
    assert len(calls()) == 3
    assert not any(b"image" in call.raw for call in calls())
    assert all(set(message) == {"role", "content"} for call in calls() for message in call.json["messages"])


@pytest.mark.parametrize(("model", "status"), [(BLIND, 400), (NATIVE, 500)])
def test_a_model_that_takes_no_images_is_asked_again_without_them(
    engine_of: Callable[..., LlmEngine], calls: Callable[[], list[Call]], model: str, status: int
) -> None:
    engine = engine_of(model)
    found = {field.name: field for field in engine.analyse(document(1, 50), INVOICE).fields}
    assert found["number"].value == "GT-2041"
    assert [call.status for call in calls()] == [status, 200, 200]
    assert [len(call.images) for call in engine.calls] == [2, 0, 0]
    assert "asked again without the images" in engine.calls[0].error


def test_images_that_fill_the_context_are_left_out_before_the_text_is_cut(
    engine_of: Callable[..., LlmEngine], calls: Callable[[], list[Call]]
) -> None:
    engine = engine_of(DEAR)
    analysis = engine.analyse(document(3, 200), INVOICE)
    assert analysis.read_share == 1.0
    assert [call.status for call in calls()] == [400, 200, 200]
    assert engine.calls[0].error.startswith("overflow: ")
    texts = {call.json["messages"][1]["content"].partition("</document ")[0] for call in calls()}
    assert len(texts) == 1


def test_an_image_that_the_server_cannot_read_does_not_open_the_circuit(
    engine_of: Callable[..., LlmEngine], calls: Callable[[], list[Call]]
) -> None:
    engine = engine_of(SEES, (PageImage(page=1, data=b"no image"),))
    engine.analyse(document(1, 50), INVOICE)
    assert [call.status for call in calls()] == [500, 200, 200]
    assert engine.calls[0].error.startswith("refused: ")


# ---------------------------------------------------------------- OpenAI-compatible servers


def told(content: object) -> Script:
    """An answer of an OpenAI-compatible server."""
    delta = {"index": 0, "delta": {"content": json.dumps(content)}, "finish_reason": "stop"}
    return answer(event({"choices": [delta]}), event("[DONE]"), kind="text/event-stream")


SUMMARY = {"title": "A bill", "summary": "For something."}
NOTHING_FOUND = {field.name: None for field in INVOICE.fields}


@pytest.fixture
def openai() -> Iterator[tuple[RawServer, LlmEngine]]:
    """A server that says what it is told, and an engine that reads with it."""
    with (
        raw_server() as server,
        closing(OpenAiClient(server.url, None, silence_seconds=30, load_seconds=30)) as client,
    ):
        yield server, LlmEngine(client, "seer", CONTEXT, b"key", images=IMAGES)


def test_an_openai_server_gets_images_as_data_urls_before_the_text(
    openai: tuple[RawServer, LlmEngine],
) -> None:
    server, engine = openai
    server.scripts = [told(SUMMARY), told(NOTHING_FOUND)]
    engine.analyse(document(1, 50), INVOICE)
    contents = [request.body["messages"][1]["content"] for request in server.requests]
    for content in contents:
        assert [part["type"] for part in content] == ["image_url", "image_url", "text"]
        urls = [part["image_url"]["url"] for part in content[:2]]
        assert [b64decode(url.removeprefix("data:image/jpeg;base64,")) for url in urls] == [
            image.data for image in IMAGES
        ]
    assert contents[0][:2] == contents[1][:2]
    assert server.requests[0].body["messages"][0]["content"] == SYSTEM


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ("400 Bad Request", "seer is not a multimodal model"),
        ("400 Bad Request", "At most 0 image(s) may be provided in one prompt."),
        (
            "500 Internal Server Error",
            "image input is not supported - hint: you may need to provide the mmproj",
        ),
    ],
)
def test_an_openai_server_that_refuses_images_is_asked_without_them(
    openai: tuple[RawServer, LlmEngine], status: str, message: str
) -> None:
    server, engine = openai
    refusal = {"error": {"message": message, "type": "BadRequestError", "code": int(status[:3])}}
    server.scripts = [json_answer(refusal, status), told(SUMMARY), told(NOTHING_FOUND)]
    assert engine.analyse(document(1, 50), INVOICE).title == "A bill"
    contents = [request.body["messages"][1]["content"] for request in server.requests]
    assert [isinstance(content, str) for content in contents] == [False, True, True]
    assert "asked again without the images" in engine.calls[0].error


@pytest.mark.parametrize(
    ("models", "sees"),
    [
        ([{"name": "seer", "capabilities": ["completion", "multimodal"]}], True),
        ([{"name": "seer", "capabilities": ["completion"]}], False),
        ([{"name": "other", "capabilities": ["multimodal"]}], False),
        ([{"name": "seer", "capabilities": None}, "seer"], False),
        ({"seer": "multimodal"}, False),
        (None, False),
    ],
)
def test_llama_cpp_says_whether_its_model_takes_images(models: object, sees: bool) -> None:
    with raw_server() as server:
        server.routes["/v1/models"] = json_answer({"models": models, "data": [{"id": "seer"}]})
        with closing(OpenAiClient(server.url, None, silence_seconds=30, load_seconds=30)) as client:
            [info] = client.models()
    assert ("vision" in info.capabilities) is sees
