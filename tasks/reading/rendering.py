"""Page images: from a file to PNG on the machine that has it, from PNG to an array where it is read."""

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.errors import FileError
from tasks.reading.files import locate
from tasks.reading.images import render_image
from tasks.reading.kinds import IMAGES, Kind
from tasks.reading.pdf import render_pdf
from tasks.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image


def render(path: Path, mime: str, number: int, settings: Settings) -> bytes:
    """Page `number` (1-based) of a file as PNG, gray or RGB, at most `max_page_pixels` large.

    `mime` is the Extraction's. PDF pages have `render_dpi` and are turned as the PDF says, images have
    their EXIF orientation applied. A page of a mail is drawn from the attachment that it came from.

    Raises:
        FileError: this page cannot be drawn. The message speaks of "the file", whose name is not known here.
    """
    with locate(path, mime, number, settings) as place:
        if place.mime == Kind.PDF:
            return _png(render_pdf(place.path, place.name, place.number, settings))
        if place.mime in IMAGES:
            return _png(render_image(place.path, place.name, Kind(place.mime), place.number, settings))
    raise FileError(f"Page {number} is text, of which there is no image.")


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
