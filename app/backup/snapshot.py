"""The data directory as it is at one moment, held while it is copied and everything goes on.

The ledger's write lock is held for that moment only: meanwhile no document begins or ends, so nobody drops
the copy of a file that the ledger, as it is then, still wants. Readers of SQLite see the moment for as long
as they like; the files are kept by hard links. The journal of the watched folders is looked at while the
lock is held, so that it never knows of a document that the ledger does not.
"""

import fcntl
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from app.backup.contents import DATABASES, LEDGER, LOCK, PINS, plain_files, spooled, uploaded
from tasks.errors import NotFoundError, ServiceError
from tasks.settings import Settings
from tasks.sqlite import is_damage, make_private, transaction
from tasks.upgrading import damaged, refuse_newer, schema_of

_WAIT_SECONDS = 60.0


@dataclass(frozen=True)
class Snapshot:
    """One moment."""

    databases: dict[str, sqlite3.Connection]
    """Reading connections, by the names of the files."""
    files: dict[str, Path]
    """Where the content of each file lies, by its name in the backup."""
    schema: int
    """Of the ledger."""

    def database_bytes(self) -> int:
        """How large the copies of the databases will be."""
        return sum(_pragma(db, "page_count") * _pragma(db, "page_size") for db in self.databases.values())

    def file_bytes(self) -> int:
        """How large the files are."""
        return sum(path.stat().st_size for path in self.files.values())


@contextmanager
def held(settings: Settings) -> Iterator[Snapshot]:
    """The data directory as it is now, whoever works on it.

    Raises:
        NotFoundError: there is no ledger.
        ServiceError: another backup is being made, the ledger is damaged or stays locked.
        ConfigError: a newer version wrote the ledger.
    """
    if not settings.ledger_path.is_file():
        raise _nothing(settings)
    with _only_backup(settings), _empty_folder(settings.data_dir / PINS) as pins, ExitStack() as stack:
        try:
            snapshot = _take(settings, pins, stack)
        except sqlite3.DatabaseError as error:
            if is_damage(error):
                raise damaged(settings.ledger_path, error) from error
            raise ServiceError(
                f"The data in {settings.data_dir} cannot be read: {error}.", "Try again in a moment."
            ) from error
        yield snapshot


def _take(settings: Settings, pins: Path, stack: ExitStack) -> Snapshot:
    ledger = stack.enter_context(_opened(settings.ledger_path))
    with transaction(ledger):
        schema = schema_of(ledger)
        refuse_newer(schema, settings.ledger_path)
        if not schema:  # it is just being made
            raise _nothing(settings)
        databases = {}
        for name in DATABASES:
            if (path := settings.data_dir / name).is_file():
                databases[name] = stack.enter_context(_reading(path))
        found = (*spooled(settings), *uploaded(settings, ledger), *plain_files(settings))
        files = {}
        for number, (name, path) in enumerate(found):
            with suppress(FileNotFoundError):  # dropped just now, by a document that had ended before
                files[name] = _pin(path, pins / str(number))
    return Snapshot(databases, files, schema)


def _nothing(settings: Settings) -> NotFoundError:
    return NotFoundError(
        f"There is nothing to back up in {settings.data_dir}.", "SHOEBOX_DATA_DIR names another folder."
    )


def _pin(path: Path, pin: Path) -> Path:
    """A second name for a file, which it keeps when it loses its first."""
    try:
        os.link(path, pin)
    except FileNotFoundError:
        raise
    except OSError:  # a file system without links, or the file lies on another: the lock is held for longer
        shutil.copy2(path, pin)
    return pin


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    address = f"file:{quote(os.fsencode(path))}?mode=rw"
    with closing(
        sqlite3.connect(address, uri=True, timeout=_WAIT_SECONDS, isolation_level=None)
    ) as connection:
        # As whoever opens it has it. One that was just restored or saved is not: its readers stop writers.
        connection.execute("PRAGMA journal_mode = WAL")
        yield connection


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that sees the file as it is now until it is closed."""
    with _opened(path) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # the first look fixes the moment
        yield connection


def copy_database(source: sqlite3.Connection, target: Path) -> None:
    """Copy a database of a snapshot to a file that is whole by itself, and check the copy.

    Raises:
        ServiceError: the copy does not pass SQLite's check.
        sqlite3.DatabaseError: it cannot be read or written.
    """
    make_private(target)
    with closing(sqlite3.connect(target, isolation_level=None)) as copy:
        source.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")
        words = str(copy.execute("PRAGMA integrity_check(1)").fetchone()[0])
    if words != "ok":
        path = Path(source.execute("PRAGMA database_list").fetchone()[2])
        if path.name == LEDGER:
            raise damaged(path, words)
        raise ServiceError(
            f"{path} is damaged: {words}.", "Stop everything with ./run.sh down and move it away."
        )


@contextmanager
def _only_backup(settings: Settings) -> Iterator[None]:
    lock = os.open(settings.data_dir / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise ServiceError("Another backup is being made.", "Wait until it has ended.") from error
    finally:
        os.close(lock)


@contextmanager
def _empty_folder(folder: Path) -> Iterator[Path]:
    """Of our own, without what a backup that was killed has left in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _pragma(db: sqlite3.Connection, name: str) -> int:
    return int(db.execute(f"PRAGMA {name}").fetchone()[0])
