"""From the ledger to what the API answers."""

import json
from typing import Any

from app.api.finding_models import Classified, Summarised
from app.api.models import (
    CorrectionOut,
    Document,
    DocumentList,
    FieldOut,
    PageOut,
    Progress,
    ProgressOut,
    Result,
    TextOut,
)
from app.api.problems import ApiError
from app.listing import full_record, page_dict, when
from app.progress import has_ended
from tasks.documents import State
from tasks.ledger import DocumentRow, Ledger
from tasks.overview import Overview, overviews


def no_document(document: str) -> ApiError:
    """That there is no such document."""
    return ApiError(404, f"There is no document {document[:64]!r}.", "GET /documents lists the ids.")


def row_of(ledger: Ledger, document: str) -> DocumentRow:
    """The document with exactly this id.

    Raises:
        ApiError: 404.
    """
    if row := ledger.document(document):
        return row
    raise no_document(document)


def document_of_overview(one: Overview) -> Document:
    """A row of the table."""
    reading = one.progress
    return Document(
        id=one.id,
        name=one.name,
        state=one.state,
        stage=one.stage,
        ended=has_ended(one),
        message=one.message,
        remedy=one.remedy,
        urgent=one.urgent,
        added_at=when(one.added_at),
        pages=one.page_count,
        category=one.category,
        confidence=None if one.confidence is None else round(one.confidence, 3),
        title=one.title,
        party=one.party,
        date=one.date,
        amount=one.amount,
        currency=one.currency,
        provisional=one.provisional,
        progress=(
            Progress(done=reading.done, planned=reading.planned, active=reading.is_active)
            if reading
            else None
        ),
    )


def document_record(ledger: Ledger, document: str) -> Document | None:
    """A document as it stands; None if there is none with this id."""
    found = overviews(ledger, [document])
    return document_of_overview(found[0]) if found else None


def documents_by_id(ledger: Ledger, ids: list[str]) -> dict[str, Document]:
    """Documents by their ids, as far as they are there."""
    return {one.id: document_of_overview(one) for one in overviews(ledger, ids)}


def existing_document(ledger: Ledger, document: str) -> Document:
    """A document as it stands.

    Raises:
        ApiError: 404.
    """
    if found := document_record(ledger, document):
        return found
    raise no_document(document)


def state_counts(ledger: Ledger) -> dict[str, int]:
    """How many documents are in each state that occurs."""
    return {state.value: count for state, count in ledger.state_counts().items()}


def document_list(
    ledger: Ledger, states: list[State], cursor: int | None, limit: int, *, newest_first: bool
) -> DocumentList:
    """A page of the documents in order of arrival. The cursor is the place of the last one before."""
    clauses, values = ["1"], list[Any]()
    if states:
        clauses.append("state IN (SELECT value FROM json_each(?))")
        values.append(json.dumps(states))
    if cursor is not None:
        clauses.append("seq < ?" if newest_first else "seq > ?")
        values.append(cursor)
    order = "DESC" if newest_first else "ASC"
    rows = ledger.db.execute(
        f"SELECT id, seq FROM documents WHERE {' AND '.join(clauses)} ORDER BY seq {order} LIMIT ?",
        (*values, limit + 1),
    ).fetchall()
    shown = rows[:limit]
    found = documents_by_id(ledger, [row["id"] for row in shown])
    return DocumentList(
        documents=[found[row["id"]] for row in shown if row["id"] in found],
        next=str(shown[-1]["seq"]) if len(rows) > limit else None,
    )


_PARTS = frozenset(Result.model_fields) - frozenset(Document.model_fields)
_CORRECTION = tuple(CorrectionOut.model_fields)


def result_of(ledger: Ledger, document: str, *, with_trace: bool) -> Result:
    """Everything that was found about a document.

    Raises:
        ApiError: 404.
    """
    row = row_of(ledger, document)
    record = full_record(ledger, row)
    parts = {name: record[name] for name in _PARTS}
    parts["calls"] = record["calls"] if with_trace else None
    parts["fields"] = [FieldOut(**field) for field in record["fields"]]
    parts["corrections"] = [
        CorrectionOut(**{name: said[name] for name in _CORRECTION}) for said in record["corrections"]
    ]
    return Result(**existing_document(ledger, document).model_dump(), **parts)


def text_of(ledger: Ledger, document: str, page: int | None) -> TextOut:
    """The text of a document, or of one page.

    Raises:
        ApiError: 404: there is no such document or page.
    """
    row = row_of(ledger, document)
    if page is None:
        pages = ledger.pages(document)
    elif one := ledger.page(document, page):
        pages = [one]
    else:
        raise ApiError(404, f"{row.name} has no page {page} that was read.", f"It has {row.page_count}.")
    return TextOut(id=document, pages=[PageOut(**page_dict(one, with_text=True)) for one in pages])


def progress_of(ledger: Ledger, document: str) -> ProgressOut:
    """How far a document is.

    Raises:
        ApiError: 404.
    """
    one = existing_document(ledger, document)
    done, planned = (one.progress.done, one.progress.planned) if one.progress else (0, 0)
    return ProgressOut(
        id=one.id, state=one.state, stage=one.stage, ended=one.ended, done=done, planned=planned
    )


def classified(row: DocumentRow) -> Classified:
    """What a text is, as far as that is known."""
    return Classified(**_of_text(row))


def summarised(row: DocumentRow) -> Summarised:
    """What a text says in short, as far as that is known."""
    return Summarised(**_of_text(row), title=row.title, summary=row.summary, language=row.language)


def _of_text(row: DocumentRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "state": row.state,
        "ended": has_ended(row),
        "category": row.category,
        "confidence": None if row.confidence is None else round(row.confidence, 3),
        "evidence": list(row.evidence),
        "provisional": row.provisional,
        "message": row.message,
    }
