"""What is missing among the vectors: pages compared with the ledger, chunks that go out, what comes back."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.engines.llm.base import Vector
from tasks.ledger import Ledger
from tasks.meaning.chunking import cut
from tasks.meaning.store import Space, VectorStore
from tasks.page_queries import page_text

BATCH_CHUNKS = 16
"""Some 6,000 tokens: seconds on a processor."""
MOST_FAILURES = 5
"""A chunk that failed so often is left until the nightly check."""
_FIRST_PAUSE_SECONDS = 60.0
_DOCUMENTS_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Missing:
    """A chunk without a vector, and its text."""

    chunk: int
    text: str


def look_for_changes(
    ledger: Ledger, store: VectorStore, space: Space, *, most: int | None = None, every_page: bool = False
) -> bool:
    """Compare documents that were read since the last time with the ledger; forget those it has no more.

    At most so many are compared. Returns whether that was all. With `every_page` also documents that seem
    to be the same.
    """
    rows = ledger.db.execute("SELECT id, finished_at FROM documents ORDER BY seq").fetchall()
    # One that is being read has no mark, and keeps the vectors it has until it has ended.
    there = {row["id"]: "" if row["finished_at"] is None else repr(row["finished_at"]) for row in rows}
    marks = store.marks(space)
    if gone := marks.keys() - there.keys():
        with store.transaction():
            for document in gone:
                store.remove_document(space, document)
    changed = [one for one, mark in there.items() if mark and (every_page or marks.get(one) != mark)]
    for some in _a_few(changed[:most]):
        with store.transaction():
            for document in some:
                _compare_pages(ledger, store, space, document)
                store.set_mark(space, document, there[document])
    return most is None or len(changed) <= most


def _a_few(documents: Sequence[str]) -> Iterator[Sequence[str]]:
    """A few at a time, so that nobody waits long for the file."""
    for start in range(0, len(documents), _DOCUMENTS_AT_ONCE):
        yield documents[start : start + _DOCUMENTS_AT_ONCE]


def _compare_pages(ledger: Ledger, store: VectorStore, space: Space, document: str) -> None:
    known = store.hashes(space, document)
    rows = ledger.db.execute("SELECT number, text FROM pages WHERE document = ?", (document,))
    numbers = set()
    for number, text in rows:
        numbers.add(number)
        if known.get(number) != (found := text_hash(text)):
            store.put_page(space, document, number, found, cut(text))
    for number in known.keys() - numbers:
        store.remove_page(space, document, number)


def text_hash(text: str) -> bytes:
    """By which a page's text is recognised."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def take_batch(ledger: Ledger, store: VectorStore, space: Space, now: float) -> tuple[int, list[Missing]]:
    """Begin a batch of chunks that have no vector; those that failed before go alone.

    Returns its number and the chunks; none if there is nothing to do now.
    """
    with store.transaction():
        rows: list[Any] = store.db.execute(
            'SELECT failures, id, document, number, start, "end" FROM chunks'
            " WHERE space = ? AND has_vector = 0 AND batch IS NULL AND failures < ? AND due_at <= ?"
            " ORDER BY failures, id LIMIT ?",
            (space.id, MOST_FAILURES, now, BATCH_CHUNKS),
        ).fetchall()
        missing: list[Missing] = []
        for _, chunk, document, number, start, end in [row for row in rows if not row[0]] or rows[:1]:
            text = page_text(ledger, document, number)
            if store.hashes(space, document).get(number) == text_hash(text):
                missing.append(Missing(chunk, text[start:end]))
            else:  # it was read again this instant
                store.forget_mark(space, document)
        if not missing:
            return 0, []
        store.db.execute("INSERT INTO batches (space, seen_at) VALUES (?, ?)", (space.id, now))
        batch = store.db.last_insert_rowid()
        store.db.executemany(
            "UPDATE chunks SET batch = ? WHERE id = ?", [(batch, one.chunk) for one in missing]
        )
    return batch, missing


def batches_out(store: VectorStore) -> dict[int, float]:
    """The batches that are out, and when each was seen last."""
    return dict(store.db.execute("SELECT id, seen_at FROM batches ORDER BY id"))


def mark_seen(store: VectorStore, batches: Sequence[int], now: float) -> None:
    """Note that these are on the road or with a worker."""
    with store.transaction():
        store.db.executemany("UPDATE batches SET seen_at = ? WHERE id = ?", [(now, one) for one in batches])


def enter_vectors(store: VectorStore, batch: int, vectors: Mapping[int, Vector]) -> bool:
    """Enter what came back, by chunk. What is not out any more is left alone; false if all of it is.

    A model that suddenly makes vectors of another length is another model: its space is begun anew.
    """
    with store.transaction():
        space = _end_batch(store, batch)
        if space is None or not vectors:
            return False
        rows = store.db.execute("SELECT id FROM chunks WHERE batch = ?", (batch,))
        open_chunks = [row[0] for row in rows]
        length = len(next(iter(vectors.values())))
        if space.dimensions not in (0, length):
            store.drop(space)
            return False
        if not space.dimensions:
            space = store.give_dimensions(space, length)
        for chunk in open_chunks:
            if chunk in vectors:
                store.put_vector(space, chunk, vectors[chunk])
        store.db.execute("UPDATE chunks SET batch = NULL WHERE batch = ?", (batch,))
    return True


def give_back(store: VectorStore, batch: int, now: float, *, blamed: bool) -> None:
    """A batch came to nothing. If it is to `blame`, its chunks wait, longer each time, and go alone."""
    with store.transaction():
        if blamed:
            store.db.execute(
                "UPDATE chunks SET due_at = ? + ? * (1 << (2 * failures)), failures = failures + 1"
                " WHERE batch = ?",
                (now, _FIRST_PAUSE_SECONDS, batch),
            )
        store.db.execute("UPDATE chunks SET batch = NULL WHERE batch = ?", (batch,))
        _end_batch(store, batch)


def _end_batch(store: VectorStore, batch: int) -> Space | None:
    number = store.db.execute("DELETE FROM batches WHERE id = ? RETURNING space", (batch,)).get
    return next((one for one in store.spaces() if one.id == number), None)


def is_all_there(store: VectorStore, space: Space) -> bool:
    """Whether nothing is missing but what was given up."""
    waiting = store.db.execute(
        "SELECT 1 FROM chunks WHERE space = ? AND has_vector = 0 AND failures < ? LIMIT 1",
        (space.id, MOST_FAILURES),
    )
    return bool(space.dimensions) and waiting.get is None


def throw_away(store: VectorStore) -> None:
    """Begin all vectors anew, for a model that has changed under the same name."""
    with store.transaction():
        for space in store.spaces():
            store.drop(space)


def try_again(store: VectorStore, space: Space) -> None:
    """Forget how often chunks failed."""
    with store.transaction():
        store.db.execute(
            "UPDATE chunks SET failures = 0, due_at = 0 WHERE space = ? AND has_vector = 0", (space.id,)
        )
