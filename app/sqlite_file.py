"""A small SQLite file of its own: opening it, and making changes together."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

from tasks.errors import ConfigError, ServiceError
from tasks.sqlite import is_damage, make_private, transaction

VERSION = 1

P = ParamSpec("P")
T = TypeVar("T")
_OTHER_ERRORS = (sqlite3.OperationalError, sqlite3.IntegrityError, sqlite3.ProgrammingError)
"""Kinds of `DatabaseError` that say nothing about the file's content."""


class _Connection(sqlite3.Connection):
    """A connection that knows its file."""

    path: Path


def open_sqlite(path: Path, schema: str, *, survives_power_cuts: bool) -> sqlite3.Connection:
    """Open the file, making it with this schema where it is not there.

    Args:
        path: its folder is made, private to the user, if it is not there.
        schema: statements, each ending in `;` and a newline.
        survives_power_cuts: each change is on the disk once it is committed; else the last may be lost.

    Raises:
        ServiceError: it cannot be opened or written, or is damaged.
        ConfigError: a newer version wrote it.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        make_private(path)
        db = sqlite3.connect(path, timeout=30, isolation_level=None, factory=_Connection)
        db.path = path
    except (OSError, sqlite3.DatabaseError) as error:
        raise _unusable(path, error) from error
    try:
        db.row_factory = sqlite3.Row
        _refuse_newer(db, path)  # before anything could be changed by us
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA synchronous = {'FULL' if survives_power_cuts else 'NORMAL'}")
        db.execute("PRAGMA foreign_keys = ON")
        _prepare(db, path, schema)
    except BaseException as error:
        db.close()
        if isinstance(error, sqlite3.DatabaseError):
            raise _unusable(path, error) from error
        raise
    return db


def _unusable(path: Path, error: Exception) -> ServiceError:
    if isinstance(error, sqlite3.DatabaseError) and is_damage(error):
        return _damaged(path, error)
    return ServiceError(
        f"{path} cannot be opened: {error}.",
        "Check the rights and the free space of its folder, or set SHOEBOX_DATA_DIR.",
    )


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _refuse_newer(db: sqlite3.Connection, path: Path) -> None:
    if _version(db) > VERSION:
        raise ConfigError(f"{path} was written by a newer Shoebox.", "Update this Shoebox.")


def _damaged(path: Path, error: sqlite3.Error) -> ServiceError:
    return ServiceError(
        f"{path} is damaged: {error}.",
        "Stop everything with ./run.sh down and move it away, with the files -wal and -shm beside it: a"
        " new one is made. Documents and originals are not in it.",
    )


def reads_rows(read: Callable[P, T]) -> Callable[P, T]:
    """Makes a value that cannot be one of ours what damage is that SQLite itself notices.

    Raises:
        sqlite3.DatabaseError: a row holds something of another kind.
    """

    @wraps(read)
    def reading(*arguments: P.args, **named: P.kwargs) -> T:
        try:
            return read(*arguments, **named)
        except (TypeError, ValueError, OverflowError) as error:
            raise sqlite3.DatabaseError(f"a row is none of ours: {error}") from error

    return reading


def _prepare(db: sqlite3.Connection, path: Path, schema: str) -> None:
    with _transaction(db):
        _refuse_newer(db, path)
        if _version(db) == 0:
            for statement in schema.split(";\n"):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {VERSION}")


class SqliteFile:
    """One connection to such a file, for one thread. What it holds is for those who derive from this.

    As a context manager it says in words that the file turned out to be damaged.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, _OTHER_ERRORS):
            path = self._db.path if isinstance(self._db, _Connection) else Path("The file")
            raise _damaged(path, error) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make changes together, or not at all. Inside another one nothing more is begun."""
        with _transaction(self._db):
            yield


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    with nullcontext() if db.in_transaction else transaction(db):
        yield
