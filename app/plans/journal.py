"""The journal of plans: what is to be done with each file, how far it is, and which folders were made."""

import os
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Self

from app.plans.placing import Trace
from app.sqlite_file import SqliteFile, open_sqlite, reads_rows
from tasks.errors import NotFoundError
from tasks.settings import Settings

_SCHEMA = """
CREATE TABLE plans (
    id INTEGER PRIMARY KEY,
    target BLOB NOT NULL,
    action TEXT NOT NULL,
    template TEXT NOT NULL,
    made_at REAL NOT NULL
);
CREATE TABLE steps (
    plan INTEGER NOT NULL REFERENCES plans (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    document TEXT NOT NULL,
    source BLOB NOT NULL,
    target BLOB NOT NULL,
    sha256 TEXT NOT NULL,
    state TEXT NOT NULL,
    message TEXT NOT NULL,
    inode INTEGER,
    across INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (plan, number)
) WITHOUT ROWID;
CREATE TABLE made_folders (
    plan INTEGER NOT NULL REFERENCES plans (id) ON DELETE CASCADE,
    path BLOB NOT NULL,
    PRIMARY KEY (plan, path)
) WITHOUT ROWID;
"""


class Action(StrEnum):
    """What a plan does with files."""

    COPY = "copy"
    MOVE = "move"


class StepState(StrEnum):
    """How far a step is."""

    LEFT_OUT = "left out"
    """It was never meant to be done; the message says why."""
    PLANNED = "planned"
    STARTED = "started"
    """It may be anywhere between planned and done."""
    DONE = "done"
    SKIPPED = "skipped"
    """It could not be done; the message says why. Nothing was changed."""
    UNDOING = "undoing"
    """It may be anywhere between done and undone."""
    UNDONE = "undone"


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan without its steps."""

    id: int
    target: Path
    """The folder below which files are put."""
    action: Action
    template: str
    made_at: float

    @property
    def name(self) -> str:
        """As people name it: `p3`."""
        return f"p{self.id}"


@dataclass(frozen=True, slots=True)
class Step:
    """One file of a plan."""

    plan: int
    number: int
    document: str
    source: Path
    target: PurePosixPath
    """Below the plan's target."""
    sha256: str
    state: StepState = StepState.PLANNED
    message: str = ""
    trace: Trace | None = None


def journal_path(settings: Settings) -> Path:
    """The SQLite file."""
    return settings.data_dir / "plans.sqlite3"


class Journal(SqliteFile):
    """One connection to the journal."""

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Open the journal, making it where needed.

        Raises:
            ServiceError, ConfigError: as `open_sqlite`.
        """
        # What is done to files must be known after a power cut, or it could not be undone.
        return cls(open_sqlite(journal_path(settings), _SCHEMA, survives_power_cuts=True))

    def add(self, target: Path, action: Action, template: str, steps: Iterable[Step]) -> Plan:
        """Enter a plan; the steps get its id and their numbers."""
        with self.transaction():
            cursor = self._db.execute(
                "INSERT INTO plans (target, action, template, made_at) VALUES (?, ?, ?, ?)",
                (os.fsencode(target), action, template, time.time()),
            )
            plan = int(cursor.lastrowid or 0)
            self._db.executemany(
                "INSERT INTO steps VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, 0)",
                (
                    (
                        *(plan, number, step.document, os.fsencode(step.source), os.fsencode(step.target)),
                        *(step.sha256, step.state, step.message),
                    )
                    for number, step in enumerate(steps, start=1)
                ),
            )
        return self.plan(plan)

    def plans(self) -> list[Plan]:
        """All plans, the latest first."""
        return [_plan(row) for row in self._db.execute("SELECT * FROM plans ORDER BY id DESC")]

    def plan(self, number: int) -> Plan:
        """The plan of this number.

        Raises:
            NotFoundError: there is none.
        """
        row = self._db.execute("SELECT * FROM plans WHERE id = ?", (number,)).fetchone()
        if row is None:
            raise NotFoundError(f"There is no plan p{number}.", "./run.sh plans lists them.")
        return _plan(row)

    def steps(self, plan: int, *, backwards: bool = False) -> list[Step]:
        """A plan's steps in their order, or in the opposite one."""
        order = "DESC" if backwards else "ASC"
        rows = self._db.execute(f"SELECT * FROM steps WHERE plan = ? ORDER BY number {order}", (plan,))
        return [_step(row) for row in rows]

    @reads_rows
    def counts(self, plan: int) -> dict[StepState, int]:
        """How many of a plan's steps are in each state."""
        rows = self._db.execute("SELECT state, count(*) FROM steps WHERE plan = ? GROUP BY state", (plan,))
        return {StepState(state): number for state, number in rows}

    def put(self, step: Step) -> None:
        """Enter how far a step is."""
        inode, across = (None, False) if step.trace is None else (step.trace.inode, step.trace.across)
        self._db.execute(
            "UPDATE steps SET state = ?, message = ?, inode = ?, across = ? WHERE plan = ? AND number = ?",
            (step.state, step.message, inode, across, step.plan, step.number),
        )

    def note_folder(self, plan: int, path: Path) -> None:
        """A plan is about to make this folder."""
        self._db.execute("INSERT OR IGNORE INTO made_folders VALUES (?, ?)", (plan, os.fsencode(path)))

    @reads_rows
    def made_folders(self, plan: int) -> list[Path]:
        """The folders that a plan made, the deepest first."""
        rows = self._db.execute("SELECT path FROM made_folders WHERE plan = ?", (plan,))
        return sorted((Path(os.fsdecode(path)) for (path,) in rows), key=lambda path: -len(path.parts))

    def forget_folder(self, plan: int, path: Path) -> None:
        """This folder is no longer there, or no longer the plan's."""
        self._db.execute("DELETE FROM made_folders WHERE plan = ? AND path = ?", (plan, os.fsencode(path)))


@reads_rows
def _plan(row: sqlite3.Row) -> Plan:
    return Plan(
        id=row["id"],
        target=Path(os.fsdecode(row["target"])),
        action=Action(row["action"]),
        template=row["template"],
        made_at=row["made_at"],
    )


@reads_rows
def _step(row: sqlite3.Row) -> Step:
    return Step(
        plan=row["plan"],
        number=row["number"],
        document=row["document"],
        source=Path(os.fsdecode(row["source"])),
        target=PurePosixPath(os.fsdecode(row["target"])),
        sha256=row["sha256"],
        state=StepState(row["state"]),
        message=row["message"],
        trace=None if row["inode"] is None else Trace(row["inode"], bool(row["across"])),
    )
