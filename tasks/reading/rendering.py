"""Page images: from a file to PNG on the machine that has it, from PNG to an array where it is read."""

from io import BytesIO
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.errors import FileError
from tasks.image_classifiers import InputForm
from tasks.reading.files import locate
from tasks.reading.images import render_image
from tasks.reading.kinds import IMAGES, Kind
from tasks.reading.pdf import render_pdf
from tasks.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

PICTURE_SIDE = 1600
"""Longest side in pixels of a page image for a model: on A4, small print of 6 points is 13 pixels high."""
PICTURE_PIXELS = 1600 * 1132
"""An A4 page of that height."""
_QUALITY = 85
"""Of JPEG. Even noise in colour takes no more than 1.4 MB at that size (measured), a scan far less."""


def render(path: Path, mime: str, number: int, settings: Settings) -> bytes:
    """Page `number` (1-based) of a file as PNG, gray or RGB, at most `max_page_pixels` large.

    `mime` is the Extraction's. PDF pages have `render_dpi` and are turned as the PDF says, images have
    their EXIF orientation applied. A page of a mail is drawn from the attachment that it came from.

    Raises:
        FileError: this page cannot be drawn. The message speaks of "the file", whose name is not known here.
    """
    return _png(_drawn(path, mime, number, settings))


def picture(path: Path, mime: str, number: int, rotation: int, settings: Settings) -> bytes:
    """Page `number` (1-based) of a file for a model to look at: JPEG, gray or RGB.

    It is turned clockwise by `rotation` degrees (0, 90, 180 or 270), and at most PICTURE_SIDE pixels long and
    PICTURE_PIXELS large. The same page gives the same bytes.

    Raises:
        FileError: as `render`.
    """
    image = _turned(_drawn(path, mime, number, settings), rotation)
    return _jpeg(_without_needless_colour(_at_most(image, PICTURE_SIDE, PICTURE_PIXELS)))


def fitted(path: Path, mime: str, number: int, rotation: int, form: InputForm, settings: Settings) -> bytes:
    """Page `number` (1-based) of a file as an image classifier wants it: PNG, gray or RGB, of `form`'s size.

    It is turned clockwise by `rotation` degrees. The same page gives the same bytes.

    Raises:
        FileError: as `render`.
    """
    from PIL import Image, ImageOps

    image = _turned(_drawn(path, mime, number, settings), rotation)
    size = form.width, form.height
    if form.resize == "stretch":
        image = image.resize(size, Image.Resampling.BILINEAR, reducing_gap=3.0)
    else:
        colour = form.pad if image.mode == "L" else (form.pad, form.pad, form.pad)
        image = ImageOps.pad(image, size, Image.Resampling.BILINEAR, color=colour)
    return _png(image)


def decode(png: bytes) -> "NDArray[np.uint8]":
    """The page image as an array (height, width, 3; BGR), as PaddleOCR wants it.

    Raises:
        FileError: the bytes are not a whole image.
    """
    import cv2
    import numpy as np

    # OpenCV raises on no bytes and returns None for broken ones.
    image = cv2.imdecode(np.frombuffer(png, dtype=np.uint8), cv2.IMREAD_COLOR) if png else None
    if image is None:
        raise FileError("The page image arrived damaged.", "Retry the document.")
    return image.astype(np.uint8, copy=False)


def _drawn(path: Path, mime: str, number: int, settings: Settings) -> "Image":
    with locate(path, mime, number, settings) as place:
        if place.mime == Kind.PDF:
            return render_pdf(place.path, place.name, place.number, settings)
        if place.mime in IMAGES:
            return render_image(place.path, place.name, Kind(place.mime), place.number, settings)
    raise FileError(f"Page {number} is text, of which there is no image.")


def _turned(image: "Image", rotation: int) -> "Image":
    """The image turned clockwise by so many degrees: 0, 90, 180 or 270."""
    from PIL import Image

    turns = {
        90: Image.Transpose.ROTATE_270,  # Pillow turns the other way
        180: Image.Transpose.ROTATE_180,
        270: Image.Transpose.ROTATE_90,
    }
    return image.transpose(turns[rotation]) if rotation else image


def _at_most(image: "Image", side: int, pixels: int) -> "Image":
    """The image, made smaller where a side or all of it is too large."""
    from PIL import Image

    shrink = min(side / max(image.size), sqrt(pixels / (image.width * image.height)))
    if shrink >= 1:
        return image
    size = max(1, int(image.width * shrink)), max(1, int(image.height * shrink))
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _jpeg(image: "Image") -> bytes:
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


def _png(image: "Image") -> bytes:
    buffer = BytesIO()
    # Level 1: three times faster than level 6 and on scans no larger (measured on a 200 dpi page).
    _without_needless_colour(image).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _without_needless_colour(image: "Image") -> "Image":
    """Most papers are black on white: a gray image is encoded, sent and decoded in a third of the time."""
    import numpy as np

    if image.mode == "L":
        return image
    pixels = np.asarray(image)
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    return image.convert("L") if np.array_equal(red, green) and np.array_equal(green, blue) else image
