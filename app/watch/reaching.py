"""Reaching a file in a watched folder without ever following a link, and who else has it open."""

import fcntl
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: opening a named pipe must not wait for a writer. It has no effect on regular files.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextmanager
def folder_of(root: Path, path: Path, *, make: bool = False) -> Iterator[int]:
    """The open folder that holds `path`, reached from `root` step by step.

    Each step is refused if it is a link, so a folder that is swapped for a link to elsewhere, at whatever
    moment, leads nowhere. The root itself may be a link: a person named it.

    Raises:
        OSError: ELOOP or ENOTDIR for a link, ENOENT if a folder is not there.
        ValueError: `path` is not below `root`.
    """
    parts = path.relative_to(root).parts
    if ".." in parts or not parts:
        raise ValueError(f"{path} is not below {root}")
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts[:-1]:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(part, 0o700, dir_fd=descriptor)
            below = os.open(part, _FOLDER, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def open_below(root: Path, path: Path) -> Iterator[int]:
    """A file below `root`, open for reading, reached without following a link.

    Raises:
        OSError, ValueError: as `folder_of`.
    """
    with folder_of(root, path) as folder:
        descriptor = os.open(path.name, _FILE, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def is_being_written(descriptor: int) -> bool:
    """Whether a program has the file open for writing, as far as this system tells.

    Linux grants a read lease only on a file that nobody has open for writing or mapped so (fcntl(2)). It is
    given back at once. Where there are no leases, as for files of other users and on network shares, the
    answer is False.
    """
    if not hasattr(fcntl, "F_SETLEASE"):
        return False
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    with suppress(OSError):
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def survive_broken_leases() -> None:
    """Ignore the signal that the kernel sends when a program wants to write where this one has a lease.

    Its default action would end this process. Only the main thread may set it; elsewhere nothing is done.
    """
    if hasattr(signal, "SIGIO") and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGIO, signal.SIG_IGN)
