"""How a batch stands, and what it adds up to when all of it has ended."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from app.api.batch_models import Aggregate, Batch, BatchHead, BatchItemOut, BatchList, CategorySum
from app.api.models import Document, RefusedFile
from app.api.problems import ApiError
from app.api.records import documents_by_id
from app.listing import when
from tasks.amounts import sums_by_currency
from tasks.batches import BatchItem, BatchRow, batch, batch_items, batches
from tasks.documents import State
from tasks.ledger import Ledger

REFUSED, REMOVED = "refused", "removed"
_BAD = frozenset({State.FAILED.value, State.QUARANTINED.value, State.CANCELLED.value, REFUSED})


def existing_batch(ledger: Ledger, identity: str) -> BatchRow:
    """The batch with this id.

    Raises:
        ApiError: 404.
    """
    if found := batch(ledger, identity):
        return found
    raise ApiError(
        404, f"There is no batch {identity[:64]!r}.", "GET /batches lists them; they are kept for 90 days."
    )


def batch_head(row: BatchRow) -> BatchHead:
    """A batch without its things."""
    return BatchHead(id=row.id, name=row.name, created_at=when(row.created_at), total=row.total)


def batch_list(ledger: Ledger, before: int | None, limit: int) -> BatchList:
    """The newest batches first."""
    rows = batches(ledger, before, limit + 1)
    return BatchList(
        batches=[batch_head(row) for row in rows[:limit]],
        next=str(rows[limit - 1].seq) if len(rows) > limit else None,
    )


def batch_record(ledger: Ledger, identity: str) -> Batch:
    """How a batch stands, with what is there of its results.

    Raises:
        ApiError: 404.
    """
    row = existing_batch(ledger, identity)
    items = batch_items(ledger, row)
    documents = documents_by_id(ledger, [item.document for item in items if item.document])
    shown = [_item(item, documents.get(item.document or "")) for item in items]
    ended = sum(one.ended for one in shown)
    return Batch(
        **batch_head(row).model_dump(),
        ended=ended,
        states=dict(sorted(Counter(one.state for one in shown).items())),
        items=shown,
        aggregate=aggregate(shown) if ended == len(shown) else None,
    )


def _item(item: BatchItem, document: Document | None) -> BatchItemOut:
    if document is not None:
        return BatchItemOut(
            name=item.name,
            state=document.state.value,
            ended=document.ended,
            document=document,
            detail=document.message,
            remedy=document.remedy,
        )
    state = REFUSED if item.problem else REMOVED
    detail = item.problem or "Its document was removed."
    return BatchItemOut.model_validate(
        {
            "name": item.name,
            "state": state,
            "ended": True,
            "document": None,
            "detail": detail,
            "remedy": item.remedy,
        }
    )


def aggregate(items: Sequence[BatchItemOut]) -> Aggregate:
    """What things that have ended add up to. A document that was handed in twice counts once."""
    documents = {one.document.id: one.document for one in items if one.document}
    return Aggregate(
        states=dict(sorted(Counter(one.state for one in items).items())),
        categories=_by_category(documents.values()),
        amounts=_sums(documents.values()),
        failures=[
            RefusedFile(name=one.name, detail=one.detail, remedy=one.remedy)
            for one in items
            if one.state in _BAD
        ],
        provisional=sum(document.provisional for document in documents.values()),
    )


def _by_category(documents: Iterable[Document]) -> list[CategorySum]:
    groups: defaultdict[str, list[Document]] = defaultdict(list)
    for document in documents:
        groups[document.category].append(document)
    return [
        CategorySum(category=category, documents=len(group), amounts=_sums(group))
        for category, group in sorted(groups.items())
    ]


def _sums(documents: Iterable[Document]) -> dict[str, str]:
    sums = sums_by_currency((one.amount, one.currency) for one in documents)
    return {currency: str(total) for currency, total in sums.items()}
