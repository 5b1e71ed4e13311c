"""The spool: a copy of each file from the moment it is taken until it has been read.

Everything downstream reads the copy, so that a file that changes or vanishes meanwhile is still read as
it was when it was taken. Originals are only ever read. Copies are named by their content hash.
"""

import contextlib
import errno
import fcntl
import os
import re
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tasks.content import copy_hashed
from tasks.errors import FileError, NotFoundError, ServiceError
from tasks.ledger import DocumentRow
from tasks.settings import Settings

TAKING_PREFIX = "taking-"
"""Of copies that are being made."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Spooled:
    """A file that has been taken."""

    sha256: str
    stat: os.stat_result
    """Of the original at the moment it was read."""


def spool_path(settings: Settings, sha256: str) -> Path:
    """Where the copy with this content lies.

    Raises:
        FileError: that is no hash. It may come with a message, and must never lead anywhere else.
    """
    if not _SHA256.fullmatch(sha256):
        raise FileError("What should be read is not named by a hash.", "Nothing was read.")
    return settings.spool_dir / sha256[:2] / sha256


class StillWrittenError(FileError):
    """The file changed while it was read."""


def take(settings: Settings, path: Path, *, wanted: str = "") -> Spooled:
    """Copy a file into the spool and hash it, reading it once.

    Args:
        settings: where the spool is.
        path: of the file.
        wanted: the hash that it should have; a copy of anything else is not kept.

    Raises:
        NotFoundError: there is no such file.
        FileError: not a regular file, not readable, too large, or still being written.
        ServiceError: the spool cannot be written, for example because the disk is full.
    """
    try:
        # O_NONBLOCK: opening a named pipe must not wait for a writer. It has no effect on regular files.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotFoundError(
            f"{path} does not exist.", "Check the name; quote it if it has spaces."
        ) from error
    except OSError as error:
        raise FileError(f"{path} cannot be opened: {error.strerror}.", "Check its rights.") from error
    try:
        return take_open(settings, path, descriptor, wanted=wanted)
    finally:
        os.close(descriptor)


def take_open(settings: Settings, path: Path, descriptor: int, *, wanted: str = "") -> Spooled:
    """Copy a file that is open for reading, at its start; `path` is only for words. `wanted` as in `take`.

    Raises:
        FileError, ServiceError: as `take`.
    """
    try:
        before = os.fstat(descriptor)
        _check(settings, path, before)
        sha256 = _copy_to_spool(settings, path, descriptor, before, wanted)
    except OSError as error:
        raise _spool_error(settings, path, error) from error
    return Spooled(sha256=sha256, stat=before)


def _copy_to_spool(settings: Settings, path: Path, source: int, before: os.stat_result, wanted: str) -> str:
    """Copy an open file into the spool; returns its hash. A copy that was broken off leaves nothing.

    Nor does one of another content than is wanted, and a file that changed meanwhile never gets its place:
    that may be the copy of another document, whose content this file just had.
    """
    settings.spool_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=settings.spool_dir, prefix=TAKING_PREFIX, delete=False) as copy:
        temporary = Path(copy.name)
        try:
            # So that the sweep (spool_sweep.py) knows that somebody writes it.
            fcntl.flock(copy, fcntl.LOCK_EX)
            sha256 = copy_hashed(source, copy.fileno())
            after = os.fstat(source)
            if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                raise StillWrittenError(
                    f"{path} is still being written.", "Add it again when it is complete."
                )
            if sha256 == (wanted or sha256):
                target = spool_path(settings, sha256)
                target.parent.mkdir(mode=0o700, exist_ok=True)
                temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    return sha256


def _check(settings: Settings, path: Path, info: os.stat_result) -> None:
    if not stat.S_ISREG(info.st_mode):
        raise FileError(f"{path} is not a regular file.", "Only files and folders can be added.")
    if info.st_size > settings.max_file_bytes:
        raise FileError(
            f"{path} has {info.st_size / 1e6:,.0f} MB; the limit is {settings.max_file_bytes / 1e6:,.0f} MB.",
            "Raise SHOEBOX_MAX_FILE_BYTES if you mean it.",
        )


def _spool_error(settings: Settings, path: Path, error: OSError) -> ServiceError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return ServiceError(
            f"No space left in {settings.spool_dir} for a copy of {path}.",
            "Free some space, or set SHOEBOX_DATA_DIR to a larger disk. Nothing was lost.",
        )
    return ServiceError(f"{path} could not be copied to {settings.spool_dir}: {error}.", "Check the disk.")


def ensure(settings: Settings, document: DocumentRow) -> Path:
    """The spooled copy of a document, taken again from the original if it was dropped.

    Raises:
        FileError: the copy is gone and the original has changed or vanished.
    """
    copy = spool_path(settings, document.sha256)
    if copy.exists():
        return copy
    original = Path(os.fsdecode(document.path))
    try:
        spooled = take(settings, original, wanted=document.sha256)
    except NotFoundError as error:
        raise FileError(
            f"{document.name} is no longer at {original}.", "Put it back, or remove it here and add it again."
        ) from error
    if spooled.sha256 != document.sha256:
        raise FileError(
            f"{document.name} has changed since it was added.", "Add it again: it counts as a new document."
        )
    return copy


def drop(settings: Settings, document: DocumentRow) -> None:
    """Delete the copy of a document that has been read, if the original is still as it was."""
    with contextlib.suppress(OSError):
        info = Path(os.fsdecode(document.path)).stat()
        if (info.st_size, info.st_mtime_ns) == (document.size, document.mtime_ns):
            spool_path(settings, document.sha256).unlink(missing_ok=True)


def discard(settings: Settings, sha256: str) -> None:
    """Delete a copy that no document needs."""
    spool_path(settings, sha256).unlink(missing_ok=True)
