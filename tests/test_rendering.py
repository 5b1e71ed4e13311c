"""Page images: upright, bounded, and in the colours that OCR expects."""

from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from reportlab.pdfgen.canvas import Canvas

from tasks.errors import FileError
from tasks.reading import decode
from tests.reading import SPOOL_NAME, drawn, encoded
from tests.samples import SAMPLES, office, papers, scans, trouble
from tests.samples.drawing import page_image
from tests.samples.papers import LETTER

SMALL = (300, 400)


def _blank_pdf(width: float, height: float) -> bytes:
    buffer = BytesIO()
    canvas = Canvas(buffer, pagesize=(width, height), invariant=1)
    canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def _dark_corner(image: NDArray[np.uint8]) -> str:
    """Which corner of the image has most ink."""
    rows, columns = image.shape[0] // 2, image.shape[1] // 2
    ink = 255 - image.mean(axis=2)
    corners = {
        "top left": ink[:rows, :columns],
        "top right": ink[:rows, columns:],
        "bottom left": ink[rows:, :columns],
        "bottom right": ink[rows:, columns:],
    }
    return max(corners, key=lambda name: corners[name].mean())


def _marked() -> Image.Image:
    """A white page with a black square at its top left."""
    image = Image.new("L", SMALL, 255)
    image.paste(0, (0, 0, 60, 60))
    return image


@pytest.mark.parametrize(
    "name", ["page.png", "page.webp", "page.bmp", "page.gif", "photo.heic", "photo-rotated.jpg", "fax.tiff"]
)
def test_every_kind_of_image_is_drawn_upright(name: str) -> None:
    image = decode(drawn(SAMPLES[name](), name))
    assert image.dtype == np.uint8
    assert image.shape[0] > image.shape[1]
    assert image.shape[2] == 3
    assert image.mean() > 200
    assert image.min() < 60
    assert _dark_corner(image) == "top left"


def test_a_pdf_page_has_the_resolution_asked_for() -> None:
    letter = papers.letter()
    assert decode(drawn(letter)).shape == (2339, 1654, 3)
    assert decode(drawn(letter, render_dpi=100)).shape == (1170, 827, 3)


def test_the_page_asked_for_is_drawn() -> None:
    pages = [decode(drawn(scans.mixed(), number=number)) for number in (1, 2)]
    assert not np.array_equal(pages[0], pages[1])
    frames = [decode(drawn(scans.tiff(), number=number)) for number in (1, 2, 3)]
    assert not np.array_equal(frames[0], frames[1])
    assert not np.array_equal(frames[1], frames[2])


def test_form_values_are_drawn() -> None:
    image = decode(drawn(papers.form(), render_dpi=72))
    field = image[842 - 734 : 842 - 718, 165:355]
    assert field.min() < 120


@pytest.mark.parametrize(("width", "height"), [(28_346, 28_346), (1e7, 1e7), (14_400, 1), (0.01, 0.01)])
def test_no_page_size_exhausts_the_memory(width: float, height: float) -> None:
    image = decode(drawn(_blank_pdf(width, height), max_page_pixels=1_000_000))
    assert image.shape[0] * image.shape[1] <= 1_010_000
    assert max(image.shape) <= 20_000


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_large_image_is_scaled_down(kind: str) -> None:
    large = encoded(page_image(LETTER, (3000, 4000)), kind)
    image = decode(drawn(large, max_page_pixels=1_000_000))
    assert image.shape[0] * image.shape[1] <= 1_000_000
    assert image.shape[0] / image.shape[1] == pytest.approx(4 / 3, abs=0.01)
    assert _dark_corner(image) == "top left"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    turns = (
        [],
        [Image.Transpose.FLIP_LEFT_RIGHT],
        [Image.Transpose.ROTATE_180],
        [Image.Transpose.FLIP_TOP_BOTTOM],
        [Image.Transpose.TRANSPOSE],
        [Image.Transpose.ROTATE_90],
        [Image.Transpose.TRANSVERSE],
        [Image.Transpose.ROTATE_270],
    )
    stored = _marked()
    for turn in turns[orientation - 1]:
        stored = stored.transpose(turn)
    exif = Image.Exif()
    exif[scans.EXIF_ORIENTATION] = orientation
    image = decode(drawn(encoded(stored, "JPEG", exif=exif)))
    assert image.shape[:2] == (SMALL[1], SMALL[0])
    assert _dark_corner(image) == "top left"


