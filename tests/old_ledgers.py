"""Ledgers as older versions have left them: the migrations up to some number, and rows in all tables."""

import sqlite3
import zlib
from contextlib import closing
from pathlib import Path
from typing import Any

from tasks.schema import MIGRATIONS

_DOCUMENT = (
    "INSERT INTO documents (id, sha256, name, path, size, mtime_ns, recipe, state, stage, added_at, category,"
    " title, summary, party, date, amount, currency, page_count)"
    " VALUES (?, ?, ?, ?, 10, 20, 'builtin', ?, 'analyse', 30.5, 'invoice', 'Lamp', 'A lamp.',"
    " 'Elektro Kern', '2026-02-03', '119.00', 'EUR', 2)"
)
_ROWS: dict[int, tuple[tuple[str, tuple[Any, ...]], ...]] = {
    1: (
        (_DOCUMENT, ("aa", "a" * 64, "bill ä.pdf", b"/papers/bill \xff.pdf", "done")),
        (_DOCUMENT, ("bb", "b" * 64, "scan.png", b"/papers/scan.png", "running")),
        (
            "INSERT INTO pages (document, number, text, source, score, needs_ocr, lines)"
            " VALUES ('aa', 1, 'Invoice 17 of the lamplighter', 'ocr', 0.9, 0, ?)",
            ('[["Invoice", [1, 2, 3, 4], 0.9]]',),
        ),
        (
            "INSERT INTO pages (document, number, text, source, score, needs_ocr)"
            " VALUES ('aa', 2, 'Zahlbar bis Frühling', 'text layer', 1.0, 0)",
            (),
        ),
        (
            'INSERT INTO fields (document, position, name, value, quote, page, start, "end", status,'
            " confidence) VALUES ('aa', 0, 'total', '119.00', '119,00', 1, 3, 9, 'verified', 0.8)",
            (),
        ),
        (
            "INSERT INTO units (document, seq, stage, position, queue, model, params, result_key, urgent,"
            " state, issue, attempts, worker) VALUES ('aa', 1, 'extract', 0, 'home', '', '{}', 'k', 0,"
            " 'done', 1, 1, 'w')",
            (),
        ),
        (
            "INSERT INTO units (document, seq, stage, position, queue, model, params, result_key, urgent,"
            " state) VALUES ('bb', 2, 'ocr', 0, 'gpu', 'paddleocr', '{\"pages\": [1]}', '', 1, 'waiting')",
            (),
        ),
        ("INSERT INTO results VALUES ('k', ?, ?, 40.0)", ("a" * 64, zlib.compress(b"{}"))),
        ("INSERT INTO meta VALUES ('home', 'cafe0123')", ()),
    ),
    2: (
        (
            "INSERT INTO calls (document, stage, at, attempt, trace) VALUES ('aa', 'classify', 1, 1, ?)",
            (b"x",),
        ),
    ),
    3: (
        (
            "INSERT INTO corrections (document, field, old, new, model, prompt_version, at)"
            " VALUES ('aa', 'total', '119.00', '120.00', 'big-model', '3', 50.0)",
            (),
        ),
    ),
    4: (
        (
            "INSERT INTO outbox (channel, kind, document, state, payload, created_at, due_at)"
            " VALUES ('webhook', 'document', 'aa', 'done', '{}', 1, 1)",
            (),
        ),
    ),
    6: (("INSERT INTO sketches VALUES ('aa', ?)", (b"\1\2\3\4",)),),
}


def make_old_ledger(path: Path, schema: int) -> None:
    """A ledger as the version with this schema has left it. Each row is entered as soon as it could be."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        for number in range(1, schema + 1):
            db.executescript(MIGRATIONS[number - 1])
            for statement, values in _ROWS.get(number, ()):
                db.execute(statement, values)
            db.execute(f"PRAGMA user_version = {number}")


Table = list[dict[str, Any]]


def tables_of(path: Path) -> dict[str, Table]:
    """All rows of all tables but those of the full-text index, in their order."""
    with closing(sqlite3.connect(path)) as db:
        db.row_factory = sqlite3.Row
        names = [
            row["name"]
            for row in db.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'search%'"
            )
        ]
        return {name: [dict(row) for row in db.execute(f"SELECT * FROM {name}")] for name in names}


def structure_of(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """The columns of each table, and the text of each trigger and index."""
    with closing(sqlite3.connect(path)) as db:
        found = db.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
        return {
            f"{kind} {name}": db.execute(f"PRAGMA table_info({name})").fetchall()
            if kind == "table"
            else [(sql,)]
            for kind, name, sql in found
        }
