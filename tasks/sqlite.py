"""Transactions of SQLite, for both of its libraries that are used here; its files' rights and its errors."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

_DAMAGE = frozenset((sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB))


class Connection(Protocol):
    """What `sqlite3` and `apsw` have in common."""

    @property
    def in_transaction(self) -> bool:
        """Whether one is open."""
        ...

    def execute(self, sql: str, /) -> object:
        """Run a statement."""
        ...


@contextmanager
def transaction(db: Connection) -> Iterator[None]:
    """All or nothing, with the write lock held from the start."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # SQLite itself rolls back after some errors
            db.execute("ROLLBACK")
        raise


def make_private(path: Path) -> None:
    """Make an empty file that only its owner can read, if none is there, whatever the umask is.

    SQLite makes files with mode 0644 less the umask, and gives those that it keeps beside one its mode.

    Raises:
        OSError: it cannot be made.
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def is_damage(error: sqlite3.Error) -> bool:
    """Whether SQLite says that a file is not what it has written.

    Extended codes hold the plain one in their last byte (sqlite.org/rescode.html).
    """
    code = getattr(error, "sqlite_errorcode", None)  # an error of the module's own has none
    return code is not None and code & 0xFF in _DAMAGE
