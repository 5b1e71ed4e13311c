"""What is promised, looked at after each round: nothing lost, nothing doubled, nothing left behind."""

import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.documents import FINAL_STATES, State
from tasks.ledger import DocumentRow, Ledger
from tasks.units import units_of
from tests.chaos.reference import facts_of
from tests.chaos.window import process_state
from tests.chaos.world import WORKERS, World

if TYPE_CHECKING:
    from tests.chaos.rounds import Result

_SWEPT_SECONDS = 120.0
"""Until home has removed what a killed process has left there."""
_BACK_SECONDS = 90.0
"""Until all is as before; a worker that has died several times in a minute is started again after longer."""
_GONE_SECONDS = 15.0
"""A killed process' children are given so long to end. The workers' own orderly end takes up to ten."""


def broken_promises(world: World, result: "Result", hashes: Mapping[str, Path]) -> None:
    """Look at everything, and enter in the result what is not as promised."""
    with Ledger.open(world.settings) as ledger:
        rows = [row for row in ledger.documents() if row.sha256 in hashes]
        if not result.hung:
            _compare(world, ledger, rows, hashes, result)
    result.lost += len(hashes) - len({row.sha256 for row in rows})
    _check_ends(world, rows, result)
    if not result.hung:
        result.problems += _not_back(world)
    doubled = world.audit.doubled(row.id for row in rows)
    result.doubled += len(doubled)
    result.problems += doubled
    result.problems += _damaged(world)
    result.problems += _left_in_spool(world)
    result.problems += _not_gone(result)


def _check_ends(world: World, rows: list[DocumentRow], result: "Result") -> None:
    if result.lost:
        result.problems.append(f"{result.lost} documents are not in the ledger")
    for row in rows:
        if row.state not in {State.DONE, State.REVIEW}:
            result.lost += 1
            result.problems.append(f"{row.id} {row.name} is {row.state}: {row.message}")
    with Ledger.open(world.settings) as ledger:
        units = [unit for row in rows for unit in units_of(ledger, row.id)]
    result.problems += [
        f"unit {unit.id} ({unit.stage} of {unit.document}) is {unit.state}"
        f" after {unit.attempts} attempts: {unit.message}"
        for unit in units
        if unit.state not in FINAL_STATES or unit.state is State.QUARANTINED
    ]


def _compare(
    world: World, ledger: Ledger, rows: list[DocumentRow], hashes: Mapping[str, Path], result: "Result"
) -> None:
    """What was found must be what an undisturbed reading finds."""
    wanted = world.reference.read(hashes.values())
    for row in rows:
        found = facts_of(ledger, row)
        other = {
            name: (value, wanted[row.sha256][name])
            for name, value in found.items()
            if value != wanted[row.sha256][name]
        }
        if other:
            result.problems.append(f"{row.id} {row.name} was read otherwise than undisturbed: {other}"[:1500])


def _damaged(world: World) -> list[str]:
    problems = []
    for path in sorted(world.settings.data_dir.glob("*.sqlite3")):
        with closing(sqlite3.connect(path, timeout=30)) as db:
            verdict = [row[0] for row in db.execute("PRAGMA integrity_check")]
        if verdict != ["ok"]:
            problems.append(f"{path.name} is damaged: {verdict[:5]}")
    return problems


def _not_back(world: World) -> list[str]:
    """Home must tick again, and every worker be there: else the next fault would find nobody to mend it."""
    until = time.monotonic() + _BACK_SECONDS
    with Ledger.open(world.settings) as ledger:
        before = ledger.meta("checked at")
        while True:
            ticks = ledger.meta("checked at") != before
            present = world.present()
            if ticks and len(present) == WORKERS:
                return []
            if time.monotonic() > until:
                left = [] if ticks else ["home ticks no more"]
                return [*left, f"present after {_BACK_SECONDS:g} s: {present}", world.log_tails(20)]
            time.sleep(0.05)


def _left_in_spool(world: World) -> list[str]:
    """Every document has been read and its original is still there, so no copy is needed."""
    until = time.monotonic() + _SWEPT_SECONDS
    while left := [path for path in world.settings.spool_dir.rglob("*") if path.is_file()]:
        if time.monotonic() > until:
            break
        time.sleep(0.2)
    return [f"left in the spool: {path.relative_to(world.settings.spool_dir)}" for path in sorted(left)]


def _not_gone(result: "Result") -> list[str]:
    """Processes that were killed and are still there, unless somebody else has their number by now."""
    pids = [pid for struck in result.struck for pid in struck.killed]
    until = time.monotonic() + _GONE_SECONDS
    while left := [pid for pid in pids if process_state(pid) not in {"", "Z"}]:
        if time.monotonic() > until:
            return [f"process {pid} was killed and is still there" for pid in left]
        time.sleep(0.05)
    return []


def orphans(world: World) -> list[str]:
    """After everything was ended: the processes of this world that are still there."""
    until = time.monotonic() + _GONE_SECONDS
    while left := world.members():
        if time.monotonic() > until:
            return [f"process {pid} is left: {words}" for pid, words in sorted(left.items())]
        time.sleep(0.1)
    return []
