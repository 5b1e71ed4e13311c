"""Putting a backup in the place of a data directory, which must not be there yet.

Everything is written beside that place and checked; then it gets its name, in one step of the file system.
"""

import errno
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from app.backup.archive import Manifest, Member, Progress
from app.backup.checking import Checked, read_backup
from app.backup.contents import DATABASES, LEDGER, upload_name
from app.backup.stages import stage_beside, sync_folder
from tasks.errors import ConfigError, FileError
from tasks.path_questions import exists
from tasks.settings import Settings
from tasks.sqlite import transaction

_SPARE_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Restored:
    """A data directory that was put in place."""

    path: Path
    manifest: Manifest
    documents: int
    missing: int
    """Documents whose originals are not where they were."""
    is_data_dir: bool
    """Whether it is where the settings say that the data directory is."""


def restore_backup(
    settings: Settings, source: Path, target: Path | None = None, *, progress: Progress = lambda _: None
) -> Restored:
    """Check a backup and make a data directory of it.

    Args:
        settings: whose data directory it becomes, if `target` names no other.
        source: the backup.
        target: where to put it.
        progress: is told how many bytes were written.

    Raises:
        NotFoundError, FileError: there is no such backup, it is not whole, or it cannot be written.
        ConfigError: a newer version made it, or there is something in its place.
    """
    named = (target or settings.data_dir).expanduser().absolute()
    place = named.resolve()
    with _clear_refusals(place):
        _check_place(settings, place)
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_room(source, place)
        with stage_beside(place, "restoring") as stage:
            draft = stage / "data"
            draft.mkdir(mode=0o700)
            checked = _unpack(source, draft, progress)
            manifest = checked.manifest
            documents, missing = _make_ready(draft, named, manifest)
            _sync_folders(draft)
            _check_place(settings, place)  # what came meanwhile stays
            draft.rename(place)  # onto nothing, or onto an empty folder: anything else is refused
            sync_folder(place.parent)
    return Restored(place, manifest, documents, missing, is_data_dir=place == settings.data_dir.resolve())


def _check_place(settings: Settings, place: Path) -> None:
    from app.services.processes import service_processes

    if place.is_dir() and not any(place.iterdir()):
        if place.is_mount():
            raise ConfigError(
                f"{place} is a disk of its own, which cannot be replaced in one step.",
                f"Restore to a folder on it: --to {place / 'shoebox'}, and set SHOEBOX_DATA_DIR to that.",
            )
    elif os.path.lexists(place):
        raise ConfigError(
            f"{place} is there already; a restore never overwrites anything.",
            "Stop what runs with ./run.sh down and move it away, or restore elsewhere with --to.",
        )
    if service_processes(settings.model_copy(update={"data_dir": place})):
        raise ConfigError(
            f"Services of {place} are running.", "Stop them with ./run.sh down, then restore again."
        )


def _check_room(source: Path, place: Path) -> None:
    if not source.is_file():  # what opens it says what it is
        return
    needed = source.stat().st_size + _SPARE_BYTES
    free = shutil.disk_usage(place.parent).free
    if free < needed:
        raise FileError(
            f"The backup needs {needed / 1e6:,.0f} MB in {place.parent}, and {free / 1e6:,.0f} MB are free"
            " there.",
            "Free some space, or restore to another disk with --to.",
        )


def _unpack(source: Path, draft: Path, progress: Progress) -> Checked:
    """Every file of a backup, each made anew below a folder that only we know."""

    @contextmanager
    def put(member: Member) -> Iterator[IO[bytes]]:
        path = draft / member.name
        for folder in reversed(path.relative_to(draft).parents[:-1]):
            (draft / folder).mkdir(mode=0o700, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())

    checked = read_backup(source, put, progress)
    for name, entry in checked.manifest.files.items():
        os.utime(draft / name, ns=(entry.mtime_ns, entry.mtime_ns))
    return checked


def _make_ready(draft: Path, named: Path, manifest: Manifest) -> tuple[int, int]:
    """Check the databases, and name the originals that lie within the backup by where they will be.

    Returns how many documents there are, and of how many the original is not where it was.
    """
    for name in DATABASES:
        if name in manifest.files:
            _check_database(draft / name)
    if LEDGER not in manifest.files:
        raise FileError("The backup holds no ledger.", "Take another one.")
    with closing(sqlite3.connect(draft / LEDGER, isolation_level=None)) as ledger:
        ledger.execute("PRAGMA trusted_schema = OFF")
        _check_schema(ledger, manifest)
        with transaction(ledger):
            return _follow_originals(ledger, named, manifest)


def _follow_originals(ledger: sqlite3.Connection, named: Path, manifest: Manifest) -> tuple[int, int]:
    total = missing = 0
    for seq, original in ledger.execute("SELECT seq, CAST(path AS BLOB) FROM documents").fetchall():
        total += 1
        if (name := upload_name(original)) in manifest.files:
            ledger.execute("UPDATE documents SET path = ? WHERE seq = ?", (os.fsencode(named / name), seq))
        else:
            missing += not exists(Path(os.fsdecode(original)))
    return total, missing


def _check_database(path: Path) -> None:
    try:
        with closing(sqlite3.connect(path)) as db:
            words = str(db.execute("PRAGMA integrity_check(1)").fetchone()[0])
    except sqlite3.DatabaseError as error:
        words = str(error)
    if words != "ok":
        raise FileError(f"{path.name} in the backup is damaged: {words}.", "Take another backup.")


def _check_schema(ledger: sqlite3.Connection, manifest: Manifest) -> None:
    from tasks.upgrading import refuse_newer, schema_of

    refuse_newer(schema_of(ledger), Path(LEDGER))
    if schema_of(ledger) != manifest.schema_number:
        raise FileError("The ledger in the backup is not of the schema that it says.", "Take another backup.")


def _sync_folders(draft: Path) -> None:
    for folder, _, _ in os.walk(draft, topdown=False):
        sync_folder(Path(folder))


@contextmanager
def _clear_refusals(place: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise FileError(
            f"The ledger in the backup cannot be used: {error}.", "Take another backup."
        ) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise FileError(
                f"No space is left in {place.parent}; nothing was changed.",
                "Free some, or restore to another disk with --to.",
            ) from error
        raise FileError(
            f"{place} cannot be made: {error.strerror or error}.", "Name another place with --to."
        ) from error
