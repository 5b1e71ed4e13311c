"""Page images with known text: what the OCR tests and the OCR benchmark read.

Drawn with Pillow and the Vera font that reportlab carries, so that they are the same on every machine.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import reportlab
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from rapidfuzz.distance import Levenshtein

BgrImage = NDArray[np.uint8]

FONT = Path(reportlab.__file__).parent / "fonts" / "Vera.ttf"
WHITE, INK = 255, 20

ENGLISH = (
    "Dear Mrs Hartley, thank you for your letter of 3 March 2024. The water meter in your flat was read on "
    "28 February and showed 1,482 cubic metres, which is 61 more than a year ago. Your yearly charge "
    "therefore comes to £ 214.70, of which £ 180.00 has been paid in advance.",
    "Please send the remaining £ 34.70 to the account named below before 15 April 2024. If you would rather "
    "pay by direct debit, return the enclosed form; nothing else needs to be done, and the first amount will "
    "not be taken before the end of May.",
)
GERMAN = (
    "Sehr geehrte Frau Müller, für die Überprüfung Ihrer Heizungsanlage am 12. Juni berechnen wir 96,50 € "
    "zuzüglich Umsatzsteuer. Größere Schäden wurden nicht gefunden; das äußere Rohr sollte jedoch vor dem "
    "nächsten Winter ausgewechselt werden.",
    "Bitte überweisen Sie den Betrag innerhalb von 14 Tagen. Fällt Ihnen später etwas auf, so rufen Sie uns "
    "einfach an: Das Büro in der Gößnitzer Straße 7 ist werktags von 8 bis 17 Uhr geöffnet.",
)
INVOICE = (
    ("Description of the goods", "Quantity", "Amount"),
    ("Oak shelf, oiled, 80 x 200 cm", "2", "318.00"),
    ("Wall bracket, black", "8", "36.80"),
    ("Delivery to the second floor", "1", "49.00"),
    ("Sum without tax", "", "403.80"),
    ("Tax 19 %", "", "76.72"),
    ("Total", "", "480.52"),
)


@dataclass(frozen=True)
class PageImage:
    """A picture of a page (height, width, 3; BGR) and the text that is on it, in reading order."""

    kind: str
    image: BgrImage
    text: str


def cer(expected: str, got: str) -> float:
    """Character error rate: edits per expected character, every run of white space counting as one space."""
    wanted, found = (" ".join(text.split()) for text in (expected, got))
    return Levenshtein.distance(wanted, found) / max(1, len(wanted))


def letter(
    paragraphs: tuple[str, ...] = ENGLISH + GERMAN,
    *,
    kind: str = "clean",
    dpi: int = 300,
    points: float = 10,
    width_inches: float = 5.2,
) -> PageImage:
    """One column of text on a page just high enough for it."""
    pen = _Pen(dpi, points)
    margin = round(0.4 * dpi)
    width = round(width_inches * dpi)
    lines = pen.wrap(paragraphs, width - 2 * margin)
    page = _blank(width, 2 * margin + pen.pitch * len(lines))
    pen.write(page, lines, margin, margin)
    return PageImage(kind, _bgr(page), "\n".join(lines))


def two_columns(dpi: int = 200, points: float = 9, paragraphs: int = 2) -> PageImage:
    """A heading over two columns, English on the left and German on the right."""
    pen = _Pen(dpi, points)
    margin, gutter, width = round(0.4 * dpi), round(0.2 * dpi), round(6.5 * dpi)
    column = (width - 2 * margin - gutter) // 2
    left, right = pen.wrap(ENGLISH[:paragraphs], column), pen.wrap(GERMAN[:paragraphs], column)
    heading = "Two letters about water, heating and what they cost, side by side"
    body_top = margin + 2 * pen.pitch
    page = _blank(width, body_top + pen.pitch * max(len(left), len(right)) + margin)
    pen.write(page, [heading], margin, margin)
    pen.write(page, left, margin, body_top)
    # Half a line lower: columns of real pages do not share their base lines.
    pen.write(page, right, margin + column + gutter, body_top + pen.pitch // 2)
    return PageImage("two columns", _bgr(page), "\n".join([heading, *left, *right]))


def invoice_table(dpi: int = 200, points: float = 10) -> PageImage:
    """A table of goods, whose rows must stay whole."""
    pen = _Pen(dpi, points)
    margin, width = round(0.4 * dpi), round(6 * dpi)
    page = _blank(width, 2 * margin + pen.pitch * len(INVOICE))
    draw = ImageDraw.Draw(page)
    for index, (goods, quantity, amount) in enumerate(INVOICE):
        y = margin + index * pen.pitch
        draw.text((margin, y), goods, fill=INK, font=pen.font)
        draw.text((width - round(1.9 * dpi), y), quantity, fill=INK, font=pen.font, anchor="ra")
        draw.text((width - margin, y), amount, fill=INK, font=pen.font, anchor="ra")
    return PageImage("table", _bgr(page), "\n".join(" ".join(filter(None, row)) for row in INVOICE))


def noisy_tilted(page: PageImage, *, degrees: float = 2.0, noise: float = 18.0, seed: int = 7) -> PageImage:
    """The page as a poor scanner sees it: turned a little, grey, grainy."""
    tilted = Image.fromarray(page.image).rotate(
        degrees, resample=Image.Resampling.BICUBIC, expand=True, fillcolor=(WHITE, WHITE, WHITE)
    )
    grain = np.random.default_rng(seed).normal(-12.0, noise, (tilted.height, tilted.width, 1))
    pixels = np.clip(np.asarray(tilted, dtype=np.float64) + grain, 0, 255).astype(np.uint8)
    return replace(page, kind="noisy, tilted", image=pixels)


def unreadable(page: PageImage, *, seed: int = 11) -> PageImage:
    """The page as a very bad fax: hardly any letter can be told."""
    return replace(blurred(page, factor=7, seed=seed), kind="unreadable")


def blurred(page: PageImage, *, factor: int = 5, noise: float = 30.0, seed: int = 3) -> PageImage:
    """The page at one `factor`th of its resolution, and grainy: at 5 of 200 dpi about half can be told."""
    small = Image.fromarray(page.image)
    coarse = small.resize((small.width // factor, small.height // factor), Image.Resampling.BILINEAR)
    soft = np.asarray(coarse.resize(small.size, Image.Resampling.BILINEAR), dtype=np.float64)
    grain = np.random.default_rng(seed).normal(0.0, noise, (small.height, small.width, 1))
    return replace(page, kind="blurred", image=np.clip(soft + grain, 0, 255).astype(np.uint8))


def turned(page: PageImage, degrees: int) -> PageImage:
    """The page turned clockwise by 90, 180 or 270 degrees, as from a feeder or a camera."""
    image = np.ascontiguousarray(np.rot90(page.image, -degrees // 90))
    return replace(page, kind=f"turned {degrees}", image=image)


def blank(width: int = 900, height: int = 600) -> BgrImage:
    """An empty sheet."""
    return _bgr(_blank(width, height))


class _Pen:
    def __init__(self, dpi: int, points: float) -> None:
        self.font = _font(round(points * dpi / 72))
        self.pitch = round(1.35 * points * dpi / 72)

    def wrap(self, paragraphs: tuple[str, ...], width: int) -> list[str]:
        """Break into lines of at most `width` pixels, with an empty line between paragraphs."""
        lines: list[str] = []
        for paragraph in paragraphs:
            if lines:
                lines.append("")
            line = ""
            for word in paragraph.split():
                longer = f"{line} {word}".strip()
                if line and self.font.getlength(longer) > width:
                    lines.append(line)
                    longer = word
                line = longer
            lines.append(line)
        return lines

    def write(self, page: Image.Image, lines: list[str], x: int, y: int) -> None:
        draw = ImageDraw.Draw(page)
        for index, line in enumerate(lines):
            draw.text((x, y + index * self.pitch), line, fill=INK, font=self.font)


@lru_cache(maxsize=16)
def _font(pixels: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(FONT), pixels)


def _blank(width: int, height: int) -> Image.Image:
    return Image.new("L", (width, height), WHITE)


def _bgr(page: Image.Image) -> BgrImage:
    return np.asarray(page.convert("RGB"), dtype=np.uint8)  # grey: the order of the channels is no matter
