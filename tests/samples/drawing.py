"""Shared ways of drawing: an A4 PDF that is the same bytes every time, and a page image."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import reportlab
from PIL import Image, ImageDraw, ImageFont
from reportlab import rl_config
from reportlab.lib.pagesizes import A4
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfgen.canvas import Canvas

BOLD = "Helvetica-Bold"
TOP = 770
"""Baseline of the first line of an A4 page, in points from below."""
A4_PIXELS = (1654, 2339)
"""A4 at 200 dpi, width and height."""

rl_config.useA85 = 0  # pictures as they are, not as text: spelling one out takes longer than drawing it

_FONT = Path(reportlab.__file__).parent / "fonts" / "Vera.ttf"


@contextmanager
def a4_pdf(title: str, encrypt: StandardEncryption | None = None) -> Iterator[tuple[Canvas, BytesIO]]:
    """A canvas to draw on and the buffer that holds the PDF after the block."""
    buffer = BytesIO()
    canvas = Canvas(buffer, pagesize=A4, invariant=1, encrypt=encrypt)
    canvas.setTitle(title)
    yield canvas, buffer
    canvas.save()


def draw_lines(canvas: Canvas, lines: Sequence[str], x: int = 60, top: int = TOP, step: int = 15) -> None:
    """Text lines from the top down, 10 points high."""
    canvas.setFont("Helvetica", 10)
    for index, line in enumerate(lines):
        canvas.drawString(x, top - step * index, line)


def page_image(lines: Sequence[str], size: tuple[int, int] = A4_PIXELS) -> Image.Image:
    """A gray page with black text lines, as a scanner at 200 dpi would give it."""
    image = Image.new("L", size, 245)
    draw = ImageDraw.Draw(image)
    font = ImageFont.truetype(_FONT, size[0] // 56)
    step = size[0] // 34
    for index, line in enumerate(lines):
        draw.text((size[0] // 14, size[1] // 12 + index * step), line, fill=20, font=font)
    return image
