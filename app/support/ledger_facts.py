"""What a support file says of the ledger: its schema and numbers. Reads only, and bears with damage."""

import re
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any
from urllib.parse import quote

from app.support.redaction import Redactor
from tasks.documents import Stage, State
from tasks.planning import CPU_QUEUE, GPU_QUEUE, HOME_QUEUE
from tasks.settings import Settings

_WAIT_SECONDS = 2.0
_QUERY_SECONDS = 5.0
"""A query that takes longer is broken off: the ledger of a million pages is checked elsewhere."""
_UNITS = 300
_KINDS = frozenset(("file", "error", "timeout", "died", "lost", "cancelled", "unavailable", "no model", ""))

Query = Callable[[sqlite3.Connection, Redactor], Any]


def ledger_facts(settings: Settings, redactor: Redactor) -> dict[str, Any]:
    """The facts, each for itself: what cannot be read says so, and the rest is there."""
    path = settings.ledger_path
    facts: dict[str, Any] = {"exists": path.exists()}
    if not facts["exists"]:
        return facts
    try:
        facts["bytes"] = path.stat().st_size
        with closing(_open(settings)) as db:
            for name, query in _QUERIES.items():
                facts[name] = _asked(db, query, redactor)
    except (OSError, sqlite3.Error) as error:
        facts["problem"] = type(error).__name__
    return facts


def names_in_ledger(settings: Settings, limit: int = 3000) -> list[str]:
    """File names and folders of the latest documents, to look for them everywhere; none if it is damaged."""
    found: set[str] = set()
    try:
        with closing(_open(settings)) as db:
            rows = db.execute("SELECT name, path FROM documents ORDER BY seq DESC LIMIT ?", (limit,))
            for name, path in rows:
                folders = bytes(path).decode("utf-8", "replace").split("/")
                found |= {str(name), *folders[3:]}  # not /home and the user, whom others look for
    except (OSError, sqlite3.Error, TypeError, ValueError):
        pass
    return sorted(one for one in found if len(one) > 4)


def _open(settings: Settings) -> sqlite3.Connection:
    address = f"file:{quote(str(settings.ledger_path.absolute()))}?mode=ro"
    return sqlite3.connect(address, uri=True, timeout=_WAIT_SECONDS, isolation_level=None)


def _asked(db: sqlite3.Connection, query: Query, redactor: Redactor) -> Any:
    until = time.monotonic() + _QUERY_SECONDS
    db.set_progress_handler(lambda: time.monotonic() > until, 10_000)
    try:
        return query(db, redactor)
    except (sqlite3.Error, TypeError, ValueError) as error:
        return {"problem": type(error).__name__}


def _state_of_file(db: sqlite3.Connection, redactor: Redactor) -> str:  # noqa: ARG001 - every query's form
    return "ok" if db.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok" else "damaged"


def _schema(db: sqlite3.Connection, redactor: Redactor) -> int:  # noqa: ARG001
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _documents(db: sqlite3.Connection, redactor: Redactor) -> list[dict[str, Any]]:  # noqa: ARG001
    rows = db.execute(
        "SELECT state, stage, count(*), sum(page_count), sum(provisional), sum(model_failures > 0)"
        " FROM documents GROUP BY state, stage"
    )
    return [
        {
            "state": _word(state, State),
            "stage": _word(stage, Stage),
            "documents": number,
            "pages": pages,
            "provisional": provisional,
            "with_model_failures": failed,
        }
        for state, stage, number, pages, provisional, failed in rows
    ]


def _units(db: sqlite3.Connection, redactor: Redactor) -> list[dict[str, Any]]:
    rows = db.execute(
        "SELECT stage, queue, model, state, failure, count(*), max(attempts), max(issue), min(seconds),"
        " avg(seconds), max(seconds), sum(swaps) FROM units GROUP BY stage, queue, model, state, failure"
    )
    return [
        {
            **_kind(stage, queue, model, state, failure, redactor),
            "units": number,
            "most_attempts": attempts,
            "most_issues": issues,
            "seconds": [_rounded(one) for one in (least, mean, most)],
            "model_loads": swaps,
        }
        for stage, queue, model, state, failure, number, attempts, issues, least, mean, most, swaps in rows
    ]


def _latest_units(db: sqlite3.Connection, redactor: Redactor) -> list[dict[str, Any]]:
    """The latest, and among them all that failed."""
    columns = "id, document, stage, queue, model, state, failure, attempts, issue, seconds, seen_at"
    failed = f"SELECT {columns} FROM units WHERE failure != '' ORDER BY id DESC LIMIT {_UNITS}"
    latest = f"SELECT {columns} FROM units ORDER BY id DESC LIMIT {_UNITS}"
    rows = db.execute(f"SELECT * FROM ({failed}) UNION SELECT * FROM ({latest}) ORDER BY id")
    return [
        {
            "unit": int(number),
            "document": document if re.fullmatch("[0-9a-f]{4,64}", str(document)) else "?",
            **_kind(stage, queue, model, state, failure, redactor),
            "attempts": attempts,
            "issue": issue,
            "seconds": _rounded(seconds),
            "seen_at": _rounded(seen),
        }
        for number, document, stage, queue, model, state, failure, attempts, issue, seconds, seen in rows
    ]


def _depths(db: sqlite3.Connection, redactor: Redactor) -> dict[str, int]:  # noqa: ARG001
    rows = db.execute(
        "SELECT queue, count(*) FROM units WHERE state IN ('waiting', 'queued', 'running') GROUP BY queue"
    )
    return {_queue(queue): number for queue, number in rows}


def _notices(db: sqlite3.Connection, redactor: Redactor) -> dict[str, int]:  # noqa: ARG001
    open_, delivered, given_up = db.execute(
        "SELECT sum(delivered_at IS NULL AND given_up_at IS NULL), sum(delivered_at IS NOT NULL),"
        " sum(given_up_at IS NOT NULL) FROM outbox"
    ).fetchone()
    return {"open": open_ or 0, "delivered": delivered or 0, "given_up": given_up or 0}


def _numbers(db: sqlite3.Connection, redactor: Redactor) -> dict[str, int]:  # noqa: ARG001
    tables = ("pages", "fields", "results", "calls", "corrections")
    return {table: db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}


_QUERIES: dict[str, Query] = {
    "file": _state_of_file,
    "schema": _schema,
    "documents": _documents,
    "queue_depths": _depths,
    "units": _units,
    "latest_units": _latest_units,
    "notices": _notices,
    "rows": _numbers,
}


def _kind(
    stage: object, queue: object, model: object, state: object, failure: object, redactor: Redactor
) -> dict[str, str]:
    return {
        "stage": _word(stage, Stage),
        "queue": _queue(queue),
        "model": redactor.clean(str(model)),
        "state": _word(state, State),
        "failure": str(failure) if failure in _KINDS else "?",
    }


def _queue(name: object) -> str:
    return str(name) if name in {HOME_QUEUE, CPU_QUEUE, GPU_QUEUE} else "?"


def _word(text: object, kind: type[State] | type[Stage]) -> str:
    """A word of the vocabulary; a damaged ledger may hold anything else."""
    return str(text) if text in {str(one) for one in kind} else "?"


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 3)
