"""Folders in which something is made ready beside the place that it will have.

Each is locked by its maker as long as that lives, so that the next one knows which were left by the killed.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.below import sync_names


@contextmanager
def stage_beside(target: Path, doing: str) -> Iterator[Path]:
    """A private folder beside `target`, named `.shoebox-DOING-...`; what is in it at the end is removed.

    Raises:
        OSError: it cannot be made.
    """
    prefix = f".shoebox-{doing}-"
    for left in target.parent.glob(f"{prefix}*"):
        _remove_unless_locked(left)
    stage, lock = _made(target.parent, prefix)
    try:
        yield stage
    finally:
        os.close(lock)
        shutil.rmtree(stage, ignore_errors=True)


def _made(parent: Path, prefix: str) -> tuple[Path, int]:
    """A new folder and the lock on it. Between the two another one may have taken it for a left one."""
    while True:
        stage = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        with suppress(BlockingIOError, FileNotFoundError):
            lock = _lock_of(stage)
            if stage.exists():
                return stage, lock
            os.close(lock)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync_names(descriptor)
    finally:
        os.close(descriptor)


def _lock_of(folder: Path) -> int:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _remove_unless_locked(folder: Path) -> None:
    try:
        lock = _lock_of(folder)
    except OSError:  # somebody works in it, it is gone, or none of ours
        return
    try:
        if os.fstat(lock).st_uid == os.getuid():
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)
