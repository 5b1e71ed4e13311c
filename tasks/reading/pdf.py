"""PDF by PDFium: text by page, form values, and page images.

PDFium is used directly (pypdfium2), because one library then gives text, page sizes, images on the page,
form values and rendering. It is not thread-safe: one call at a time in a process.
"""

import mmap
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from math import isfinite, sqrt
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.documents import Extraction, Page
from tasks.errors import FileError
from tasks.reading.cleaning import clean_title, shown, text_page, unreadable_page
from tasks.reading.images import MAX_IMAGE_PIXELS
from tasks.reading.kinds import GET_AGAIN, REMOVE_PROTECTION, Kind
from tasks.reading.text_score import MIN_CHARACTERS_OVER_IMAGE, count_characters, text_score
from tasks.settings import Settings

if TYPE_CHECKING:
    from PIL.Image import Image
    from pypdfium2 import PdfDocument, PdfPage

POINTS_PER_INCH = 72
MAX_SIDE_PIXELS = 20_000
"""No side of a page image is longer, however thin the page is."""
SCAN_MIN_PIXELS = 500_000
"""Images on a page with so many pixels together may hold its text: half of an A4 page at 100 dpi."""
SCAN_MIN_SHARE = 0.5
"""So may images that cover this share of the page."""
MAX_OBJECTS = 2_000
"""A drawing may have a million objects; a scan's image is among the first."""

_PLEASE_WAIT = re.compile(r"please wait\b.*\b(adobe reader|pdf viewer|acrobat)", re.IGNORECASE | re.DOTALL)
_NO_TITLES = ("", "untitled", "unspecified")  # what programs write that were given none
_XFA_MESSAGE = (
    "This is an Adobe LiveCycle (XFA) form, which only Adobe Reader can show. "
    "Open it there, print it to a new PDF and add that."
)


def extract_pdf(path: Path, name: str, settings: Settings) -> Extraction:
    """The text layer of every page; pages whose text cannot be trusted need OCR.

    Raises:
        FileError: protected by a password, damaged, or with too many pages.
    """
    with _opened(path, name) as document:
        count = len(document)
        if not count:
            raise FileError(f"{shown(name)} is a PDF without pages.", GET_AGAIN)
        if count > settings.max_pages:
            raise FileError(
                f"{shown(name)} has {count:,} pages; the limit is {settings.max_pages:,}.",
                "Split it, or raise the setting max_pages.",
            )
        pages = tuple(_read_page(document, number, settings) for number in range(1, count + 1))
        metadata = document.get_metadata_dict()
        if _needs_adobe(document, pages, path):
            pages = tuple(unreadable_page(page.number, _XFA_MESSAGE) for page in pages)
    return Extraction(mime=Kind.PDF, pages=pages, title=_title(metadata))


def _title(metadata: dict[str, str]) -> str:
    titles = (clean_title(metadata.get(key)) for key in ("Title", "Subject"))
    return next((title for title in titles if title.lower() not in _NO_TITLES), "")


def render_pdf(path: Path, name: str, number: int, settings: Settings) -> "Image":
    """The page, 1-based, turned as the PDF says, RGB, at `render_dpi` or what the pixel limit allows.

    Raises:
        FileError: the PDF or this page cannot be read, or an image on it is too large.
    """
    from pypdfium2 import PdfiumError

    with _opened(path, name) as document:
        try:
            page = _loaded(document, number)
            if _image_content(page)[1] > MAX_IMAGE_PIXELS:
                raise FileError(
                    f"{shown(name)}: page {number} holds more than {MAX_IMAGE_PIXELS:,} pixels.",
                    "Save the page with a lower resolution and add that.",
                )
            width, height = page.get_size()
            bitmap = page.render(scale=_scale(width, height, settings), rev_byteorder=True)
            image: Image = bitmap.to_pil().convert("RGB")
        except (PdfiumError, ValueError, ZeroDivisionError) as error:
            raise FileError(f"{shown(name)}: page {number} cannot be drawn: {error}.", GET_AGAIN) from error
    return image


