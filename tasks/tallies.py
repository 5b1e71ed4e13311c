"""Counts that never go down, whatever is removed: kept in the ledger, for metrics.

A count is entered in the transaction of what it counts, so it is neither lost nor entered twice. That of
documents is entered by triggers. It covers all workers, also those elsewhere that nobody could ask.
"""

import json

from tasks.documents import Failure
from tasks.engines import llm_engine_name
from tasks.ledger import Ledger
from tasks.metrics.runs import Key, run_increments, run_seconds
from tasks.orders import Outcome
from tasks.settings import Settings
from tasks.units import UnitRow


def tally_run(
    ledger: Ledger, settings: Settings, unit: UnitRow, outcome: Outcome, failure: Failure | None
) -> None:
    """Count a run of a unit; `failure` is why it gave nothing, as home sees it. Within a transaction."""
    increments = run_increments(unit.stage, unit.model, outcome, failure, llm_engine_name(settings))
    busy = ("queue_busy_seconds_total", (unit.queue,), run_seconds(outcome))
    ledger.db.executemany(
        "INSERT INTO tallies (name, labels, value) VALUES (?, ?, ?)"
        " ON CONFLICT (name, labels) DO UPDATE SET value = value + excluded.value",
        [
            (name, json.dumps(labels, separators=(",", ":")), amount)
            for name, labels, amount in (busy, *increments)
        ],
    )


def tallies(ledger: Ledger) -> dict[Key, float]:
    """All counts, by the name of the metric without its prefix, and its labels."""
    rows = ledger.db.execute("SELECT name, labels, value FROM tallies").fetchall()
    return {(row["name"], tuple(json.loads(row["labels"]))): row["value"] for row in rows}
