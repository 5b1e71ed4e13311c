"""Pages of a document, as much of them as a page of text on a screen needs."""

from dataclasses import dataclass

from tasks.boxes import Box, box_of
from tasks.documents import TextSource
from tasks.ledger import Ledger


@dataclass(frozen=True, slots=True)
class PageHead:
    """A page without its text."""

    number: int
    """From 1."""
    source: TextSource
    score: float
    rotation: int
    """Degrees clockwise by which the image was turned to be upright."""
    error: str


def page_heads(ledger: Ledger, document: str) -> list[PageHead]:
    """The pages of a document in order."""
    rows = ledger.db.execute(
        "SELECT number, source, score, rotation, error FROM pages WHERE document = ? ORDER BY number",
        (document,),
    )
    return [PageHead(number, TextSource(source), *rest) for number, source, *rest in rows]


def quote_box(ledger: Ledger, document: str, number: int, start: int, end: int) -> Box | None:
    """Where a span of a page's text stands on its image; None if it was not read by OCR."""
    page = ledger.page(document, number)
    return box_of(page, start, end) if page else None


def page_text(ledger: Ledger, document: str, number: int) -> str:
    """The text of one page; empty if there is no such page."""
    row = ledger.db.execute(
        "SELECT text FROM pages WHERE document = ? AND number = ?", (document, number)
    ).fetchone()
    return str(row["text"]) if row else ""


def count_errors(ledger: Ledger, document: str, beginning: str) -> int:
    """How many pages of a document could not be read for a reason that begins so."""
    [count] = ledger.db.execute(
        "SELECT count(*) FROM pages WHERE document = ? AND substr(error, 1, ?) = ?",
        (document, len(beginning), beginning),
    ).fetchone()
    return int(count)
