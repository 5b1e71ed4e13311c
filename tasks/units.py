"""The ledger's units: planning them, handing them out, ending them."""

import json
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.documents import OUTSTANDING_STATES, Stage, State
from tasks.engines import OFFLINE
from tasks.ledger import DocumentRow, Ledger
from tasks.orders import Swap


@dataclass(frozen=True, slots=True)
class UnitPlan:
    """A unit that should exist.

    `result_key` is the key under which its result is kept; empty if the result is kept in parts.
    """

    stage: Stage
    queue: str
    model: str
    params: dict[str, Any]
    result_key: str
    attempts: int = 0
    """More than 0 where the plan replaces a unit that has already failed so often."""


@dataclass(frozen=True, slots=True)
class UnitRow:
    """One unit as the ledger has it."""

    id: int
    document: str
    seq: int
    stage: Stage
    position: int
    queue: str
    model: str
    params: dict[str, Any]
    result_key: str
    urgent: bool
    state: State
    issue: int
    attempts: int
    seen_at: float
    worker: str
    seconds: float
    failure: str
    message: str
    target: str = ""
    """The worker that it was handed to, as its `Presence` names it."""
    payload_bytes: int = 0
    """Of its payload in Redis; estimated until it is there."""
    swaps: int = 0
    """Models that had to be loaded for it."""
    swap_seconds: float = 0.0
    planned_at: float = 0.0
    """In seconds since the epoch; 0 where an older version planned it."""

    @property
    def is_llm(self) -> bool:
        """Whether it is one for a language model."""
        return self.stage in {Stage.CLASSIFY, Stage.ANALYSE} and self.model != OFFLINE

    @property
    def reader(self) -> str:
        """Of classify and analyse: who reads it, for people. The engine, with its model if it has one."""
        name = str(self.params["engine"])
        return f"{name} {self.model}" if self.is_llm else name


def _unit(row: Any) -> UnitRow:
    values = dict(row)
    values["stage"] = Stage(values["stage"])
    values["state"] = State(values["state"])
    values["params"] = json.loads(values["params"])
    values["urgent"] = bool(values["urgent"])
    return UnitRow(**values)


def plan_units(ledger: Ledger, document: DocumentRow, plans: Iterable[UnitPlan]) -> list[UnitRow]:
    """Add units in state waiting, behind those that the stage already has."""
    units = []
    for plan in plans:
        cursor = ledger.db.execute(
            "INSERT INTO units (document, seq, stage, position, queue, model, params, result_key, urgent,"
            " state, attempts, planned_at)"
            " SELECT ?, ?, ?, 1 + coalesce(max(position), 0), ?, ?, ?, ?, ?, ?, ?, ?"
            " FROM units WHERE document = ? AND stage = ?",
            (
                document.id,
                document.seq,
                plan.stage,
                plan.queue,
                plan.model,
                json.dumps(plan.params),
                plan.result_key,
                document.urgent,
                State.WAITING,
                plan.attempts,
                time.time(),
                document.id,
                plan.stage,
            ),
        )
        row = ledger.db.execute("SELECT * FROM units WHERE id = ?", (cursor.lastrowid,)).fetchone()
        units.append(_unit(row))
    return units


def unit(ledger: Ledger, number: int) -> UnitRow | None:
    """The unit with this id."""
    row = ledger.db.execute("SELECT * FROM units WHERE id = ?", (number,)).fetchone()
    return _unit(row) if row else None


def units_of(ledger: Ledger, document: str, stage: Stage | None = None) -> list[UnitRow]:
    """A document's units in order of planning, of one stage or of all."""
    rows = ledger.db.execute(
        "SELECT * FROM units WHERE document = ? AND (? IS NULL OR stage = ?) ORDER BY id",
        (document, stage, stage),
    )
    return [_unit(row) for row in rows]


