"""The OCR engine on page images with known text, and the model folders it is built from."""

import gc
import json
import os
import subprocess
import sys
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tasks.boxes import box_of
from tasks.documents import Page, TextSource
from tasks.engines import ocr_device, ocr_models, paddle
from tasks.engines.ocr_models import ensure_models
from tasks.engines.paddle import PaddleEngine
from tasks.errors import ConfigError
from tests import pageimages
from tests.pageimages import PageImage, cer

LETTER = pageimages.letter((pageimages.ENGLISH[0], pageimages.GERMAN[1]), dpi=200)
SHORT_COLUMNS = pageimages.two_columns(paragraphs=1)


# --- model folders ---


def test_model_folders_are_whole_and_carry_their_licences(tmp_path: Path) -> None:
    models = ensure_models(tmp_path)
    for folder in (models.det, models.rec):
        assert (folder / "inference.onnx").stat().st_size > 1_000_000
        assert folder.name in (folder / "inference.yml").read_text(encoding="utf-8")
    assert "Apache" in (models.det.parent / "LICENSE").read_text(encoding="utf-8")
    assert (models.det.parent / "MODEL_LICENSES.md").is_file()
    assert ocr_models.models_version() == models.version


def test_model_folders_are_built_once(tmp_path: Path) -> None:
    first = ensure_models(tmp_path)
    built = (first.rec / "inference.onnx").stat().st_ino
    assert ensure_models(tmp_path) == first
    assert (first.rec / "inference.onnx").stat().st_ino == built


def test_an_incomplete_model_folder_is_replaced(tmp_path: Path) -> None:
    models = ensure_models(tmp_path)
    (models.rec / "inference.yml").unlink()
    assert ensure_models(tmp_path) == models
    assert (models.rec / "inference.yml").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [models.version]


def test_another_version_gets_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = ensure_models(tmp_path)
    monkeypatch.setattr(ocr_models, "LAYOUT_REVISION", ocr_models.LAYOUT_REVISION + 1)
    new = ensure_models(tmp_path)
    assert new.version != old.version
    assert (new.det / "inference.onnx").is_file() and new.det != old.det


def test_builders_at_the_same_time_agree(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        built = list(pool.map(ensure_models, [tmp_path] * 4))
    assert len(set(built)) == 1
    assert [path.name for path in tmp_path.iterdir()] == [built[0].version]
    assert (built[0].rec / "inference.yml").is_file()


def test_a_missing_wheel_is_named_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocr_models, "WHEEL", "shoebox-no-such-wheel")
    with pytest.raises(ConfigError, match="shoebox-no-such-wheel") as caught:
        ensure_models(tmp_path)
    assert "run.sh" in caught.value.remedy


def test_a_models_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("in the way", encoding="utf-8")
    with pytest.raises(ConfigError, match="models"):
        ensure_models(tmp_path / "models")


# --- the engine without models ---


class FailingPipeline:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def predict(self, image: object, **_: object) -> object:
        raise self.error


@pytest.mark.parametrize(
    "message",
    [
        "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running Conv node. "
        "Status Message: std::bad_alloc",
        "OpenCV(4.10.0) alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate 28876800 bytes",
    ],
)
def test_running_out_of_memory_is_a_memory_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, message: str
) -> None:
    monkeypatch.setattr(paddle, "_load", lambda *_: FailingPipeline(Exception(message)))
    with pytest.raises(MemoryError):
        PaddleEngine(tmp_path).read(LETTER.image, 1)


def test_other_failures_are_left_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paddle, "_load", lambda *_: FailingPipeline(RuntimeError("no such node")))
    with pytest.raises(RuntimeError, match="no such node"):
        PaddleEngine(tmp_path).read(LETTER.image, 1)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((40, 40), np.uint8),
        np.zeros((40, 40, 4), np.uint8),
        np.zeros((0, 40, 3), np.uint8),
        np.zeros((40, 40, 3), np.float32),
    ],
)
def test_an_array_that_is_no_page_image_is_refused(tmp_path: Path, image: np.ndarray) -> None:
    with pytest.raises(ValueError, match="height, width, 3"):
        PaddleEngine(tmp_path).read(image, 1)


