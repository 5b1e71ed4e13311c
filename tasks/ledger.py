"""The ledger: the only truth about documents. SQLite in WAL mode, at home.

A `Ledger` is one connection of one process; open it where it is used and close it after. Every change
that belongs together is made inside `transaction()`, which takes the write lock at once, so that two
processes never decide on the same facts.
"""

import json
import os
import secrets
import sqlite3
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from pathlib import Path
from typing import Any, Self

from tasks.documents import Field, Line, Page, Stage, State, TextSource
from tasks.engines.llm.base import CallTrace
from tasks.errors import NotFoundError, ServiceError
from tasks.settings import Settings
from tasks.sqlite import is_damage, make_private, transaction
from tasks.upgrading import LATEST, damaged, refuse_newer, schema_of, upgrade

_DEFLATE_LEVEL = 1  # results are read back rarely; speed matters more than the last byte


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """One document as the ledger has it; `path` is the original's place, as the system's bytes."""

    seq: int
    id: str
    sha256: str
    name: str
    path: bytes
    size: int
    mtime_ns: int
    mime: str
    recipe: str
    state: State
    stage: Stage
    message: str
    remedy: str
    urgent: bool
    cancelled: bool
    added_at: float
    finished_at: float | None
    page_count: int
    file_title: str
    category: str
    confidence: float | None
    evidence: tuple[str, ...]
    title: str
    summary: str
    party: str
    date: str
    amount: str
    currency: str
    engine: str
    provisional: bool
    read_share: float
    model_failures: int
    language: str


_COLUMNS = frozenset(field.name for field in dataclass_fields(DocumentRow))


def _document(row: sqlite3.Row) -> DocumentRow:
    values = dict(row)
    values["state"] = State(values["state"])
    values["stage"] = Stage(values["stage"])
    values["evidence"] = tuple(json.loads(values["evidence"]))
    for flag in ("urgent", "cancelled", "provisional"):
        values[flag] = bool(values[flag])
    return DocumentRow(**values)


