"""What the file of vectors says: spaces, the chunks in them, and which are near to a vector."""

import json
from array import array
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.meaning.chunking import Chunk
from tasks.meaning.file import VectorFile

_MOST_EXACT = 2_000
"""Of so many chunks every one is compared exactly: quicker than to scan them all by their signs."""
_OVERSAMPLED = 10
_FEWEST_COARSE, _MOST_COARSE = 400, 4_096
"""How many the scan by signs hands on to be compared exactly. sqlite-vec allows no more than 4,096."""
_SLOTS = 1_024
"""Of a block of sqlite-vec. A block is freed only when all in it is gone; free slots are not used again."""


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

    @property
    def table(self) -> str:
        """Where its vectors are."""
        return f"vectors_{self.id}"


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
        """Make room for vectors of that length."""
        padded = -(-dimensions // 8) * 8
        self.db.execute(
            f"CREATE VIRTUAL TABLE {space.table} USING vec0"
            f" (chunk INTEGER PRIMARY KEY, coarse BIT[{padded}], fine INT8[{padded}])"
        )
        self.db.execute("UPDATE spaces SET dimensions = ? WHERE id = ?", (dimensions, space.id))
        return Space(space.id, space.model, space.method, dimensions, space.is_complete)

    def set_complete(self, space: Space) -> None:
        """Note that all pages are in it."""
        self.db.execute("UPDATE spaces SET is_complete = 1 WHERE id = ?", (space.id,))

    def drop(self, space: Space) -> None:
        """Forget a space with all that is in it or out for it."""
        self.db.execute(f"DROP TABLE IF EXISTS {space.table}")
        for table, column in (
            ("chunks", "space"),
            ("pages", "space"),
            ("documents", "space"),
            ("batches", "space"),
            ("spaces", "id"),
        ):
            self.db.execute(f"DELETE FROM {table} WHERE {column} = ?", (space.id,))

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
        if space.dimensions:
            self.db.execute(
                f"DELETE FROM {space.table} WHERE chunk IN (SELECT id {which})", (space.id, *values)
            )
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
        floats, fine = _floats(vector), _fine(vector)
        self.db.execute(
            f"INSERT INTO {space.table} (chunk, coarse, fine)"
            " VALUES (?, vec_quantize_binary(?), vec_int8(?))",
            (chunk, floats, fine),
        )
        self.db.execute("UPDATE chunks SET has_vector = 1, batch = NULL, failures = 0 WHERE id = ?", (chunk,))

    def nearest(
        self, space: Space, vector: Sequence[float], count: int, documents: Collection[str] | None = None
    ) -> list[NearChunk]:
        """The chunks whose vectors are nearest, the nearest first; only of these documents, if any are given.

        All are scanned by the signs of their numbers; the best of those are compared by the numbers
        themselves, as 8 bits each.
        """
        if not space.dimensions or len(vector) != space.dimensions:
            return []
        chosen, values = self._chosen(space, vector, count, documents)
        rows = self.db.execute(
            f"WITH near AS (SELECT chunk, vec_distance_cosine(fine, vec_int8(?)) AS distance"
            f" FROM {space.table} WHERE chunk IN ({chosen}) ORDER BY distance LIMIT ?)"
            ' SELECT document, number, start, "end", 1 - distance'
            " FROM near JOIN chunks ON chunks.id = near.chunk ORDER BY distance",
            (_fine(vector), *values, count),
        )
        return [NearChunk(*row) for row in rows]

    def _chosen(
        self, space: Space, vector: Sequence[float], count: int, documents: Collection[str] | None
    ) -> tuple[str, tuple[Any, ...]]:
        """SQL that gives the chunks to be compared exactly, and its values."""
        within = ""
        values: tuple[str, ...] = ()
        if documents is not None:
            allowed = self._chunks_of(space, documents)
            values = (json.dumps(allowed),)
            if len(allowed) <= _MOST_EXACT:
                return "SELECT value FROM json_each(?)", values
            within = "AND chunk IN (SELECT value FROM json_each(?))"
        coarse = min(max(count * _OVERSAMPLED, _FEWEST_COARSE), _MOST_COARSE)
        scan = f"SELECT chunk FROM {space.table} WHERE coarse MATCH vec_quantize_binary(?) AND k = ? {within}"
        return scan, (_floats(vector), coarse, *values)

    def _chunks_of(self, space: Space, documents: Collection[str]) -> list[int]:
        rows = self.db.execute(
            "SELECT chunks.id FROM json_each(?) JOIN chunks ON chunks.space = ? AND document = value"
            " WHERE has_vector",
            (json.dumps(list(documents)), space.id),
        )
        return [row[0] for row in rows]

    # Room

    def wasted_slots(self, space: Space) -> int:
        """Places of vectors that were removed."""
        if not space.dimensions:
            return 0
        blocks = self.db.execute(f"SELECT count(*) FROM {space.table}_chunks").get
        rows = self.db.execute(f"SELECT count(*) FROM {space.table}_rowids").get
        return int(blocks) * _SLOTS - int(rows)

    def compact(self, space: Space) -> None:
        """Write all vectors anew, without the places of those that were removed."""
        self.db.execute(
            f"CREATE TEMP TABLE kept AS SELECT chunk, coarse, fine FROM {space.table};"
            f" DROP TABLE {space.table}"
        )
        self.give_dimensions(space, space.dimensions)
        self.db.execute(
            f"INSERT INTO {space.table} (chunk, coarse, fine)"
            " SELECT chunk, vec_bit(coarse), vec_int8(fine) FROM temp.kept; DROP TABLE temp.kept"
        )


def _floats(vector: Sequence[float]) -> bytes:
    """As sqlite-vec takes floats; with zeros at the end, because signs are kept eight to a byte."""
    return array("f", [*vector, *(0.0 for _ in range(-len(vector) % 8))]).tobytes()


def _fine(vector: Sequence[float]) -> bytes:
    """As 8 bits each. The largest becomes 127, which is no loss: the cosine knows no length."""
    scale = 127 / max(map(abs, vector))
    numbers = [round(number * scale) for number in vector]
    return array("b", [*numbers, *(0 for _ in range(-len(vector) % 8))]).tobytes()
