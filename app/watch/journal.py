"""What the watcher knows: which folders are watched, and what became of every file seen in them.

A SQLite file of its own, so that watching never waits for the ledger. The watcher writes files; commands and
the UI write folders, and read all.
"""

import os
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self

from app.sqlite_file import SqliteFile, open_sqlite, reads_rows
from app.watch.sight import Sight
from tasks.settings import Settings

_SCHEMA = """
CREATE TABLE folders (
    id INTEGER PRIMARY KEY,
    path BLOB NOT NULL UNIQUE,
    recipe TEXT NOT NULL,
    when_taken TEXT NOT NULL,
    is_on INTEGER NOT NULL,
    pass_over INTEGER NOT NULL,  -- what is there at the first look is not wanted
    mode TEXT NOT NULL DEFAULT '',
    problem TEXT NOT NULL DEFAULT ''
);
CREATE TABLE files (
    path BLOB PRIMARY KEY,
    folder INTEGER NOT NULL REFERENCES folders (id) ON DELETE CASCADE,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    inode INTEGER NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL,
    document TEXT NOT NULL,
    moving_to BLOB,
    at REAL NOT NULL,
    change INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX files_by_folder ON files (folder, state);
CREATE INDEX files_by_change ON files (change);
"""


class WhenTaken(StrEnum):
    """What happens to a file in a watched folder once it is in the ledger."""

    LEAVE = "leave"
    MOVE = "move"


class FileState(StrEnum):
    """What became of a file that the watcher has seen."""

    WAITING = "waiting"
    """It has not come to rest, or a program still writes it."""
    INCOMPLETE = "incomplete"
    """It is at rest, but its end is missing."""
    TAKEN = "taken"
    """A document of its own, whose original it is."""
    KNOWN = "known"
    """Its content was in the ledger already, from another file."""
    REFUSED = "refused"
    """It cannot be taken as it is; it is looked at again when it changes."""
    IGNORED = "ignored"
    """Hidden, temporary, a link or no regular file."""
    PASSED = "passed over"
    """It was there before the watching began, and only new files are wanted."""
    GONE = "gone"
    """It was removed before it could be taken."""


UNSETTLED = frozenset({FileState.WAITING, FileState.INCOMPLETE})
"""What is still looked after."""
ENTERED = frozenset({FileState.TAKEN, FileState.KNOWN})
"""What is in the ledger."""


@dataclass(frozen=True, slots=True)
class WatchedFolder:
    """A folder that is watched, or was."""

    id: int
    path: Path
    recipe: str
    when_taken: WhenTaken
    is_on: bool
    pass_over: bool
    mode: str
    """How changes are noticed, in words; empty before the watcher has looked."""
    problem: str
    """Why it cannot be watched right now, in words."""

    @property
    def moves_taken(self) -> bool:
        """Whether taken files are moved to the subfolder."""
        return self.when_taken is WhenTaken.MOVE


@dataclass(frozen=True, slots=True)
class WatchedFile:
    """A file, and what became of it."""

    path: Path
    folder: int
    state: FileState
    sight: Sight
    reason: str = ""
    document: str = ""
    moving_to: Path | None = None
    at: float = 0.0
    change: int = 0
    """Grows with every change of any file."""

    @property
    def wants_attention(self) -> bool:
        """Whether a person may want to know: it was not taken, or not moved."""
        if self.state in ENTERED:
            return bool(self.reason)
        return self.state in UNSETTLED or self.state is FileState.REFUSED


def journal_path(settings: Settings) -> Path:
    """The SQLite file."""
    return settings.data_dir / "watch.sqlite3"


