"""What a result must keep to before it is entered, whoever sent it.

Anybody who has Redis' password can put a result there, so its form alone says little. It may only be about
what was asked, claim nothing that is home's or a person's to say, and take up no more than a document can.
"""

import math
from collections.abc import Iterable, Mapping

from tasks.documents import (
    Analysis,
    Classification,
    Extraction,
    Field,
    FieldStatus,
    OcrResult,
    Page,
    PartAnalysis,
)

_PAGE_CHARACTERS = 4_000_000
"""Reading stops at half of it (`tasks.reading.cleaning`)."""
_LINES = 100_000
_SIDE_PIXELS = 1_000_000
_WORDS = 20_000
"""Characters of a title, summary, value, quote or reason: far more than any reader gives."""
_EVIDENCE = 100
_FIELDS = 1_000
_CODE = 16


def check_extraction(found: Extraction) -> None:
    """Pages count from 1.

    Raises:
        ValueError: it is not so.
    """
    _demand([page.number for page in found.pages] == list(range(1, len(found.pages) + 1)), "pages in order")
    _check_words(found.mime, found.title)
    _check_pages(found.pages)


def check_ocr(found: OcrResult, asked: Iterable[int]) -> None:
    """Only pages that were to be read, each once.

    Raises:
        ValueError: it is not so.
    """
    numbers = [page.number for page in found.pages]
    _demand(len(set(numbers)) == len(numbers) and set(numbers) <= set(asked), "the pages that were asked for")
    _check_pages(found.pages)


def check_classification(found: Classification) -> None:
    """Raises ValueError where it claims what cannot be."""
    _demand(len(found.evidence) <= _EVIDENCE, "so much evidence")
    _check_words(*found.evidence)
    _check_shares(found.confidence, found.read_share)


def check_analysis(found: Analysis | PartAnalysis) -> None:
    """Raises ValueError where it is larger than a document can be, or a number is none."""
    _check_words(found.title, found.summary)
    _demand(len(found.language) <= _CODE, "a language's code")
    _demand(len(found.fields) <= _FIELDS, "so many fields")
    if isinstance(found, Analysis):
        _check_shares(found.read_share)
    for field in found.fields:
        _check_words(field.name, field.value, field.quote, field.learned_from)
        _check_shares(field.confidence)


def honest(field: Field, lengths: Mapping[int, int]) -> Field:
    """A field as home may believe it: only a person corrects, and a quote stands on a page of the document.

    Args:
        field: as a reader gave it.
        lengths: of the text of each page, in characters.
    """
    length = lengths.get(field.page or 0, -1)
    start, end = field.start or 0, field.end or 0
    is_there = 0 <= start <= end <= length
    claims = field.status in (FieldStatus.VERIFIED, FieldStatus.CORRECTED)
    if is_there or field.page is None:
        is_false = field.status is FieldStatus.CORRECTED
        return field.model_copy(update={"status": FieldStatus.UNVERIFIED}) if is_false else field
    status = FieldStatus.UNVERIFIED if claims else field.status
    return field.model_copy(update={"page": None, "start": None, "end": None, "status": status})


def _check_pages(pages: Iterable[Page]) -> None:
    for page in pages:
        _demand(len(page.text) <= _PAGE_CHARACTERS and len(page.lines) <= _LINES, "a page's text")
        _demand(sum(len(line.text) for line in page.lines) <= _PAGE_CHARACTERS, "a page's lines")
        _demand(0 <= page.width <= _SIDE_PIXELS and 0 <= page.height <= _SIDE_PIXELS, "a page's size")
        _demand(page.rotation in (0, 90, 180, 270), "a page's rotation")
        _check_words(page.error)
        _check_shares(page.score, *(line.confidence for line in page.lines))


def _check_words(*texts: str) -> None:
    _demand(all(len(text) <= _WORDS for text in texts), "a text that short")


def _check_shares(*shares: float) -> None:
    _demand(
        all(math.isfinite(share) and -0.001 <= share <= 1.001 for share in shares), "a number from 0 to 1"
    )


def _demand(holds: object, what: str) -> None:
    if not holds:
        raise ValueError(f"it does not have {what}")