def outstanding(ledger: Ledger, queue: str | None = None) -> list[UnitRow]:
    """Units that are on the road or with a worker."""
    # "+id": sorting these few is cheaper than going through all units in the order of their ids.
    rows = ledger.db.execute(
        "SELECT * FROM units WHERE state IN ('queued', 'running') AND (? IS NULL OR queue = ?) ORDER BY +id",
        (queue, queue),
    )
    return [_unit(row) for row in rows]


def not_begun(ledger: Ledger, queue: str, prefix: str) -> list[UnitRow]:
    """Units for models whose names begin so that no worker has begun, as far as home knows."""
    after = f"{prefix[:-1]}{chr(ord(prefix[-1]) + 1)}"
    found = [
        _unit(row)
        for state in ("waiting", "queued")  # each has an index of its own
        for row in ledger.db.execute(
            f"SELECT * FROM units WHERE state = '{state}' AND queue = ? AND model >= ? AND model < ?",
            (queue, prefix, after),
        )
    ]
    return sorted(found, key=lambda unit: unit.id)


_NOT_LLM = "(stage NOT IN ('classify', 'analyse') OR model = 'offline')"


def next_waiting(
    ledger: Ledger,
    queue: str,
    count: int,
    *,
    with_llm: bool = True,
    models: Collection[str] | None = None,
    urgent: bool | None = None,
    document: str | None = None,
) -> list[UnitRow]:
    """The waiting units of a queue, narrowed as asked: urgent ones first, then the oldest.

    Args:
        ledger: that has them.
        queue: on which they wait.
        count: at most so many.
        with_llm: False holds back those for language models.
        models: only those for one of these; None for all.
        urgent: only those that are urgent, or only those that are not.
        document: only those of this document.
    """
    narrowed = "state = 'waiting' AND queue = ?" + ("" if with_llm else f" AND {_NOT_LLM}")
    values: list[object] = [queue]
    for condition, value in (("urgent = ?", urgent), ("document = ?", document)):
        if value is not None:
            narrowed += f" AND {condition}"
            values.append(value)
    kinds: list[tuple[str, tuple[str, ...]]]
    if models is None:
        kinds = [("", ())]
    elif urgent is not False:  # these are few: the index by urgency finds them
        kinds = [(" AND model IN (SELECT value FROM json_each(?))", (json.dumps(sorted(models)),))]
    else:  # one model at a time: the index by model gives them in order, and only those that are wanted
        kinds = [(" AND model = ?", (model,)) for model in models]
    order = "urgent DESC, seq, id" if urgent is None else "seq, id"
    rows = [
        row
        for condition, model in kinds
        for row in ledger.db.execute(
            f"SELECT * FROM units WHERE {narrowed}{condition} ORDER BY {order} LIMIT ?",
            (*values, *model, count),
        )
    ]
    rows.sort(key=lambda row: (-row["urgent"], row["seq"], row["id"]))
    return [_unit(row) for row in rows[:count]]


def waiting_models(ledger: Ledger, queue: str, *, with_llm: bool) -> dict[str, float]:
    """For each model that units of a queue wait for, when the oldest of their documents was added.

    Takes as long as there are models, not units.
    """
    rows = ledger.db.execute(
        "WITH RECURSIVE kinds (model) AS ("
        " SELECT min(model) FROM units WHERE state = 'waiting' AND queue = :queue"
        " UNION ALL SELECT (SELECT min(model) FROM units"
        "  WHERE state = 'waiting' AND queue = :queue AND model > kinds.model)"
        " FROM kinds WHERE kinds.model IS NOT NULL)"
        " SELECT model, (SELECT added_at FROM documents WHERE seq = (SELECT seq FROM units"
        f"  WHERE state = 'waiting' AND queue = :queue AND units.model = kinds.model"
        f"  AND (:with_llm OR {_NOT_LLM}) ORDER BY seq, id LIMIT 1)) AS since"
        " FROM kinds WHERE model IS NOT NULL",
        {"queue": queue, "with_llm": with_llm},
    )
    return {row["model"]: row["since"] for row in rows if row["since"] is not None}


