"""What the file of vectors says: spaces, the chunks in them, and which are near to a vector."""

import json
from array import array
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.meaning.chunking import Chunk
from tasks.meaning.file import VectorFile

_OVERSAMPLED, _FEWEST_SCANNED = 5, 400
"""How many the scan by signs hands on to be compared exactly: for each that is wanted, and at least."""


@dataclass(frozen=True, slots=True)
class Space:
    """Vectors of one model, made by one method."""

    id: int
    model: str
    method: str
    dimensions: int
    """0: there are none yet."""
    is_complete: bool
    """Whether it once held every page there was."""


@dataclass(frozen=True, slots=True)
class NearChunk:
    """A chunk whose vector is near."""

    document: str
    page: int
    start: int
    """Of its text in the page's."""
    end: int
    similarity: float
    """The cosine, -1 to 1."""


class VectorStore(VectorFile):
    """One connection to the file, with what is asked of it. Writing belongs into `transaction()`."""

    # Spaces

    def spaces(self) -> list[Space]:
        """All of them, the oldest first."""
        rows = self.db.execute("SELECT id, model, method, dimensions, is_complete FROM spaces ORDER BY id")
        return [
            Space(number, model, method, dimensions, bool(is_complete))
            for number, model, method, dimensions, is_complete in rows
        ]

    def space(self, model: str, method: str) -> Space:
        """The one of a model and method, made where needed."""
        self.db.execute("INSERT OR IGNORE INTO spaces (model, method) VALUES (?, ?)", (model, method))
        return next(one for one in self.spaces() if (one.model, one.method) == (model, method))

    def give_dimensions(self, space: Space, dimensions: int) -> Space:
        """Note how long its vectors are."""
        self.db.execute("UPDATE spaces SET dimensions = ? WHERE id = ?", (dimensions, space.id))
        return Space(space.id, space.model, space.method, dimensions, space.is_complete)

    def set_complete(self, space: Space) -> None:
        """Note that all pages are in it."""
        self.db.execute("UPDATE spaces SET is_complete = 1 WHERE id = ?", (space.id,))

    def drop(self, space: Space) -> None:
        """Forget a space with all that is in it or out for it."""
        for table in ("signs", "vectors"):
            self.db.execute(
                f"DELETE FROM {table} WHERE chunk IN (SELECT id FROM chunks WHERE space = ?)", (space.id,)
            )
        for table in ("chunks", "pages", "documents", "batches"):
            self.db.execute(f"DELETE FROM {table} WHERE space = ?", (space.id,))
        self.db.execute("DELETE FROM spaces WHERE id = ?", (space.id,))

    # Documents and pages

    def marks(self, space: Space) -> dict[str, str]:
        """The documents that were looked at, and as what."""
        return dict(self.db.execute("SELECT id, mark FROM documents WHERE space = ?", (space.id,)))

    def set_mark(self, space: Space, document: str, mark: str) -> None:
        """Note that a document was looked at."""
        self.db.execute("INSERT OR REPLACE INTO documents VALUES (?, ?, ?)", (space.id, document, mark))

    def forget_mark(self, space: Space, document: str) -> None:
        """Have a document looked at again."""
        self.db.execute("DELETE FROM documents WHERE space = ? AND id = ?", (space.id, document))

    def hashes(self, space: Space, document: str) -> dict[int, bytes]:
        """The pages of a document, and of which text."""
        sql = "SELECT number, hash FROM pages WHERE space = ? AND document = ?"
        return dict(self.db.execute(sql, (space.id, document)))

    def put_page(
        self, space: Space, document: str, number: int, text_hash: bytes, chunks: Iterable[Chunk]
    ) -> None:
        """Enter the chunks of a page, which get their vectors later; those it had are gone."""
        self.remove_page(space, document, number)
        self.db.execute("INSERT INTO pages VALUES (?, ?, ?, ?)", (space.id, document, number, text_hash))
        self.db.executemany(
            'INSERT INTO chunks (space, document, number, start, "end") VALUES (?, ?, ?, ?, ?)',
            [(space.id, document, number, chunk.start, chunk.end) for chunk in chunks],
        )

    def remove_page(self, space: Space, document: str, number: int) -> None:
        """Forget a page."""
        self._remove(space, "document = ? AND number = ?", (document, number))
        where = "space = ? AND document = ? AND number = ?"
        self.db.execute(f"DELETE FROM pages WHERE {where}", (space.id, document, number))

    def remove_document(self, space: Space, document: str) -> None:
        """Forget a document."""
        self._remove(space, "document = ?", (document,))
        self.db.execute("DELETE FROM pages WHERE space = ? AND document = ?", (space.id, document))
        self.forget_mark(space, document)

    def _remove(self, space: Space, condition: str, values: tuple[Any, ...]) -> None:
        which = f"FROM chunks WHERE space = ? AND {condition}"
        for table in ("signs", "vectors"):
            self.db.execute(f"DELETE FROM {table} WHERE chunk IN (SELECT id {which})", (space.id, *values))
        self.db.execute(f"DELETE {which}", (space.id, *values))

    def pages_with_vectors(self, space: Space) -> int:
        """How many pages are searched: those of which every chunk has a vector."""
        sql = (
            "SELECT (SELECT count(*) FROM pages WHERE space = ?1) - (SELECT count(*) FROM"
            " (SELECT DISTINCT document, number FROM chunks WHERE space = ?1 AND has_vector = 0))"
        )
        return int(self.db.execute(sql, (space.id,)).get)

    # Vectors

    def put_vector(self, space: Space, chunk: int, vector: Sequence[float]) -> None:
        """Enter the vector of a chunk, which then is neither out nor missing."""
        self.db.execute("INSERT INTO vectors VALUES (?, ?)", (chunk, _as_bytes(vector)))
        self.db.execute("INSERT INTO signs VALUES (?, ?, ?)", (chunk, space.id, _signs(vector)))
        self.db.execute("UPDATE chunks SET has_vector = 1, batch = NULL, failures = 0 WHERE id = ?", (chunk,))

    def nearest(
        self, space: Space, vector: Sequence[float], count: int, documents: Collection[str] | None = None
    ) -> list[NearChunk]:
        """The chunks with the nearest vectors, the nearest first; only of these documents, if any are given.

        All are scanned by the signs of their numbers; the best of those are compared by the numbers
        themselves, as 8 bits each.
        """
        if not space.dimensions or len(vector) != space.dimensions:
            return []
        source = "signs WHERE space = ?"
        values: tuple[Any, ...] = (space.id,)
        if documents is not None:
            source = (
                "(SELECT id AS chunk FROM chunks WHERE space = ? AND has_vector"
                " AND document IN (SELECT value FROM json_each(?))) JOIN signs USING (chunk)"
            )
            values = (space.id, json.dumps(list(documents)))
        scanned = max(count * _OVERSAMPLED, _FEWEST_SCANNED)
        rows = self.db.execute(
            f"WITH scanned AS (SELECT chunk FROM {source}"
            " ORDER BY vec_distance_hamming(vec_bit(bits), vec_bit(?)) LIMIT ?),"
            " near AS (SELECT chunk, vec_distance_cosine(vec_int8(numbers), vec_int8(?)) AS distance"
            " FROM scanned JOIN vectors USING (chunk) ORDER BY distance LIMIT ?)"
            ' SELECT document, number, start, "end", 1 - distance'
            " FROM near JOIN chunks ON chunks.id = near.chunk ORDER BY distance",
            (*values, _signs(vector), scanned, _as_bytes(vector), count),
        )
        return [NearChunk(*row) for row in rows]


def _signs(vector: Sequence[float]) -> bytes:
    """A bit for each number, whether it is above zero; filled up with zeros, because eight make a byte."""
    digits = "".join("1" if number > 0 else "0" for number in vector)
    size = -(-len(digits) // 8)
    return int(digits.ljust(8 * size, "0"), 2).to_bytes(size, "big")


def _as_bytes(vector: Sequence[float]) -> bytes:
    """As 8 bits each. The largest becomes 127, which is no loss: the cosine knows no length."""
    scale = 127 / max(map(abs, vector))
    return array("b", [round(number * scale) for number in vector]).tobytes()