def _scale(width: float, height: float, settings: Settings) -> float:
    """Pixels per point, from the page's size in points, so that no page can exhaust the memory."""
    if not (isfinite(width) and isfinite(height) and width > 0 and height > 0):
        raise ValueError(f"it is {width} by {height} points large")
    return min(
        settings.render_dpi / POINTS_PER_INCH,
        sqrt(settings.max_page_pixels / (width * height)),
        MAX_SIDE_PIXELS / max(width, height),
    )


@contextmanager
def _opened(path: Path, name: str) -> "Iterator[PdfDocument]":
    from pypdfium2 import PdfDocument, PdfiumError
    from pypdfium2.raw import FPDF_ERR_PASSWORD, FPDF_ERR_SECURITY

    try:
        document = PdfDocument(path)
    except PdfiumError as error:
        if error.err_code == FPDF_ERR_PASSWORD:
            raise FileError(f"{shown(name)} is protected by a password.", REMOVE_PROTECTION) from error
        if error.err_code == FPDF_ERR_SECURITY:
            raise FileError(f"{shown(name)} is encrypted in an unknown way.", REMOVE_PROTECTION) from error
        raise FileError(f"{shown(name)} is not a valid PDF: it is damaged or cut off.", GET_AGAIN) from error
    try:
        # Must happen before the first page is loaded, or form fields stay invisible.
        if document.get_formtype():
            document.init_forms()
        yield document
    finally:
        document.close()


def _read_page(document: "PdfDocument", number: int, settings: Settings) -> Page:
    from pypdfium2 import PdfiumError

    try:
        page = _loaded(document, number)
        text = page.get_textpage().get_text_range()
        over_image = count_characters(text) < MIN_CHARACTERS_OVER_IMAGE and _may_be_scan(page)
        page.close()
    except PdfiumError as error:
        return unreadable_page(number, f"Page {number} is damaged: {str(error).rstrip('.')}.")
    score = text_score(text, over_image=over_image)
    read = text_page(number, text, score)
    return read.model_copy(update={"needs_ocr": score < settings.text_layer_min_score})


def _loaded(document: "PdfDocument", number: int) -> "PdfPage":
    """The page with form values and typed-in notes merged into its content, where text is looked for."""
    from pypdfium2.raw import FLAT_NORMALDISPLAY, FPDFPage_Flatten, FPDFPage_GetAnnotCount

    page = document[number - 1]
    if not FPDFPage_GetAnnotCount(page):
        return page
    FPDFPage_Flatten(page, FLAT_NORMALDISPLAY)
    page.close()  # only a page loaded anew shows what was merged
    return document[number - 1]


def _may_be_scan(page: "PdfPage") -> bool:
    share, pixels = _image_content(page)
    return share >= SCAN_MIN_SHARE or pixels >= SCAN_MIN_PIXELS


def _image_content(page: "PdfPage") -> tuple[float, int]:
    """Share of the page that images cover, and their pixels, summed up: scanners store a page in strips.

    Within a form object the covered area is in other units and counts wrongly; the pixels are right.
    """
    from pypdfium2.raw import FPDF_PAGEOBJ_IMAGE

    width, height = page.get_size()
    area, pixels = 0.0, 0
    for image in islice(page.get_objects(filter=[FPDF_PAGEOBJ_IMAGE], max_depth=4), MAX_OBJECTS):
        left, bottom, right, top = image.get_bounds()
        area += (right - left) * (top - bottom)
        columns, rows = image.get_px_size()
        pixels += columns * rows
    return area / max(1.0, width * height), pixels


def _needs_adobe(document: "PdfDocument", pages: tuple[Page, ...], path: Path) -> bool:
    """Whether the real content is an XFA form, of which other readers see a stand-in page."""
    from pypdfium2.raw import FORMTYPE_XFA_FULL

    if len(pages) > 1:
        return False
    text = pages[0].text
    if text:
        return bool(_PLEASE_WAIT.search(text)) and len(text) < 2_000
    # The catalogue's mark of a form that is drawn at run time (PDF 2.0, annex K; deprecated since).
    if document.get_formtype() == FORMTYPE_XFA_FULL:
        return True
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(b"/NeedsRendering true") >= 0
