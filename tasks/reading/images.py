"""Image files: how many pages they have, and each page upright in RGB or gray.

Pillow is told the format, because it knows others that start external programs.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from math import sqrt
from pathlib import Path
from struct import error as struct_error
from typing import TYPE_CHECKING

from tasks.documents import Extraction, Page, TextSource
from tasks.errors import FileError
from tasks.reading.cleaning import shown, unreadable_page
from tasks.reading.kinds import GET_AGAIN, Kind
from tasks.settings import Settings

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_IMAGE_PIXELS = 400_000_000
"""An A0 sheet at 500 dpi. An image that claims more is refused before it is decoded."""

_FORMATS = {
    Kind.PNG: "PNG",
    Kind.JPEG: "JPEG",
    Kind.TIFF: "TIFF",
    Kind.WEBP: "WEBP",
    Kind.BMP: "BMP",
    Kind.GIF: "GIF",
    Kind.HEIC: "HEIF",
}
# Pillow's plugins raise whatever their parsers meet; all of it means a damaged file.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    RuntimeError,
    TypeError,
    LookupError,
    ArithmeticError,
    struct_error,
)
_SUBFILE_TYPE = 254
"""TIFF tag: bit 0 marks a smaller copy of another page (TIFF 6.0, section 8)."""


def extract_image(path: Path, name: str, kind: Kind, settings: Settings) -> Extraction:
    """One page that needs OCR for each page of a TIFF; one for any other image, animations included.

    Raises:
        FileError: not a readable image, too large, or with too many pages.
    """
    with _opened(path, name, kind) as image:
        frames, damage = _frames(image, settings.max_pages + 1)
        count = len(frames)
        if count > settings.max_pages:
            raise FileError(
                f"{shown(name)} has more than {settings.max_pages:,} pages.",
                "Split it, or raise the setting max_pages.",
            )
    pages = tuple(
        Page(number=number, text="", source=TextSource.NONE, score=0.0, needs_ocr=True)
        for number in range(1, count + 1)
    )
    if damage:
        words = f"This page and what follows it are damaged or cut off: {damage}."
        pages = (*pages, unreadable_page(count + 1, words))
    return Extraction(mime=kind, pages=pages)


def image_size(path: Path, name: str, kind: Kind) -> tuple[int, int]:
    """Width and height of the first page in pixels, from the header.

    Raises:
        FileError: not a readable image or too large.
    """
    with _opened(path, name, kind) as image:
        return image.width, image.height


def render_image(path: Path, name: str, kind: Kind, number: int, settings: Settings) -> "Image":
    """Page `number` (1-based) upright in mode RGB or L, at most `max_page_pixels` large.

    Raises:
        FileError: the image is damaged, or has no such page.
    """
    with _opened(path, name, kind) as image:
        frames, _ = _frames(image, number)
        if not 1 <= number <= len(frames):
            raise FileError(f"{shown(name)} has no page {number}.", GET_AGAIN)
        try:
            return _upright(image, frames[number - 1], settings.max_page_pixels, name)
        except _DAMAGE as cause:
            raise FileError(f"{shown(name)} is damaged or cut off: {cause}.", GET_AGAIN) from cause


@contextmanager
def _opened(path: Path, name: str, kind: Kind) -> "Iterator[Image]":
    import pillow_heif
    from PIL import Image, TiffImagePlugin, WebPImagePlugin  # noqa: F401 - these two register themselves

    pillow_heif.register_heif_opener()
    # Our own limit is checked below, for every page; Pillow's would warn at a quarter of it.
    Image.MAX_IMAGE_PIXELS = None
    with warnings.catch_warnings():
        # Pillow warns of odd metadata in images that it then reads.
        warnings.simplefilter("ignore")
        try:
            image = Image.open(path, formats=[_FORMATS[kind]])
        except _DAMAGE as cause:
            raise FileError(
                f"{shown(name)} is not a readable image: it is damaged or cut off.", GET_AGAIN
            ) from cause
        with image:
            _refuse_bomb(image, name)
            yield image


def _refuse_bomb(image: "Image", name: str) -> None:
    if image.width * image.height > MAX_IMAGE_PIXELS:
        raise FileError(
            f"{shown(name)} is an image of {image.width:,} by {image.height:,} pixels; "
            f"the limit is {MAX_IMAGE_PIXELS:,} pixels.",
            "Save it with a lower resolution and add that.",
        )


def _frames(image: "Image", enough: int) -> tuple[list[int], str]:
    """Indexes of the frames that are pages: all of a TIFF but its thumbnails, else only the main one.

    With it, why those behind them cannot be reached; empty if they end as they should.

    The further frames of a GIF or WebP are an animation, of a JPEG (MPO) or HEIC depth maps or previews.
    The main one is where Pillow stands after opening; in a HEIC it need not be the first.
    """
    if image.format != "TIFF":
        return [image.tell()], ""
    pages: list[int] = []
    index = 0
    while len(pages) < enough:
        try:
            image.seek(index)
        except EOFError:
            break
        except _DAMAGE as cause:
            return (pages, str(cause) or type(cause).__name__) if pages else ([0], "")
        if not int(image.tag_v2.get(_SUBFILE_TYPE, 0)) & 1:  # type: ignore[attr-defined]
            pages.append(index)
        index += 1
    return pages or [0], ""


def _upright(image: "Image", frame: int, max_pixels: int, name: str) -> "Image":
    from PIL import Image, ImageOps

    image.seek(frame)
    _refuse_bomb(image, name)
    shrink = sqrt(max_pixels / (image.width * image.height))
    if shrink < 1:
        # A JPEG can be decoded at a half, quarter or eighth of its size for less time and memory.
        image.draft(None, (int(image.width * shrink), int(image.height * shrink)))
    image.load()
    # In place: a copy of 400 million pixels would be another gigabyte.
    ImageOps.exif_transpose(image, in_place=True)
    plain = _plain(image)
    if plain.width * plain.height <= max_pixels:
        return plain
    shrink = sqrt(max_pixels / (plain.width * plain.height))
    size = max(1, int(plain.width * shrink)), max(1, int(plain.height * shrink))
    return plain.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)


def _plain(image: "Image") -> "Image":
    """Mode L or RGB, on white where the image is transparent, 16-bit values scaled to the range they use."""
    from PIL import Image

    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    if image.mode.startswith("I") or image.mode == "F":
        return _eight_bits(image)
    mode = "L" if image.mode in ("1", "L") else "RGB"
    return image if image.mode == mode else image.convert(mode)


def _eight_bits(image: "Image") -> "Image":
    import numpy as np
    from PIL import Image

    values = np.nan_to_num(np.asarray(image, dtype=np.float32))
    low, high = float(values.min()), float(values.max())
    # Stretched, because many scanners store 10 or 12 bits in 16 and the header does not say which.
    stretched = (values - low) * (255.0 / ((high - low) or 1.0))
    return Image.fromarray(stretched.astype(np.uint8), "L")
