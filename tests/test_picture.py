"""Page images for a model: upright, of bounded size, and the same every time."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tasks.errors import FileError
from tasks.reading import extract, picture
from tasks.reading.rendering import PICTURE_PIXELS, PICTURE_SIDE
from tasks.settings import Settings
from tests.pageimages import letter, turned
from tests.reading import encoded
from tests.samples import office, papers, scans


def pictured(
    tmp_path: Path, content: bytes, name: str = "page.png", number: int = 1, rotation: int = 0
) -> bytes:
    """The JPEG that `picture` makes of a page."""
    path, settings = tmp_path / "spooled", Settings(data_dir=tmp_path / "data")
    path.write_bytes(content)
    return picture(path, extract(path, name, settings).mime, number, rotation, settings)


def pixels(jpeg: bytes) -> NDArray[np.float64]:
    return np.asarray(Image.open(BytesIO(jpeg)).convert("L"), dtype=np.float64)


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_page_that_lay_turned_arrives_upright(tmp_path: Path, degrees: int) -> None:
    """OCR says by how many degrees clockwise a page has to be turned; the scan lay the other way round."""
    page = letter(dpi=150)
    upright = pixels(pictured(tmp_path, encoded(Image.fromarray(page.image), "PNG")))
    scan = turned(page, (360 - degrees) % 360) if degrees else page
    stored = encoded(Image.fromarray(scan.image), "PNG")
    assert np.abs(pixels(pictured(tmp_path, stored, rotation=degrees)) - upright).mean() < 1
    wrong = pixels(pictured(tmp_path, stored, rotation=(degrees + 180) % 360))
    assert wrong.shape == upright.shape
    assert np.abs(wrong - upright).mean() > 5


def test_a_pdf_page_is_drawn_with_the_rotation_that_ocr_found(tmp_path: Path) -> None:
    as_stored = pixels(pictured(tmp_path, scans.rotated(), "scan.pdf"))
    upright = pixels(pictured(tmp_path, scans.rotated(), "scan.pdf", rotation=90))
    assert as_stored.shape == upright.T.shape
    assert np.abs(np.rot90(as_stored, -1) - upright).mean() < 1


@pytest.mark.parametrize(("width", "height"), [(3000, 4000), (4000, 3000), (5000, 5000), (200, 9000)])
def test_a_large_page_is_scaled_down_and_keeps_its_shape(tmp_path: Path, width: int, height: int) -> None:
    made = pixels(pictured(tmp_path, encoded(Image.new("L", (width, height), 255), "PNG")))
    assert max(made.shape) <= PICTURE_SIDE
    assert made.size <= PICTURE_PIXELS
    assert made.shape[1] / made.shape[0] == pytest.approx(width / height, rel=0.05)


def test_a_small_page_is_left_as_it_is(tmp_path: Path) -> None:
    assert pixels(pictured(tmp_path, encoded(Image.new("L", (300, 400), 255), "PNG"))).shape == (400, 300)


def test_even_noise_has_a_bounded_size_and_a_page_is_far_smaller(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (2400, 1700, 3), dtype=np.uint8)
    assert len(pictured(tmp_path, encoded(Image.fromarray(noise), "PNG"))) < 1_400_000
    assert len(pictured(tmp_path, scans.scanned_invoice(), "scan.pdf")) < 500_000


def test_the_same_page_gives_the_same_jpeg_and_gray_stays_gray(tmp_path: Path) -> None:
    one, other = (pictured(tmp_path, scans.scanned(2), "scan.pdf", number=2) for _ in range(2))
    assert one == other
    image = Image.open(BytesIO(one))
    assert (image.format, image.mode) == ("JPEG", "L")


@pytest.mark.parametrize(
    ("content", "name", "number"), [(papers.letter, "letter.pdf", 2), (office.text, "notes.txt", 1)]
)
def test_a_page_that_cannot_be_drawn_says_so(tmp_path: Path, content, name: str, number: int) -> None:
    with pytest.raises(FileError):
        pictured(tmp_path, content(), name, number)