def test_a_long_receipt_is_looked_at_with_as_many_pixels_as_a_letter(tmp_path: Path) -> None:
    def pixels(width: int, height: int) -> float:
        side = paddle._detection_side(np.empty((height, width, 3), np.uint8))
        return side * side * width / height

    assert pixels(630, 5000) == pytest.approx(pixels(1654, 2339), rel=0.01)
    assert paddle._detection_side(np.empty((100, 90_000, 3), np.uint8)) == paddle.LONGEST_DETECTION_SIDE


# --- the engine on real models ---


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PaddleEngine]:
    yield PaddleEngine(tmp_path_factory.mktemp("models"), threads=1)


def assert_read(page: Page, expected: PageImage, worst_cer: float) -> None:
    assert cer(expected.text, page.text) <= worst_cer
    assert page.source is TextSource.OCR
    assert page.score > 0.95


@pytest.mark.ocr
@pytest.mark.parametrize(
    ("expected", "worst_cer"),
    [
        (pageimages.letter(pageimages.GERMAN), 0.005),
        (LETTER, 0.005),
        (pageimages.letter(points=6, dpi=200, kind="tiny print"), 0.005),
        (pageimages.noisy_tilted(LETTER), 0.01),
        (pageimages.two_columns(), 0.01),
        (pageimages.invoice_table(), 0.005),
    ],
    ids=lambda value: value.kind if isinstance(value, PageImage) else "",
)
def test_text_is_read(engine: PaddleEngine, expected: PageImage, worst_cer: float) -> None:
    page = engine.read(expected.image, 7)
    assert_read(page, expected, worst_cer)
    assert (page.number, page.rotation) == (7, 0)
    assert (page.height, page.width) == expected.image.shape[:2]


@pytest.mark.ocr
def test_rows_of_a_read_table_stay_whole(engine: PaddleEngine) -> None:
    rows = engine.read(pageimages.invoice_table().image, 1).text.split("\n")
    assert rows == ["\t".join(filter(None, row)) for row in pageimages.INVOICE]


@pytest.mark.ocr
@pytest.mark.parametrize("degrees", [90, 180, 270])
@pytest.mark.parametrize("upright", [LETTER, SHORT_COLUMNS], ids=lambda page: page.kind)
def test_a_turned_page_is_read_upright(engine: PaddleEngine, upright: PageImage, degrees: int) -> None:
    page = engine.read(pageimages.turned(upright, degrees).image, 1)
    assert_read(page, upright, 0.02)
    assert page.rotation == 360 - degrees
    assert (page.height, page.width) == upright.image.shape[:2]
    if upright is LETTER:
        assert_lines_lie_on_the_upright_page(page)


def assert_lines_lie_on_the_upright_page(page: Page) -> None:
    first, last = page.lines[0], page.lines[-1]
    assert LETTER.text.startswith(first.text) and LETTER.text.endswith(last.text)
    assert first.box[3] < page.height / 4 and last.box[1] > page.height * 3 / 4
    for x0, y0, x1, y1 in (line.box for line in page.lines):
        assert 0 <= x0 < x1 <= page.width and 0 <= y0 < y1 <= page.height
    assert all(0.8 < line.confidence <= 1 for line in page.lines)


@pytest.mark.ocr
def test_the_box_of_a_quote_holds_its_words(engine: PaddleEngine) -> None:
    """What is cut out of the picture along the box is read as the quote."""
    picture = pageimages.invoice_table().image
    page = engine.read(picture, 1)
    for quote in ("480.52", "Wall bracket, black", "Tax 19 %"):
        start = page.text.rindex(quote)
        box = box_of(page, start, start + len(quote))
        assert box is not None
        x0, y0, x1, y1 = box
        cut_out = np.pad(picture[y0:y1, x0:x1], ((20, 20), (40, 40), (0, 0)), constant_values=255)
        assert engine.read(cut_out, 1).text == quote


@pytest.mark.ocr
def test_an_empty_page_has_no_text(engine: PaddleEngine) -> None:
    page = engine.read(pageimages.blank(), 1)
    assert (page.text, page.score, page.lines, page.error) == ("", 0.0, (), "")


@pytest.mark.ocr
def test_a_bad_fax_is_not_turned(engine: PaddleEngine) -> None:
    fax = pageimages.unreadable(pageimages.letter(pageimages.ENGLISH[:1]))
    page = engine.read(fax.image, 1)
    assert page.rotation == 0
    assert page.score < 0.85, "the page must be bad enough to be suspected"
    assert page.lines