def _transparent() -> Image.Image:
    ink = _marked().point(lambda value: 255 - value)
    return Image.merge("LA", (Image.new("L", SMALL, 0), ink))


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(_marked().convert("1"), id="1-bit"),
        pytest.param(_marked().convert("P"), id="palette"),
        pytest.param(_transparent(), id="gray with alpha"),
        pytest.param(_transparent().convert("RGBA"), id="RGBA"),
        pytest.param(Image.fromarray(np.asarray(_marked()).astype(np.uint16) * 16), id="12 bits in 16"),
    ],
)
def test_every_pixel_format_becomes_black_on_white(image: Image.Image) -> None:
    pixels = decode(drawn(encoded(image, "PNG")))
    assert pixels[30, 30].tolist() == [0, 0, 0]
    assert pixels[300, 200].tolist() == [255, 255, 255]


def test_cmyk_is_not_inverted() -> None:
    pixels = decode(drawn(encoded(_marked().convert("CMYK"), "JPEG", quality=95)))
    assert pixels[30, 30].max() < 40
    assert pixels[300, 200].min() > 215


def test_colours_come_as_bgr_and_gray_is_sent_as_gray() -> None:
    blue = drawn(encoded(Image.new("RGB", SMALL, (0, 0, 250)), "PNG"))
    assert decode(blue)[0, 0].tolist() == [250, 0, 0]
    assert Image.open(BytesIO(drawn(encoded(_marked().convert("RGB"), "PNG")))).mode == "L"
    assert Image.open(BytesIO(drawn(papers.letter()))).mode == "L"


def test_the_thumbnail_in_a_tiff_is_no_page() -> None:
    thumbnail, page = Image.new("L", (30, 40), 255), _marked()
    buffer = BytesIO()
    thumbnail.encoderinfo = {"tiffinfo": {254: 1}}
    page.encoderinfo = {"tiffinfo": {254: 0}}
    thumbnail.save(buffer, "TIFF", save_all=True, append_images=[page], tiffinfo={254: 1})
    assert decode(drawn(buffer.getvalue())).shape == (SMALL[1], SMALL[0], 3)


def test_a_page_of_a_mail_is_drawn_from_its_attachment() -> None:
    scan = scans.scanned(pages=2)
    mail = office.eml(
        {"note.txt": ("text/plain", b"two pages follow"), "scan.pdf": ("application/pdf", scan)}
    )
    assert drawn(mail, "mail.eml", number=4) == drawn(scan, number=2)
    outer = office.eml({"mail.eml": ("application/octet-stream", mail)})
    assert drawn(outer, "mail.eml", number=5) == drawn(scan, number=2)


@pytest.mark.parametrize(
    ("content", "name", "number", "words"),
    [
        (trouble.truncated_jpeg, "cut.jpg", 1, "damaged or cut off"),
        (scans.tiff, "fax.tiff", 4, "no page 4"),
        (scans.png, "page.png", 2, "no page 2"),
        (papers.letter, "letter.pdf", 2, "page 2"),
        (office.eml, "mail.eml", 1, "no page 1 that could be drawn"),
        (office.text, "notes.txt", 1, "Page 1 is text"),
    ],
)
def test_a_page_that_cannot_be_drawn_says_why(content, name: str, number: int, words: str) -> None:
    with pytest.raises(FileError) as caught:
        drawn(content(), name, number=number)
    assert words in caught.value.message
    assert SPOOL_NAME not in caught.value.message


@pytest.mark.parametrize("image", [b"", b"\x89PNG\r\n\x1a\n", b"no image at all"])
def test_a_broken_page_image_is_an_error(image: bytes) -> None:
    with pytest.raises(FileError, match="damaged"):
        decode(image)
