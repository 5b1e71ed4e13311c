"""Documents as rows, for every way of showing them: one set of names and one order."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from app.looks import look_record
from tasks.boxes import Box, box_of
from tasks.calibration import Sureness
from tasks.documents import Field, Page
from tasks.ledger import DocumentRow, Ledger
from tasks.said import corrections


@dataclass(frozen=True, slots=True)
class Row:
    """One document as a row of the table."""

    id: str
    state: str
    stage: str
    name: str
    category: str
    confidence: float | None
    party: str
    date: str
    amount: str
    currency: str
    title: str
    summary: str
    language: str
    pages: int
    message: str
    remedy: str
    engine: str
    provisional: bool
    urgent: bool
    recipe: str
    mime: str
    path: str
    sha256: str
    added_at: str


def make_row(document: DocumentRow) -> Row:
    """The row of a document."""
    return Row(
        id=document.id,
        state=document.state.value,
        stage=document.stage.value,
        name=document.name,
        category=document.category,
        confidence=None if document.confidence is None else round(document.confidence, 3),
        party=document.party,
        date=document.date,
        amount=document.amount,
        currency=document.currency,
        title=document.title,
        summary=document.summary,
        language=document.language,
        pages=document.page_count,
        message=document.message,
        remedy=document.remedy,
        engine=document.engine,
        provisional=document.provisional,
        urgent=document.urgent,
        recipe=document.recipe,
        mime=document.mime,
        path=os.fsencode(os.fsdecode(document.path)).decode("utf-8", "backslashreplace"),
        sha256=document.sha256,
        added_at=when(document.added_at),
    )


def when(seconds: float) -> str:
    """A time as ISO 8601, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def field_dict(field: Field, sureness: Sureness, pages: Mapping[int, Page]) -> dict[str, Any]:
    """A field as JSON values, with its quote and how sure it is.

    On a page read by OCR with the box of the quote on the page's image, in pixels.
    """
    return {
        **field.model_dump(mode="json"),
        "worth": round(sureness.of(field), 3),
        "box": field_box(field, pages),
    }


def field_box(field: Field, pages: Mapping[int, Page]) -> Box | None:
    """Where the quote of a field stands on the image of its page, if that was read by OCR."""
    page = pages.get(field.page or 0)
    if page is None or field.start is None or field.end is None:
        return None
    return box_of(page, field.start, field.end)


def page_dict(page: Page, *, with_text: bool) -> dict[str, Any]:
    """A page as JSON values."""
    left_out = {"lines", "needs_ocr"} if with_text else {"lines", "needs_ocr", "text"}
    return page.model_dump(mode="json", exclude=left_out)


def full_record(ledger: Ledger, document: DocumentRow) -> dict[str, Any]:
    """Everything that is known about a document, as JSON values."""
    pages = {page.number: page for page in ledger.pages(document.id)}
    sureness = Sureness(ledger, document)
    return {
        **asdict(make_row(document)),
        "evidence": list(document.evidence),
        "look": look_record(ledger, document),
        "fields": [field_dict(field, sureness, pages) for field in ledger.fields(document.id)],
        "corrections": [asdict(correction) for correction in corrections(ledger, document.id)],
        "read_share": document.read_share,
        "calls": [
            {"stage": stage.value, "attempt": attempt, **call.model_dump(mode="json")}
            for stage, attempt, call in ledger.calls(document.id)
        ],
        "page_texts": [page_dict(page, with_text=True) for page in pages.values()],
    }
