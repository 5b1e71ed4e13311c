"""Bringing an older ledger to this version's schema, after a copy of it was made.

The copy is made while the write lock is held, so it is the ledger as it was when the migration began, whoever
else works on it. Copy and migration are one step: whatever ends the process between them leaves the old
ledger, which the next start finds and migrates.
"""

import logging
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

from tasks.content import hash_of
from tasks.errors import ConfigError, ServiceError
from tasks.schema import MIGRATIONS
from tasks.sqlite import is_damage, make_private, transaction

log = logging.getLogger("shoebox.ledger")

LATEST = len(MIGRATIONS)
"""The schema that this version writes."""
_DRAFT = ".unfinished"
_NEEDED_TIMES = 3
"""The copy, the log of SQLite, which holds what a migration writes, and the growth of the ledger by it."""
_SPARE_BYTES = 16 * 1024 * 1024


class NewerLedgerError(ConfigError):
    """A newer Shoebox has written the ledger. It is never read or changed by this one."""


class DamagedLedgerError(ServiceError):
    """The ledger's file is not what SQLite wrote."""


def schema_of(db: sqlite3.Connection) -> int:
    """The number of the last migration that was applied; 0 for an empty file."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def refuse_newer(schema: int, path: Path) -> None:
    """Leave a newer ledger alone.

    Raises:
        NewerLedgerError: this version does not know the schema.
    """
    if schema > LATEST:
        raise NewerLedgerError(
            f"The ledger {path} was written by a newer Shoebox (schema {schema}; this one knows {LATEST}).",
            "Update this Shoebox, then ./run.sh down and ./run.sh up; or point SHOEBOX_DATA_DIR to another"
            " folder.",
        )


def backups_dir(ledger: Path) -> Path:
    """Where the copies lie that are made before migrations."""
    return ledger.parent / "backups"


def backups(ledger: Path) -> list[Path]:
    """The copies that were made before migrations, the latest first."""
    found = [path for path in backups_dir(ledger).glob("ledger-schema-*.sqlite3") if path.is_file()]
    return sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)


def damaged(path: Path, words: object) -> DamagedLedgerError:
    """What to say of a ledger that is not what SQLite wrote."""
    copies = backups(path)
    copy = f" A copy from before the last upgrade is {copies[0]}." if copies else ""
    return DamagedLedgerError(
        f"The ledger {path} is damaged: {words}.",
        "Stop everything with ./run.sh down and move it away, with the files -wal and -shm beside it. Your"
        f" originals are untouched.{copy} docs/security.md says how to save what is in the ledger.",
    )


def upgrade(db: sqlite3.Connection, path: Path) -> Path | None:
    """Apply the migrations that are missing. Returns the copy that was made before; None for a new ledger.

    Of several processes that do it at the same time one does, and the others find it done.

    Raises:
        NewerLedgerError: this version does not know the schema.
        DamagedLedgerError: the copy does not pass SQLite's check, so nothing was changed.
        ServiceError: there is no room for the copy, or it cannot be written; nothing was changed.
        sqlite3.OperationalError: the migration cannot be written; nothing was changed.
    """
    with transaction(db):
        found = schema_of(db)
        refuse_newer(found, path)
        if found == LATEST:
            return None
        copy = _back_up(path, found) if found else None
        _close_to_others(path)
        for number, script in enumerate(MIGRATIONS[found:], start=found + 1):
            for statement in _statements(script):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {number}")
    if copy is not None:
        log.warning("The ledger was brought from schema %d to %d. As it was it is in %s", found, LATEST, copy)
    return copy


def _close_to_others(path: Path) -> None:
    """Older versions left the file to the umask."""
    for ending in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError, PermissionError):  # the latter: it is another's, and they decide
            path.with_name(path.name + ending).chmod(0o600)


def _statements(script: str) -> Iterator[str]:
    """The statements of a migration. `executescript` would commit the open transaction."""
    statement = ""
    for line in script.splitlines():
        statement += line + "\n"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


# The copy


def _back_up(path: Path, schema: int) -> Path:
    """A checked copy of the ledger as it is, while somebody holds its write lock."""
    folder = backups_dir(path)
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)
        for left in folder.glob(f"*{_DRAFT}*"):  # of an upgrade that was broken off
            left.unlink(missing_ok=True)
        _check_room(path, folder)
        draft = folder / f"ledger-schema-{schema}{_DRAFT}"
        try:
            _copy(path, draft, schema)
            return _kept(draft, schema)
        finally:
            for ending in ("", "-journal"):
                draft.with_name(draft.name + ending).unlink(missing_ok=True)
    except (OSError, sqlite3.DatabaseError) as error:
        if isinstance(error, sqlite3.DatabaseError) and is_damage(error):
            raise damaged(path, error) from error
        raise _no_copy(path, folder, f"{error}") from error


def _check_room(path: Path, folder: Path) -> None:
    taken = path.stat().st_size
    with suppress(FileNotFoundError):
        taken += path.with_name(path.name + "-wal").stat().st_size
    needed = _NEEDED_TIMES * taken + _SPARE_BYTES
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise _no_copy(path, folder, f"that takes {needed / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free")


def _no_copy(path: Path, folder: Path, why: str) -> ServiceError:
    return ServiceError(
        f"The ledger {path} is of an older Shoebox, and no copy of it can be made in {folder} before it is"
        f" brought up to date: {why}.",
        "Free some space on that disk, or mend the rights of the folder, and try again. Nothing was changed.",
    )


def _copy(path: Path, draft: Path, schema: int) -> None:
    """Copy page by page, and check the copy.

    Raises:
        DamagedLedgerError: the copy does not pass the check.
        OSError, sqlite3.DatabaseError: it cannot be read or written.
    """
    make_private(draft)
    address = f"file:{quote(os.fsencode(path))}?mode=ro"
    with closing(sqlite3.connect(address, uri=True)) as source, closing(sqlite3.connect(draft)) as target:
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")  # so that the copy is one file, whole by itself
        words = str(target.execute("PRAGMA integrity_check(1)").fetchone()[0])
        if words != "ok":
            raise damaged(path, words)
        if schema_of(target) != schema:
            raise sqlite3.OperationalError("the copy is not of the same schema")


def _kept(draft: Path, schema: int) -> Path:
    """Give a copy its name. One that is there already is never replaced, and not made twice."""
    descriptor = os.open(draft, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
        content = hash_of(descriptor)
    finally:
        os.close(descriptor)
    number = 1
    while (name := draft.with_name(_name(schema, number))).exists():
        with name.open("rb") as other:
            if hash_of(other.fileno()) == content:  # of an upgrade that was broken off after it
                return name
        number += 1
    draft.rename(name)
    folder = os.open(draft.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return name


def _name(schema: int, number: int) -> str:
    return f"ledger-schema-{schema}{'' if number == 1 else f'-{number}'}.sqlite3"
