"""A small SQLite file of its own: opening it, and making changes together."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Self

from tasks.errors import ConfigError, ServiceError
from tasks.sqlite import is_damage, make_private, transaction

VERSION = 1


def open_sqlite(path: Path, schema: str, *, survives_power_cuts: bool) -> sqlite3.Connection:
    """Open the file, making it with this schema where it is not there.

    Args:
        path: its folder is made, private to the user, if it is not there.
        schema: statements, each ending in `;` and a newline.
        survives_power_cuts: each change is on the disk once it is committed; else the last may be lost.

    Raises:
        ServiceError: it cannot be opened or written.
        ConfigError: a newer version wrote it.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        make_private(path)
        db = sqlite3.connect(path, timeout=30, isolation_level=None)
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
        return ServiceError(
            f"{path} is damaged: {error}.",
            "Stop everything with ./run.sh down and move it away, with the files -wal and -shm beside it: a"
            " new one is made. Documents and originals are not in it.",
        )
    return ServiceError(
        f"{path} cannot be opened: {error}.",
        "Check the rights and the free space of its folder, or set SHOEBOX_DATA_DIR.",
    )


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _refuse_newer(db: sqlite3.Connection, path: Path) -> None:
    if _version(db) > VERSION:
        raise ConfigError(f"{path} was written by a newer Shoebox.", "Update this Shoebox.")


def _prepare(db: sqlite3.Connection, path: Path, schema: str) -> None:
    with _transaction(db):
        _refuse_newer(db, path)
        if _version(db) == 0:
            for statement in schema.split(";\n"):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {VERSION}")


class SqliteFile:
    """One connection to such a file, for one thread. What it holds is for those who derive from this."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make changes together, or not at all. Inside another one nothing more is begun."""
        with _transaction(self._db):
            yield


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    with nullcontext() if db.in_transaction else transaction(db):
        yield
