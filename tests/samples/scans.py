"""Pages without a text layer: scanned PDFs and image files."""

import random
from io import BytesIO

from PIL import Image
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from tests.samples.drawing import TOP, a4_pdf, draw_lines, page_image
from tests.samples.invoices import ENGLISH
from tests.samples.papers import LETTER, sentence

EXIF_ORIENTATION = 0x0112
TURNED_RIGHT = 6
"""EXIF orientation: turn the stored image by 90 degrees clockwise to see it upright."""


def _encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _place(canvas: Canvas, image: Image.Image) -> None:
    jpeg = BytesIO(_encoded(image, "JPEG", quality=70))
    canvas.drawImage(ImageReader(jpeg), 0, 0, *A4)


def _prose(rng: random.Random, heading: str, count: int = 30) -> list[str]:
    return [heading, "", *(sentence(rng) for _ in range(count))]


def scanned_invoice() -> bytes:
    """The English invoice, printed and scanned slightly askew at 200 dpi."""
    with a4_pdf("") as (canvas, buffer):
        _place(canvas, page_image(ENGLISH.lines()).rotate(0.4, fillcolor=245))
    return buffer.getvalue()


def scanned(pages: int = 12, seed: int = 12, lines: int = 30) -> bytes:
    """A long scan; each page begins with its number. OCR takes the longer the more lines there are."""
    rng = random.Random(seed)
    with a4_pdf("") as (canvas, buffer):
        for number in range(1, pages + 1):
            _place(canvas, page_image(_prose(rng, f"Page {number} of the minutes", lines)))
            canvas.showPage()
    return buffer.getvalue()


def rotated() -> bytes:
    """A page that lay sideways on the scanner's glass."""
    with a4_pdf("") as (canvas, buffer):
        canvas.setPageSize((A4[1], A4[0]))
        jpeg = BytesIO(_encoded(page_image(LETTER).rotate(90, expand=True), "JPEG", quality=70))
        canvas.drawImage(ImageReader(jpeg), 0, 0, A4[1], A4[0])
    return buffer.getvalue()


def mixed() -> bytes:
    """A text page, then a scanned page."""
    with a4_pdf("Letter with enclosure") as (canvas, buffer):
        draw_lines(canvas, LETTER)
        canvas.showPage()
        _place(canvas, page_image(_prose(random.Random(3), "Enclosure: meter log")))
    return buffer.getvalue()


def stamped() -> bytes:
    """A scanned page on which the scanner's software put a line of real text."""
    with a4_pdf("") as (canvas, buffer):
        _place(canvas, page_image(LETTER))
        draw_lines(canvas, ["Scanned 2026-01-12 09:14 page 1 of 1"], top=TOP + 50)
    return buffer.getvalue()


def png() -> bytes:
    """A scanned letter as PNG."""
    return _encoded(page_image(LETTER), "PNG")


def jpeg_with_exif() -> bytes:
    """A photograph of a letter, stored lying on its left side with the EXIF mark to turn it right."""
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = TURNED_RIGHT
    upright = page_image(LETTER, (1200, 1600)).convert("RGB")
    return _encoded(upright.rotate(90, expand=True), "JPEG", quality=85, exif=exif)


def tiff(pages: int = 3) -> bytes:
    """A fax: several 1-bit pages in one file."""
    rng = random.Random(4)
    frames = [
        page_image(_prose(rng, f"Fax page {number}")).convert("1", dither=Image.Dither.NONE)
        for number in range(1, pages + 1)
    ]
    return _encoded(frames[0], "TIFF", save_all=True, append_images=frames[1:], compression="group4")


def webp() -> bytes:
    """A page as WebP."""
    return _encoded(page_image(LETTER, (1200, 1600)).convert("RGB"), "WEBP", quality=80)


def bmp() -> bytes:
    """A page as BMP."""
    return _encoded(page_image(LETTER, (1200, 1600)).convert("1"), "BMP")


def gif() -> bytes:
    """An animation whose first frame is the page."""
    first, second = page_image(LETTER, (1200, 1600)), Image.new("L", (1200, 1600), 0)
    return _encoded(first, "GIF", save_all=True, append_images=[second])


def heic() -> bytes:
    """A photograph as an iPhone stores it."""
    import pillow_heif

    image = page_image(LETTER, (1200, 1600)).convert("RGB")
    buffer = BytesIO()
    pillow_heif.from_pillow(image).save(buffer, quality=70)
    return buffer.getvalue()
