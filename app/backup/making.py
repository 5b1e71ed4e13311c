"""Making a backup while everything goes on."""

import errno
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.backup.archive import FORMAT, Manifest, Progress, Writer
from app.backup.checking import check_backup
from app.backup.contents import LEDGER, left_out
from app.backup.snapshot import Snapshot, copy_database, held
from app.backup.stages import stage_beside, sync_folder
from tasks.errors import FileError
from tasks.path_questions import is_folder
from tasks.settings import Settings
from tasks.sqlite import is_damage
from tasks.upgrading import damaged
from tasks.version import VERSION

_SPARE_BYTES = 16 * 1024 * 1024
_HEADERS_BYTES = 2048
"""Of a file in the archive, at most."""


@dataclass(frozen=True)
class Made:
    """A backup that was written, read again and found whole."""

    path: Path
    size: int
    """Of the file, in bytes."""
    files: int
    content: int
    """Bytes of all files in it."""
    ledger: int
    """Bytes of the ledger in it."""
    left_out: tuple[str, ...]
    """What is not in it, in words."""


def make_backup(
    settings: Settings, target: Path, *, replace: bool = False, progress: Progress = lambda _: None
) -> Made:
    """Write the data directory to a file, and read that again to see whether it is whole.

    Args:
        settings: whose data directory.
        target: the file, or a folder in which it gets a name with the time.
        replace: whether a file of that name may be replaced.
        progress: is told how many bytes were copied.

    Raises:
        NotFoundError: there is no ledger.
        FileError: the file is there already, cannot be written, or the disk has no room. Nothing is left.
        ServiceError, ConfigError: the data cannot be read.
    """
    target = (target / default_name() if is_folder(target) else target).absolute()
    with _clear_refusals(settings, target):
        _check_place(settings, target, replace=replace)
    with _clear_refusals(settings, target), held(settings) as snapshot:
        _check_room(target, snapshot)
        with stage_beside(target, "unfinished") as stage:
            draft = stage / "backup.tar"
            _write(snapshot, stage, draft, progress)
            checked = check_backup(draft)
            _put_in_place(draft, target, replace=replace)
    entries = checked.manifest.files
    return Made(
        path=target,
        size=target.stat().st_size,
        files=len(entries),
        content=checked.size,
        ledger=entries[LEDGER].size,
        left_out=tuple(left_out(settings)),
    )


def default_name() -> str:
    """A name with the present second."""
    return f"shoebox-{time.strftime('%Y%m%d-%H%M%S')}.tar"


def _check_place(settings: Settings, target: Path, *, replace: bool) -> None:
    if target.exists() and not (replace and target.is_file()):
        raise FileError(f"{target} is there already.", "Name another file, or give --replace.")
    if not target.parent.is_dir():
        raise FileError(f"There is no folder {target.parent}.", "Make it first, or name another.")
    if target.resolve().is_relative_to(settings.data_dir.resolve()):
        raise FileError(
            f"{target} lies in the data directory itself.", "Name a place on another disk, if you have one."
        )


def _check_room(target: Path, snapshot: Snapshot) -> None:
    databases, files = snapshot.database_bytes(), snapshot.file_bytes()
    needed = 2 * databases + files + len(snapshot.files) * _HEADERS_BYTES + _SPARE_BYTES
    free = shutil.disk_usage(target.parent).free
    if free < needed:
        raise FileError(
            f"A backup takes {needed / 1e6:,.0f} MB in {target.parent} while it is made, and"
            f" {free / 1e6:,.0f} MB are free there.",
            "Free some space, or name a place on another disk.",
        )


def _write(snapshot: Snapshot, stage: Path, draft: Path, progress: Progress) -> None:
    descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        writer = Writer(file, progress)
        for name, database in snapshot.databases.items():
            copy = stage / name
            copy_database(database, copy)
            writer.add(name, copy)
            copy.unlink()
        for name, path in snapshot.files.items():
            writer.add(name, path)
        manifest = Manifest(
            format=FORMAT,
            shoebox=VERSION,
            schema_number=snapshot.schema,
            made_at=time.time(),
            files=writer.files,
        )
        writer.finish(manifest)
        file.flush()
        os.fsync(descriptor)


def _put_in_place(draft: Path, target: Path, *, replace: bool) -> None:
    if replace or not _linked(draft, target):
        draft.replace(target)
    sync_folder(target.parent)


def _linked(draft: Path, target: Path) -> bool:
    """Give it its name without taking that from another file; False where the file system has no links."""
    try:
        os.link(draft, target)
    except FileExistsError:
        raise FileError(f"{target} is there already.", "Name another file, or give --replace.") from None
    except OSError:
        return False
    return True


@contextmanager
def _clear_refusals(settings: Settings, target: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        if is_damage(error):  # which SQLite notices while it copies
            raise damaged(settings.ledger_path, error) from error
        raise FileError(f"{target} cannot be written: {error}.", "Is its disk full?") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise FileError(
                f"No space is left for {target}; nothing is left of it.", "Name a place on another disk."
            ) from error
        raise FileError(
            f"{error.filename or target} cannot be written: {error.strerror or error}.", "Name another place."
        ) from error
