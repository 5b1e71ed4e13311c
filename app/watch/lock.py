"""One watcher at a time works on a data directory."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.settings import Settings


@contextmanager
def only_watcher(settings: Settings) -> Iterator[None]:
    """Be the watcher; wait for another one to end."""
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(_path(settings), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def watcher_runs(settings: Settings) -> bool:
    """Whether there is a watcher right now."""
    try:
        lock = os.open(_path(settings), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _path(settings: Settings) -> Path:
    return settings.data_dir / "watch.lock"