def mark_queued(ledger: Ledger, unit_id: int, target: str = "", payload_bytes: int = 0) -> UnitRow:
    """A waiting unit is handed out, to a worker unless it is for home: the next issue begins."""
    ledger.db.execute(
        "UPDATE units SET state = 'queued', issue = issue + 1, seen_at = ?, worker = '', target = ?,"
        " payload_bytes = ? WHERE id = ?",
        (time.time(), target, payload_bytes, unit_id),
    )
    handed_out = unit(ledger, unit_id)
    assert handed_out is not None  # noqa: S101 - updated a line above, in the same transaction
    return handed_out


def mark_seen(ledger: Ledger, unit_id: int, worker: str) -> None:
    """An outstanding unit was found alive: with this worker, or on the road if there is none."""
    state = State.RUNNING if worker else State.QUEUED
    ledger.db.execute(
        "UPDATE units SET state = ?, worker = ?, seen_at = ? WHERE id = ? AND state IN ('queued', 'running')",
        (state, worker, time.time(), unit_id),
    )


def mark_waiting(ledger: Ledger, unit_id: int, *, attempt: bool, message: str = "") -> None:
    """An issue came to nothing; the unit will be issued again. `attempt` says whether it counts."""
    ledger.db.execute(
        "UPDATE units SET state = 'waiting', worker = '', attempts = attempts + ?, message = ? WHERE id = ?",
        (int(attempt), message, unit_id),
    )


def mark_ended(
    ledger: Ledger,
    unit_id: int,
    state: State,
    *,
    attempt: bool = False,
    worker: str = "",
    seconds: float = 0.0,
    failure: str = "",
    message: str = "",
    swaps: Sequence[Swap] = (),
) -> None:
    """A unit has ended for good."""
    ledger.db.execute(
        "UPDATE units SET state = ?, attempts = attempts + ?, worker = ?, seconds = ?, failure = ?,"
        " message = ?, swaps = ?, swap_seconds = ? WHERE id = ?",
        (
            state,
            int(attempt),
            worker,
            seconds,
            failure,
            message,
            len(swaps),
            sum(swap.seconds for swap in swaps),
            unit_id,
        ),
    )


def delete_unit(ledger: Ledger, unit_id: int) -> None:
    """Remove a unit; an outcome that still comes is ignored."""
    ledger.db.execute("DELETE FROM units WHERE id = ?", (unit_id,))


def delete_units(ledger: Ledger, document: str) -> list[int]:
    """Remove a document's units; returns the ids of those that were outstanding."""
    out = [u.id for u in units_of(ledger, document) if u.state in OUTSTANDING_STATES]
    ledger.db.execute("DELETE FROM units WHERE document = ?", (document,))
    return out


def set_urgent(ledger: Ledger, document: str, *, urgent: bool) -> None:
    """Move a document's units that have not ended before those that are not urgent, or back."""
    ledger.db.execute(
        "UPDATE units SET urgent = ? WHERE document = ? AND state IN ('waiting', 'queued', 'running')",
        (urgent, document),
    )


MAX_MODEL_FAILURES = 20
"""A document whose calls brought the server down so often is not sent to it again by itself."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Units ended of units planned, in the stage that a document is in."""

    done: int
    planned: int
    is_active: bool
    """Whether a unit is with a worker or on its way there."""


def progress(ledger: Ledger, documents: Iterable[str]) -> dict[str, Progress]:
    """Progress of the given documents in their current stage; a document without units is left out."""
    rows = ledger.db.execute(
        "SELECT u.document, count(*) AS planned, sum(u.state IN ('done', 'failed', 'quarantined')) AS done,"
        " max(u.state IN ('queued', 'running')) AS active"
        " FROM units u JOIN documents d ON d.id = u.document AND d.stage = u.stage"
        " WHERE u.document IN (SELECT value FROM json_each(?)) GROUP BY u.document",
        (json.dumps(list(documents)),),
    )
    return {
        row["document"]: Progress(row["done"], row["planned"], is_active=bool(row["active"])) for row in rows
    }
