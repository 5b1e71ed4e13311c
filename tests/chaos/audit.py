"""An eye on the ledger that sees each recording in the transaction that makes it: triggers of our own."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from tasks.documents import FINAL_STATES

_FINAL = ", ".join(f"'{state}'" for state in sorted(FINAL_STATES))
_TRIGGERS = f"""
CREATE TABLE IF NOT EXISTS chaos_ends (
    kind TEXT NOT NULL, document TEXT NOT NULL, unit INTEGER NOT NULL,
    state TEXT NOT NULL, before TEXT NOT NULL
);
CREATE TRIGGER IF NOT EXISTS chaos_unit AFTER UPDATE OF state ON units WHEN new.state = 'done' BEGIN
    INSERT INTO chaos_ends VALUES ('unit', new.document, new.id, new.state, old.state);
END;
CREATE TRIGGER IF NOT EXISTS chaos_document AFTER UPDATE OF state ON documents
    WHEN new.state IN ({_FINAL}) BEGIN
    INSERT INTO chaos_ends VALUES ('document', new.id, 0, new.state, old.state);
END;
CREATE TRIGGER IF NOT EXISTS chaos_call AFTER INSERT ON calls BEGIN
    INSERT INTO chaos_ends VALUES ('call ' || hex(new.trace), new.document, 0, '', '');
END;
"""


class Audit:
    """Counts what is recorded.

    Args:
        path: of a ledger that has been made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with closing(self._connect()) as db:
            db.executescript(_TRIGGERS)

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=30, isolation_level=None)

    def doubled(self, documents: Iterable[str]) -> list[str]:
        """What was recorded more often than once of these documents, in words."""
        marks = list(documents)
        holes = ", ".join("?" * len(marks))
        with closing(self._connect()) as db:
            twice = db.execute(
                "SELECT kind, document, unit, count(*), group_concat(before || ' -> ' || state, ', ')"
                f" FROM chaos_ends WHERE document IN ({holes})"
                " GROUP BY kind, document, unit HAVING count(*) > 1",
                marks,
            ).fetchall()
            planned_twice = db.execute(
                "SELECT document, stage, params, count(*), group_concat(id) FROM units"
                f" WHERE state = 'done' AND document IN ({holes})"
                " GROUP BY document, stage, params HAVING count(*) > 1",
                marks,
            ).fetchall()
        words = [
            f"{kind[:8]} {unit or ''} of document {document} was recorded {count} times: {how}"
            for kind, document, unit, count, how in twice
        ]
        words += [
            f"document {document}: the same {stage} is done {count} times, as units {numbers}: {params[:200]}"
            for document, stage, params, count, numbers in planned_twice
        ]
        return words
