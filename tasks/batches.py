"""Batches: documents that somebody asked for together. What becomes of each is looked up, never copied."""

import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tasks.ledger import Ledger

KEPT_SECONDS = 90 * 24 * 3600
KEPT_BATCHES = 1_000
"""The oldest are forgotten beyond this; their documents stay."""


@dataclass(frozen=True, slots=True)
class NewItem:
    """One thing that was handed in: the id of its document, or why it was refused."""

    name: str
    document: str | None
    problem: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class BatchItem:
    """One thing of a batch as the ledger has it. All text is untrusted."""

    position: int
    name: str
    document: str | None
    """None if it was refused, or if its document has been removed since."""
    problem: str
    remedy: str


@dataclass(frozen=True, slots=True)
class BatchRow:
    """A batch."""

    seq: int
    id: str
    name: str
    created_at: float
    total: int
    """How many things were handed in."""


_SELECT = (
    "SELECT seq, id, name, created_at, (SELECT count(*) FROM batch_items WHERE batch = batches.seq) AS total"
    " FROM batches"
)


def enter_batch(ledger: Ledger, name: str, items: Iterable[NewItem]) -> BatchRow:
    """Enter a batch whole. What is too old or too much is forgotten, without its documents."""
    identity = secrets.token_hex(8)
    with ledger.transaction():
        now = time.time()
        cursor = ledger.db.execute(
            "INSERT INTO batches (id, name, created_at) VALUES (?, ?, ?)", (identity, name, now)
        )
        ledger.db.executemany(
            # A document may have been removed between its taking and this.
            "INSERT INTO batch_items VALUES (?, ?, ?, (SELECT id FROM documents WHERE id = ?), ?, ?)",
            (
                (cursor.lastrowid, position, one.name, one.document, one.problem, one.remedy)
                for position, one in enumerate(items, start=1)
            ),
        )
        ledger.db.execute(
            "DELETE FROM batches WHERE created_at < ? OR seq <="
            " (SELECT seq FROM batches ORDER BY seq DESC LIMIT 1 OFFSET ?)",
            (now - KEPT_SECONDS, KEPT_BATCHES),
        )
    entered = batch(ledger, identity)
    assert entered is not None  # noqa: S101 - entered above, and the newest is never forgotten
    return entered


def batch(ledger: Ledger, identity: str) -> BatchRow | None:
    """The batch with this id."""
    row = ledger.db.execute(f"{_SELECT} WHERE id = ?", (identity,)).fetchone()
    return BatchRow(**dict(row)) if row else None


def batches(ledger: Ledger, before: int | None, count: int) -> list[BatchRow]:
    """The newest batches first; only those with a lower `seq` than `before`, if that is given."""
    rows = ledger.db.execute(
        f"{_SELECT} WHERE ? IS NULL OR seq < ? ORDER BY seq DESC LIMIT ?", (before, before, count)
    )
    return [BatchRow(**dict(row)) for row in rows]


def batch_items(ledger: Ledger, row: BatchRow) -> Sequence[BatchItem]:
    """What was handed in, in its order."""
    rows = ledger.db.execute(
        "SELECT position, name, document, problem, remedy FROM batch_items WHERE batch = ? ORDER BY position",
        (row.seq,),
    )
    return [BatchItem(**dict(item)) for item in rows]


def forget_batch(ledger: Ledger, identity: str) -> bool:
    """Forget a batch, not its documents; False if there is none."""
    return ledger.db.execute("DELETE FROM batches WHERE id = ?", (identity,)).rowcount > 0