@pytest.mark.ocr
def test_a_tiny_image_is_no_error(engine: PaddleEngine) -> None:
    assert engine.read(np.full((3, 5, 3), 255, np.uint8), 1).text == ""


@pytest.mark.ocr
def test_releasing_gives_the_models_back(engine: PaddleEngine) -> None:
    engine.read(np.full((30, 50, 3), 255, np.uint8), 1)
    pipeline = engine._ladder.pipeline(ocr_device.on_cpu("as before")).paddlex_pipeline._pipeline
    sessions = [weakref.ref(one.runner.session) for one in (pipeline.text_det_model, pipeline.text_rec_model)]
    assert all(session() is not None for session in sessions)
    del pipeline
    gc.disable()  # so that it is the engine that collects
    try:
        engine.release()
        assert [session() for session in sessions] == [None, None]
    finally:
        gc.enable()


READ_ONE_PAGE = """
import json, sys
from pathlib import Path
calls = []
sys.addaudithook(lambda event, args: calls.append(repr(args)) if event in (
    "socket.connect", "socket.getaddrinfo", "socket.sendto", "subprocess.Popen") else None)
from tasks.engines.paddle import PaddleEngine
engine = PaddleEngine(Path(sys.argv[1]), threads=1)
heavy = [name for name in ("paddleocr", "paddlex", "onnxruntime", "cv2", "torch") if name in sys.modules]
from tests import pageimages
page = engine.read(pageimages.letter(pageimages.GERMAN[:1], dpi=200).image, 1)
print(json.dumps({"text": page.text, "calls": calls, "heavy": heavy}))
"""


@pytest.mark.ocr
def test_reading_is_quiet_and_keeps_to_the_machine_and_the_models_folder(tmp_path: Path) -> None:
    home, models = tmp_path / "home", tmp_path / "models"
    home.mkdir()
    # onnxruntime sends and stores nothing where CI is set, whatever the engine does.
    environment = {name: value for name, value in os.environ.items() if name != "CI" and "XDG" not in name}
    done = subprocess.run(
        [sys.executable, "-c", READ_ONE_PAGE, str(models)],
        env=environment | {"HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    seen = json.loads(done.stdout)
    assert seen["text"].startswith("Sehr geehrte Frau Müller")
    assert seen["calls"] == []
    assert seen["heavy"] == [], "the engine loads its libraries on the first page"
    assert done.stderr == ""
    assert list(home.iterdir()) == []


READ_WITH_LITTLE_MEMORY = """
import json, logging, resource, sys
from pathlib import Path
import numpy as np
from tasks.engines.paddle import PaddleEngine
from tests import pageimages
heard = []
logging.getLogger("shoebox.ocr").addHandler(handler := logging.Handler())
handler.emit = lambda record: heard.append(record.getMessage())
letter = pageimages.letter(pageimages.GERMAN[:1], dpi=200).image
page = np.full((2339, 1654, 3), 255, np.uint8)
page[200:200 + len(letter), :letter.shape[1]] = letter
engine = PaddleEngine(Path(sys.argv[1]), threads=1)
engine.read(page, 1)
heard.clear()
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 100 * 2**20, resource.RLIM_INFINITY))
try:
    little = engine.read(page, 2).text
except MemoryError as error:
    little = str(error)
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
steps = list(heard)
print(json.dumps({"little": little, "steps": steps, "enough": engine.read(page, 3).text, "heard": heard}))
"""


@pytest.mark.ocr
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds a process to RLIMIT_AS")
def test_a_page_is_read_though_memory_runs_out(tmp_path: Path) -> None:
    """onnxruntime meets a real limit, at which it fails in its own words."""
    done = subprocess.run(
        [sys.executable, "-c", READ_WITH_LITTLE_MEMORY, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    seen = json.loads(done.stdout)
    # How far down it has to go differs by machine and allocator; the last step is a MemoryError.
    assert cer(pageimages.GERMAN[0], seen["little"]) <= 0.01 or "ran out of memory" in seen["little"]
    assert "page 2: out of memory on cpu" in seen["steps"][0]
    assert any("for want of memory" in line for line in seen["steps"]), "it tried with less"
    assert cer(pageimages.GERMAN[0], seen["enough"]) == 0
    assert seen["heard"] == seen["steps"], "with enough memory there is nothing to say"