class Ledger:
    """One connection to the ledger."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Open the ledger, making or migrating it where needed.

        Raises:
            ServiceError: the data directory cannot be written, there is no room for the copy that is made
                before a migration, or the file is damaged.
            ConfigError: the ledger was written by a newer version.
        """
        path = settings.ledger_path
        try:
            settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            make_private(path)
            db = sqlite3.connect(path, timeout=30, isolation_level=None)
        except (OSError, sqlite3.DatabaseError) as error:
            raise _unusable(path, error) from error
        try:
            _prepare(db, path)
        except BaseException as error:
            db.close()
            if isinstance(error, (OSError, sqlite3.DatabaseError)):
                raise _unusable(path, error) from error
            raise
        return cls(db)

    def close(self) -> None:
        """Close the connection."""
        self.db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, with the write lock held from the start.

        Raises:
            ServiceError: the ledger cannot be written, for example because the disk is full.
            NewerLedgerError: a newer version has migrated the ledger since it was opened.
        """
        try:
            with transaction(self.db):
                if (schema := schema_of(self.db)) != LATEST:
                    refuse_newer(schema, Path(self.path))
                yield
        except sqlite3.OperationalError as error:
            raise ServiceError(
                f"The ledger cannot be written: {error}.",
                "Free some space on its disk if that is full, and try again. Nothing was lost.",
            ) from error

    @property
    def path(self) -> str:
        """The file."""
        return str(self.db.execute("PRAGMA database_list").fetchone()["file"])

    def meta(self, key: str) -> str:
        """A note that the program keeps for itself; empty if there is none."""
        row = self.db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return str(row["value"]) if row else ""

    def set_meta(self, key: str, value: str) -> None:
        """Keep a note."""
        self.db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def secret(self, key: str, size: int = 32) -> str:
        """A random number of this home's own, in hex, made when first asked for."""
        if not self.meta(key):
            self.db.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (key, secrets.token_hex(size)))
        return self.meta(key)

    @property
    def home(self) -> str:
        """This home's id."""
        return self.secret("home", size=4)

    # Documents

    def insert_document(
        self, sha256: str, name: str, path: Path, stat: os.stat_result, recipe: str, *, urgent: bool
    ) -> DocumentRow:
        """A new document in state waiting. Its content must not be in the ledger yet."""
        self.db.execute(
            "INSERT INTO documents (id, sha256, name, path, size, mtime_ns, recipe, state, stage, urgent,"
            " added_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                self._new_id(sha256),
                sha256,
                name,
                os.fsencode(path),
                stat.st_size,
                stat.st_mtime_ns,
                recipe,
                State.WAITING,
                Stage.EXTRACT,
                urgent,
                time.time(),
            ),
        )
        return self._one("sha256 = ?", (sha256,))

    def _new_id(self, sha256: str) -> str:
        length = 8
        while self.db.execute("SELECT 1 FROM documents WHERE id = ?", (sha256[:length],)).fetchone():
            length += 2
        return sha256[:length]

    def _one(self, where: str, values: tuple[Any, ...]) -> DocumentRow:
        return _document(self.db.execute(f"SELECT * FROM documents WHERE {where}", values).fetchone())

    def document(self, document: str) -> DocumentRow | None:
        """The document with exactly this id."""
        row = self.db.execute("SELECT * FROM documents WHERE id = ?", (document,)).fetchone()
        return _document(row) if row else None

    def find(self, text: str) -> DocumentRow:
        """The document that a user means: by the beginning of its id, or by its exact name.

        Raises:
            NotFoundError: none or several match.
        """
        with suppress(UnicodeEncodeError):
            text = os.fsencode(text).decode("utf-8", "replace")  # as names are kept that are not UTF-8
        if exact := self.document(text):
            return exact
        escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        rows = self.db.execute(
            "SELECT * FROM documents WHERE id LIKE ? ESCAPE '\\' OR name = ? LIMIT 2", (f"{escaped}%", text)
        ).fetchall()
        if len(rows) == 1 and text:
            return _document(rows[0])
        what = "No document has" if not rows else "More than one document has"
        raise NotFoundError(f"{what} the id or name {text!r}.", "`./run.sh ls` shows the ids.")

    def by_content(self, sha256: str) -> DocumentRow | None:
        """The document with this content."""
        row = self.db.execute("SELECT * FROM documents WHERE sha256 = ?", (sha256,)).fetchone()
        return _document(row) if row else None

    def documents(self, states: Iterable[State] = (), ids: Iterable[str] = ()) -> list[DocumentRow]:
        """Documents in order of arrival; all, or those in the given states or with the given ids."""
        clauses, values = [], []
        for column, wanted in (("state", list(states)), ("id", list(ids))):
            if wanted:
                clauses.append(f"{column} IN (SELECT value FROM json_each(?))")
                values.append(json.dumps(wanted))
        where = f"WHERE {' AND '.join(clauses)}" if clauses else ""
        rows = self.db.execute(f"SELECT * FROM documents {where} ORDER BY seq", values)
        return [_document(row) for row in rows]

    def state_counts(self) -> dict[State, int]:
        """How many documents are in each state that occurs."""
        rows = self.db.execute("SELECT state, count(*) AS n FROM documents GROUP BY state")
        return {State(row["state"]): int(row["n"]) for row in rows}

    def update_document(self, document: str, **columns: Any) -> None:
        """Set columns of a document; the names are the code's, never a user's."""
        if unknown := columns.keys() - _COLUMNS:
            raise ValueError(f"no such columns: {sorted(unknown)}")
        if "evidence" in columns:
            columns["evidence"] = json.dumps(list(columns["evidence"]))
        assignments = ", ".join(f"{name} = ?" for name in columns)
        self.db.execute(
            f"UPDATE documents SET {assignments} WHERE id = ?",
            (*columns.values(), document),
        )

    def delete_document(self, document: DocumentRow) -> None:
        """Forget a document, its text, its units and its stored results."""
        self.db.execute("DELETE FROM documents WHERE id = ?", (document.id,))
        self.db.execute("DELETE FROM results WHERE sha256 = ?", (document.sha256,))

    # Pages and fields

    def put_pages(self, document: str, pages: Iterable[Page]) -> None:
        """Store pages, replacing those with the same number."""
        self.db.executemany(
            # Not INSERT OR REPLACE, which deletes without telling the triggers of the full-text index.
            "INSERT INTO pages (document, number, text, source, score, needs_ocr, rotation, width, height,"
            " lines, error) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (document, number)"
            " DO UPDATE SET text = excluded.text, source = excluded.source, score = excluded.score,"
            " needs_ocr = excluded.needs_ocr, rotation = excluded.rotation, width = excluded.width,"
            " height = excluded.height, lines = excluded.lines, error = excluded.error",
            (
                (
                    document,
                    page.number,
                    page.text,
                    page.source,
                    page.score,
                    page.needs_ocr,
                    page.rotation,
                    page.width,
                    page.height,
                    json.dumps([[line.text, line.box, line.confidence] for line in page.lines]),
                    page.error,
                )
                for page in pages
            ),
        )

    def pages(self, document: str) -> list[Page]:
        """The pages of a document in order."""
        rows = self.db.execute("SELECT * FROM pages WHERE document = ? ORDER BY number", (document,))
        return [_page(row) for row in rows]

    def page(self, document: str, number: int) -> Page | None:
        """One page of a document."""
        row = self.db.execute(
            "SELECT * FROM pages WHERE document = ? AND number = ?", (document, number)
        ).fetchone()
        return _page(row) if row else None

    def put_fields(self, document: str, fields: Iterable[Field]) -> None:
        """Replace the fields of a document."""
        self.db.execute("DELETE FROM fields WHERE document = ?", (document,))
        self.db.executemany(
            "INSERT INTO fields VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    document,
                    position,
                    field.name,
                    field.value,
                    field.quote,
                    field.page,
                    field.start,
                    field.end,
                    field.status,
                    field.confidence,
                    field.learned_from,
                )
                for position, field in enumerate(fields)
            ),
        )

    def fields(self, document: str) -> list[Field]:
        """The fields of a document in the recipe's order."""
        rows = self.db.execute("SELECT * FROM fields WHERE document = ? ORDER BY position", (document,))
        return [
            Field.model_validate({k: row[k] for k in row.keys() if k not in {"document", "position"}})  # noqa: SIM118
            for row in rows
        ]

    # Results

    def put_result(self, key: str, sha256: str, result: dict[str, Any]) -> None:
        """Keep a result for the next time the same content comes."""
        payload = _deflated(json.dumps(result, ensure_ascii=False))
        self.db.execute(
            "INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?)", (key, sha256, payload, time.time())
        )

    def result(self, key: str) -> dict[str, Any] | None:
        """A kept result, if there is one."""
        row = self.db.execute("SELECT payload FROM results WHERE key = ?", (key,)).fetchone()
        return json.loads(zlib.decompress(row["payload"])) if row else None

    # Calls to language models

    def put_call(self, document: str, stage: Stage, attempt: int, call: CallTrace) -> None:
        """Keep the trace of a call."""
        self.db.execute(
            "INSERT INTO calls (document, stage, at, attempt, trace) VALUES (?, ?, ?, ?, ?)",
            (document, stage, time.time(), attempt, _deflated(call.model_dump_json())),
        )

    def calls(self, document: str) -> list[tuple[Stage, int, CallTrace]]:
        """Stage, attempt and trace of each call about a document, in order."""
        rows = self.db.execute("SELECT * FROM calls WHERE document = ? ORDER BY id", (document,))
        return [
            (
                Stage(row["stage"]),
                row["attempt"],
                CallTrace.model_validate_json(zlib.decompress(row["trace"])),
            )
            for row in rows
        ]


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    db.row_factory = sqlite3.Row
    refuse_newer(schema_of(db), path)  # before anything could be changed by us
    db.execute("PRAGMA journal_mode = WAL")
    # NORMAL loses no consistency in WAL mode; a power cut may cost the last commits, and then the units they
    # recorded are done once more.
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA foreign_keys = ON")
    if schema_of(db) != LATEST:
        upgrade(db, path)


def _unusable(path: Path, error: Exception) -> ServiceError:
    if isinstance(error, sqlite3.DatabaseError) and is_damage(error):
        return damaged(path, error)
    return ServiceError(
        f"The ledger {path} cannot be opened: {error}.",
        "Check the rights and the free space of its folder, or set SHOEBOX_DATA_DIR.",
    )


def _deflated(text: str) -> bytes:
    return zlib.compress(text.encode(), _DEFLATE_LEVEL)


def _page(row: sqlite3.Row) -> Page:
    return Page(
        number=row["number"],
        text=row["text"],
        source=TextSource(row["source"]),
        score=row["score"],
        needs_ocr=bool(row["needs_ocr"]),
        rotation=row["rotation"],
        width=row["width"],
        height=row["height"],
        lines=tuple(
            Line(text=text, box=tuple(box), confidence=confidence)
            for text, box, confidence in json.loads(row["lines"])
        ),
        error=row["error"],
    )
