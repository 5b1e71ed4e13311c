"""Who a headless worker is: an id that stays over restarts and that no other worker has.

Home hands units to a worker by its name, so a restarted worker should have its old name, and two workers must
never share one, also where machines have the same host name, as containers have.
"""

import fcntl
import os
import re
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.services.folders import clear_refusals
from tasks.settings import Settings

_MOST_WORKERS = 100
_FORM = re.compile(r"([0-9a-f]{8}) (.*)\n")


@dataclass(frozen=True, slots=True)
class Identity:
    """An id of eight hexadecimal digits, and the lock on it."""

    id: str
    lock: int
    """A file descriptor. Processes that inherit it keep the id taken until they have ended, too."""


@contextmanager
def worker_identity(settings: Settings) -> Iterator[Identity]:
    """Hold an id. A second worker with the same data directory at the same time gets another.

    Ids are kept in files of the data directory. One that was drawn under another host name is drawn anew: the
    directory is a copy, or is shared with a machine whose locks are not seen here.

    Raises:
        ServiceError: the data directory cannot be written.
    """
    with clear_refusals(settings.data_dir):
        folder = settings.data_dir / "workers"
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        lock = _first_free(folder)
    try:
        with clear_refusals(settings.data_dir):
            known = _read_or_draw(lock)
        yield Identity(known, lock)
    finally:
        os.close(lock)


def _first_free(folder: Path) -> int:
    for number in range(1, _MOST_WORKERS + 1):
        lock = os.open(folder / str(number), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
        except BaseException:
            os.close(lock)
            raise
        else:
            return lock
    raise BlockingIOError(f"{_MOST_WORKERS} workers use it already")


def _read_or_draw(lock: int) -> str:
    host = socket.gethostname()
    known = _FORM.fullmatch(os.pread(lock, 1024, 0).decode(errors="replace"))
    if known and known[2] == host:
        return known[1]
    drawn = secrets.token_hex(4)
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{drawn} {host}\n".encode(), 0)
    return drawn
