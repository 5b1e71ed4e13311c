"""Poor scans on a running system: real OCR, real workers, and a model that takes images."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.documents import Page, State, TextSource
from tasks.engines.llm.base import CallTrace
from tasks.ledger import Ledger
from tests.ollama import Call, ModelSpec, OllamaDouble
from tests.pageimages import ENGLISH, PageImage, blurred, letter, turned, unreadable
from tests.system import System, running
from tests.test_llm_system import LARGE, SMALL, await_models, by_model

pytestmark = [pytest.mark.timeout(600), pytest.mark.ocr]

SEEING = replace(LARGE, capabilities=("completion", "vision"))


@pytest.fixture(scope="module")
def running_double() -> Iterator[OllamaDouble]:
    with OllamaDouble((SMALL, SEEING)) as started:
        yield started


@pytest.fixture(scope="module")
def running_system(
    running_double: OllamaDouble, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    with running(
        tmp_path_factory.mktemp("system"),
        OLLAMA_HOST=running_double.url,
        SHOEBOX_SILENCE_SECONDS="30",
    ) as started:
        yield started


@pytest.fixture
def system(running_system: System, running_double: OllamaDouble) -> System:
    """The system without documents, and with its models noticed."""
    offer(running_system, running_double, SEEING)
    running_system.forget_documents()
    return running_system


@pytest.fixture
def chats(running_double: OllamaDouble) -> Callable[[], list[Call]]:
    """The calls to the large model since the test began."""
    before = len(running_double.calls("/api/chat"))
    return lambda: [
        call
        for call in running_double.settled("/api/chat")[before:]
        if call.model.startswith("shoebox-large")
    ]


def offer(system: System, double: OllamaDouble, large: ModelSpec) -> None:
    """Let the double have this large model, and wait until home has heard of it."""
    from tasks.circuit import load_circuit

    double.offer((SMALL, large))

    def is_known() -> bool:
        with Ledger.open(system.settings) as ledger:
            found = load_circuit(ledger).known.find(large.name)
        return found is not None and found.capabilities == large.capabilities

    system.await_true(is_known, what="home knows the model")
    await_models(system)


def scan(path: Path, *pages: PageImage) -> Path:
    """A TIFF with a frame for each page."""
    first, *others = [Image.fromarray(page.image).convert("L") for page in pages]
    first.save(path, "TIFF", save_all=True, append_images=others, compression="tiff_deflate")
    return path


def pages_of(system: System, document: str) -> list[Page]:
    with Ledger.open(system.settings) as ledger:
        return ledger.pages(document)


def traces_of(system: System, document: str) -> list[CallTrace]:
    with Ledger.open(system.settings) as ledger:
        return [call for _, _, call in ledger.calls(document) if call.purpose != "classify"]


def jpegs(call: Call) -> list[bytes]:
    """The images of a call, as they came over the wire."""
    from base64 import b64decode

    return [b64decode(image) for image in call.json["messages"][1].get("images", [])]


def difference(jpeg: bytes, page: PageImage) -> float:
    """How far an image is from a page, in gray levels a pixel."""
    shown = Image.open(BytesIO(jpeg)).convert("L")
    expected = Image.fromarray(page.image).convert("L").resize(shown.size, Image.Resampling.LANCZOS)
    return float(np.abs(np.asarray(shown, dtype=float) - np.asarray(expected, dtype=float)).mean())


def test_the_model_sees_exactly_the_pages_that_ocr_read_badly(
    system: System, chats: Callable[[], list[Call]], tmp_path: Path
) -> None:
    good, poor = letter(dpi=200), [unreadable(letter(dpi=200), seed=seed) for seed in (11, 12)]
    path = scan(tmp_path / "scan.tiff", poor[0], good, poor[1])
    system.run("add", path, "--wait", check=False)
    [document] = system.await_ended()
    assert by_model(document)
    pages = pages_of(system, document.id)
    assert [page.source for page in pages] == [TextSource.OCR] * 3
    low = [page.number for page in pages if page.score < system.settings.vision_below]
    assert low == [1, 3]

    calls = chats()
    assert len(calls) >= 2
    assert len({tuple(call.images) for call in calls}) == 1
    assert calls[0].images == [hashlib.sha256(jpeg).hexdigest() for jpeg in jpegs(calls[0])]
    assert len(jpegs(calls[0])) == 2
    for jpeg, page in zip(jpegs(calls[0]), poor, strict=True):
        assert min((good, *poor), key=lambda other: difference(jpeg, other)) is page
    for trace, call in zip(traces_of(system, document.id), calls, strict=True):
        assert [note.page for note in trace.images] == low
        assert [note.sha256 for note in trace.images] == call.images
    assert "with the images of pages 1, 3" in system.run("show", document.id, "--trace").stdout


def test_a_page_that_lay_on_its_head_is_shown_upright(
    system: System, chats: Callable[[], list[Call]], tmp_path: Path
) -> None:
    upright = blurred(letter(ENGLISH, dpi=200))
    system.run("add", scan(tmp_path / "head.tiff", turned(upright, 180)), "--wait", check=False)
    [document] = system.await_ended()
    [page] = pages_of(system, document.id)
    assert page.rotation == 180 and page.score < system.settings.vision_below
    [jpeg] = jpegs(chats()[0])
    assert difference(jpeg, upright) < difference(jpeg, turned(upright, 180)) / 2


def test_a_model_without_eyes_and_good_pages_get_text_alone(
    system: System, running_double: OllamaDouble, chats: Callable[[], list[Call]], tmp_path: Path
) -> None:
    system.run("add", scan(tmp_path / "good.tiff", letter(dpi=200)), "--wait", check=False)
    offer(system, running_double, LARGE)
    poor = unreadable(letter(dpi=200), seed=5)
    system.run("add", scan(tmp_path / "poor.tiff", poor), "--wait", check=False)
    documents = system.await_ended()
    assert all(map(by_model, documents))
    assert len(chats()) >= 4
    assert not any(b'"images"' in call.raw for call in chats())


def test_a_server_that_says_it_sees_and_does_not_costs_no_document(
    system: System, running_double: OllamaDouble, chats: Callable[[], list[Call]], tmp_path: Path
) -> None:
    from tests.ollama import FaultKind

    refusal = "image input is not supported - hint: you may need to provide the mmproj"
    running_double.order(
        FaultKind.INTERNAL, text=refusal, times=1, model="shoebox-large", contains='"images"'
    )
    path = scan(tmp_path / "refused.tiff", unreadable(letter(dpi=200), seed=9))
    system.run("add", path, "--wait", check=False)
    [document] = system.await_ended()
    assert by_model(document)
    assert document.state in {State.DONE, State.REVIEW}
    assert [call.status for call in chats()][:2] == [500, 200]
    assert all(unit.attempts == 0 for unit in system.units(document.id))
    assert "asked again without the images" in system.run("show", document.id, "--trace").stdout