class Journal(SqliteFile):
    """One connection to the journal; for one thread."""

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Open the journal, making it where needed.

        Raises:
            ServiceError: the data directory cannot be written.
            ConfigError: a newer version wrote it.
        """
        # A power cut may cost the last rows: such a file is taken again, and recognised.
        return cls(open_sqlite(journal_path(settings), _SCHEMA, survives_power_cuts=False))

    def version(self) -> int:
        """Changes whenever another connection has written."""
        return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    # Folders

    def folders(self) -> list[WatchedFolder]:
        """All of them, in the order in which they were added."""
        return [_folder(row) for row in self._db.execute("SELECT * FROM folders ORDER BY id")]

    def put_folder(self, path: Path, recipe: str, when_taken: WhenTaken, *, only_new: bool) -> None:
        """Watch a folder; one that is known is switched on, with these options."""
        self._db.execute(
            """INSERT INTO folders (path, recipe, when_taken, is_on, pass_over) VALUES (?, ?, ?, 1, ?)
            ON CONFLICT (path) DO UPDATE SET recipe = excluded.recipe, when_taken = excluded.when_taken,
            pass_over = excluded.pass_over, is_on = 1, problem = ''""",
            (os.fsencode(path), recipe, when_taken, only_new),
        )

    def switch_off(self, folder: int) -> None:
        """Watch a folder no longer. What became of its files stays known."""
        self._db.execute("UPDATE folders SET is_on = 0, mode = '', problem = '' WHERE id = ?", (folder,))

    def forget_folder(self, folder: int) -> None:
        """Forget a folder and what became of its files. Documents stay."""
        self._db.execute("DELETE FROM folders WHERE id = ?", (folder,))

    def note(self, folder: int, *, mode: str, problem: str) -> None:
        """How a folder is watched, and what is wrong with it."""
        self._db.execute(
            "UPDATE folders SET mode = ?, problem = ? WHERE id = ? AND (mode != ? OR problem != ?)",
            (mode, problem, folder, mode, problem),
        )

    def first_look_done(self, folder: int) -> None:
        """From now on every file of a folder is wanted."""
        self._db.execute("UPDATE folders SET pass_over = 0 WHERE id = ?", (folder,))

    # Files

    def files(self, folder: int | None = None) -> Iterator[WatchedFile]:
        """The files of a folder, or of all, in the order of their last change."""
        where = "" if folder is None else "WHERE folder = ?"
        values = () if folder is None else (folder,)
        for row in self._db.execute(f"SELECT * FROM files {where} ORDER BY change", values):
            yield _file(row)

    def for_attention(self) -> list[WatchedFile]:
        """The files that a person may want to know of, the latest first."""
        rows = self._db.execute(
            "SELECT * FROM files WHERE state IN (?, ?, ?) OR (reason != '' AND state IN (?, ?))"
            " ORDER BY change DESC",
            (*UNSETTLED, FileState.REFUSED, *ENTERED),
        )
        return [_file(row) for row in rows]

    def latest_entered(self, number: int) -> list[WatchedFile]:
        """The files that came into the ledger last, the latest first."""
        rows = self._db.execute(
            "SELECT * FROM files WHERE state IN (?, ?) ORDER BY change DESC LIMIT ?", (*ENTERED, number)
        )
        return list(map(_file, rows))

    def changed_files(self, after: int) -> list[WatchedFile]:
        """Files whose row was written after this change, in that order."""
        return [
            _file(row)
            for row in self._db.execute("SELECT * FROM files WHERE change > ? ORDER BY change", (after,))
        ]

    @reads_rows
    def last_change(self) -> int:
        """The number of the newest change."""
        return int(self._db.execute("SELECT coalesce(max(change), 0) FROM files").fetchone()[0])

    @reads_rows
    def counts(self, folder: int) -> dict[FileState, int]:
        """How many files of a folder are in each state."""
        rows = self._db.execute(
            "SELECT state, count(*) FROM files WHERE folder = ? GROUP BY state", (folder,)
        )
        return {FileState(state): number for state, number in rows}

    def put(self, file: WatchedFile) -> None:
        """Enter what became of a file."""
        sight = file.sight
        self._db.execute(
            """INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
            (SELECT coalesce(max(change), 0) + 1 FROM files))""",
            (
                *(os.fsencode(file.path), file.folder, file.state, file.reason),
                *(sight.inode, sight.size, sight.mtime_ns, sight.ctime_ns, file.document),
                os.fsencode(file.moving_to) if file.moving_to else None,
                time.time(),
            ),
        )

    def drop(self, path: Path) -> None:
        """Forget a file."""
        self._db.execute("DELETE FROM files WHERE path = ?", (os.fsencode(path),))


@reads_rows
def _folder(row: sqlite3.Row) -> WatchedFolder:
    return WatchedFolder(
        id=row["id"],
        path=Path(os.fsdecode(row["path"])),
        recipe=row["recipe"],
        when_taken=WhenTaken(row["when_taken"]),
        is_on=bool(row["is_on"]),
        pass_over=bool(row["pass_over"]),
        mode=row["mode"],
        problem=row["problem"],
    )


@reads_rows
def _file(row: sqlite3.Row) -> WatchedFile:
    moving_to = row["moving_to"]
    return WatchedFile(
        path=Path(os.fsdecode(row["path"])),
        folder=row["folder"],
        state=FileState(row["state"]),
        sight=Sight(row["inode"], row["size"], row["mtime_ns"], row["ctime_ns"]),
        reason=row["reason"],
        document=row["document"],
        moving_to=Path(os.fsdecode(moving_to)) if moving_to else None,
        at=row["at"],
        change=row["change"],
    )
