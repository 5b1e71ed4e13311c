"""The folders that the services need, and what the file system's refusals mean."""

import errno
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from tasks.broker_url import check_private, redis_config_path, runtime_dir, runtime_link
from tasks.errors import ServiceError
from tasks.logs.lines import MAX_LINE, message, parse
from tasks.settings import Settings

MIN_FREE_BYTES = 64 * 1024 * 1024
"""Less than this and nothing is started: Redis refuses every write once its log cannot grow."""


def run_dir(settings: Settings) -> Path:
    """Configuration, process numbers and the lock of the services."""
    return settings.data_dir / "run"


def program_log(settings: Settings, name: str) -> Path:
    """What a program under the supervisor has printed."""
    return settings.log_dir / f"{name}.log"


def log_tail(path: Path, lines: int = 8) -> str:
    """The last lines of a log, readable and with everything unprintable escaped; empty if there is no log."""
    try:
        with path.open("rb") as log:
            start = max(0, path.stat().st_size - (lines + 1) * MAX_LINE)
            log.seek(start)
            text = log.read((lines + 1) * MAX_LINE).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    if start and "\n" in text.strip():  # it begins within a line
        text = text.partition("\n")[2]
    kept = [_readable(line) for line in text.strip().split("\n")[-lines:]]
    return "\n".join("".join(c if c.isprintable() else ascii(c)[1:-1] for c in line) for line in kept)


def _readable(line: str) -> str:
    """What a line of JSON says; any other line as it is."""
    fields = parse(line)
    if fields is None:
        return line
    places = fields.get("traceback")
    return message(fields) + (f" ({places[-1]})" if isinstance(places, list) and places else "")


@contextmanager
def clear_refusals(folder: Path) -> Iterator[None]:
    """Turn the file system's errors about `folder` into a ServiceError with a remedy."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _disk_full(folder) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            message = f"{error.filename or folder} cannot be written: {error.strerror}."
        elif error.errno in (errno.EEXIST, errno.ENOTDIR):
            message = f"{error.filename or folder} is in the way: a file where Shoebox needs a folder."
        else:
            message = f"{error.filename or folder}: {error.strerror}."
        remedy = "Make the folder yours, or name another with SHOEBOX_DATA_DIR."
        raise ServiceError(message, remedy) from error


def prepare_folders(settings: Settings) -> None:
    """Make the data directory and the folders of the services, private to the user.

    Raises:
        ServiceError: they cannot be made or written, or the disk is full.
    """
    with clear_refusals(settings.data_dir):
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (run_dir(settings), settings.log_dir, redis_config_path(settings).parent):
            folder.mkdir(mode=0o700, exist_ok=True)
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))


def check_free_space(settings: Settings) -> None:
    """Refuse to start on a disk that is as good as full.

    Raises:
        ServiceError: less than MIN_FREE_BYTES are free.
    """
    if shutil.disk_usage(settings.data_dir).free < MIN_FREE_BYTES:
        raise _disk_full(settings.data_dir)


def _disk_full(folder: Path) -> ServiceError:
    return ServiceError(
        f"The disk that holds {folder} is full.",
        f"Free at least {MIN_FREE_BYTES // 2**20} MB there, or name another folder with SHOEBOX_DATA_DIR.",
    )


def write_private(path: Path, text: str) -> None:
    """Replace a file by one that only its owner reads; never leaves half a file."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    new.replace(path)


def make_runtime_dir(settings: Settings) -> Path:
    """Make the folder of the sockets and the link to it.

    Raises:
        ServiceError: the folder is there and is not the user's own.
    """
    folder = runtime_dir(settings)
    folder.mkdir(mode=0o700, exist_ok=True)
    check_private(folder)
    link = runtime_link(settings)
    if not link.is_symlink() or link.readlink() != folder:
        link.unlink(missing_ok=True)
        link.symlink_to(folder)
    return folder


def remove_runtime_dir(settings: Settings) -> None:
    """Remove the sockets, their folder, the link to it and the process numbers, as far as they are there."""
    folder = runtime_dir(settings)
    try:
        check_private(folder)
        shutil.rmtree(folder)
    except (FileNotFoundError, ServiceError):  # nothing there, or not ours to remove
        pass
    with suppress(OSError):  # a disk that became read-only
        if runtime_link(settings).is_symlink():
            runtime_link(settings).unlink()
        for number in run_dir(settings).glob("*.pid"):
            number.unlink(missing_ok=True)


def note_stop(settings: Settings) -> None:
    """Remember that the services were told to stop now. On a full disk that is not remembered."""
    if run_dir(settings).is_dir():
        with suppress(OSError):
            _stop_mark(settings).touch(mode=0o600)
            now = time.time()  # the file system's own time of day lags by some milliseconds
            os.utime(_stop_mark(settings), (now, now))


def stopped_at(settings: Settings) -> float:
    """When they were told to stop last, in seconds since the epoch; 0 if never."""
    try:
        return _stop_mark(settings).stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _stop_mark(settings: Settings) -> Path:
    return run_dir(settings) / "stopped"


@contextmanager
def services_lock(settings: Settings) -> Iterator[None]:
    """Let one `up` or `down` at a time work on this data directory; the next one waits.

    Without the folder there is nothing to lock: `down` also ends services whose data directory was removed.
    """
    if not run_dir(settings).is_dir():
        yield
        return
    with _open_lock(run_dir(settings) / "lock") as lock:  # closing it unlocks
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _open_lock(path: Path) -> IO[str]:
    try:
        return path.open("a")
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        return path.open()  # a disk that became read-only: `down` has to work there as well
