"""Transactions of SQLite, for both of its libraries that are used here."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


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
