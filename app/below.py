"""Reaching files below a folder without ever following a link: for watched folders and for plans."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: opening a named pipe must not wait for a writer. It has no effect on regular files.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextmanager
def folder_of(
    root: Path, path: Path, *, make: bool = False, before_making: Callable[[Path], None] = lambda _: None
) -> Iterator[int]:
    """The open folder that holds `path`, reached from `root` step by step.

    Each step is refused if it is a link, so a folder that is swapped for a link to elsewhere, at whatever
    moment, leads nowhere. The root itself may be a link: a person named it.

    Args:
        root: has to be there.
        path: below it.
        make: make the folders that are not there.
        before_making: is told of each of them before it is made.

    Raises:
        OSError: ELOOP or ENOTDIR for a link, ENOENT if a folder is not there.
        ValueError: `path` is not below `root`.
    """
    parts = path.relative_to(root).parts
    if ".." in parts or not parts:
        raise ValueError(f"{path} is not below {root}")
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for number, part in enumerate(parts[:-1], start=1):
            if make and not is_there(descriptor, part):
                before_making(root.joinpath(*parts[:number]))
                with suppress(FileExistsError):
                    os.mkdir(part, 0o700, dir_fd=descriptor)
            below = os.open(part, _FOLDER, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        yield descriptor
    finally:
        os.close(descriptor)


def sync_names(folder: int) -> None:
    """Have the names in an open folder on the disk, where its file system can be told so.

    The shared folders of VirtualBox and some network shares cannot: what was done there is done all the same.
    """
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
            raise


def is_there(folder: int, name: str) -> bool:
    """Whether an open folder has an entry of this name, whatever it is."""
    try:
        os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return False
    return True


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
