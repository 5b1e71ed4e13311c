"""Which pages a model is shown as images beside their text: those that OCR read badly."""

from collections.abc import Iterable, Sequence

from tasks.documents import DocumentText, Page, TextSource
from tasks.orders import ImagePage

_TRIES = 2
"""A document whose calls brought the model server down so often is read without images from then on."""

_GUESSED = 0.5
"""Below this OCR has guessed, as `page_rotation` says. One of four upright faxes at 0.4 was turned over."""


def poor_pages(pages: Iterable[Page], below: float) -> list[Page]:
    """The pages that OCR read with less confidence than `below`, or could not read at all.

    A page on which it found nothing is taken for blank: the backs of sheets are.
    """
    return [page for page in pages if _is_poor(page, below)] if below > 0 else []


def may_show(model_failures: int) -> bool:
    """Whether images of a document are sent that has brought the model server down so often."""
    return model_failures < _TRIES


def images_of_parts(
    poor: Sequence[Page], parts: Sequence[DocumentText], most: int
) -> list[tuple[ImagePage, ...]]:
    """For each part of a document the pages to show with it: the worst, in the order of the document.

    A page without text is in no part; it goes with the part that follows it, or with the last.
    """
    with_text = {page.number for part in parts for page in part.pages}
    chosen, first = [], 1
    for place, part in enumerate(parts, start=1):
        is_last = place == len(parts)
        numbers = {page.number for page in part.pages}
        end = max(numbers, default=first)
        own = [
            page
            for page in poor
            if page.number in numbers
            or (page.number not in with_text and first <= page.number and (is_last or page.number <= end))
        ]
        chosen.append(_worst(own, most))
        first = end + 1
    return chosen


def _worst(pages: Sequence[Page], most: int) -> tuple[ImagePage, ...]:
    worst = sorted(pages, key=lambda page: (page.score, page.number))[:most]
    return tuple(
        ImagePage(number=page.number, rotation=_rotation(page))
        for page in sorted(worst, key=lambda page: page.number)
    )


def _rotation(page: Page) -> int:
    """How to turn the page. Lying sideways shows in the shape of lines, upside down only in the words."""
    is_guess = page.rotation == 180 and page.score < _GUESSED
    return 0 if is_guess else page.rotation


def _is_poor(page: Page, below: float) -> bool:
    if page.source is TextSource.OCR:
        return bool(page.text.strip()) and page.score < below
    return page.needs_ocr and bool(page.error)
