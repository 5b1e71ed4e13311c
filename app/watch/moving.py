"""Moving a taken file to the subfolder for taken files, without ever replacing or losing one."""

import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

from app.below import folder_of, is_there, sync_names
from app.watch.sight import Sight

_MAX_NAME_BYTES = 255
_MAX_SUFFIX_BYTES = 100
"""What follows the last dot is no ending where it is longer."""


def free_place(root: Path, path: Path, subfolder: str) -> Path:
    """A place for `path` in the subfolder, below the same folders, whose name is free; now holding nothing.

    Raises:
        OSError: the folder cannot be made or written, or a link stands in its way.
    """
    wanted = root / subfolder / path.relative_to(root)
    with folder_of(root, wanted, make=True) as folder:
        for name in _numbered(wanted):
            if not is_there(folder, name):
                return wanted.with_name(name)
    raise AssertionError("numbers do not end")


def move(root: Path, path: Path, target: Path, sight: Sight) -> bool:
    """Move a file; False, with nothing moved, if it is not as it was seen or the target's name is not free.

    A place-holder keeps the target's name, so that no file of that name is ever replaced. What a program puts
    at `path` in the last moment is moved back.

    Raises:
        OSError: it cannot be moved.
    """
    with folder_of(root, path) as here, folder_of(root, target, make=True) as there:
        if not _is(path.name, here, sight):
            return False
        try:
            descriptor = os.open(target.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=there)
        except FileExistsError:
            return False
        os.close(descriptor)
        try:
            os.rename(path.name, target.name, src_dir_fd=here, dst_dir_fd=there)
        except OSError:
            remove_place_holder(root, target)
            raise
        if _is(target.name, there, sight):
            sync_names(there)
            sync_names(here)
            return True
        with suppress(OSError):  # its name was taken once more: it stays where it is, and is not lost
            os.link(target.name, path.name, src_dir_fd=there, dst_dir_fd=here, follow_symlinks=False)
            os.unlink(target.name, dir_fd=there)
        return False


def remove_place_holder(root: Path, target: Path) -> None:
    """Remove what a move that was broken off has left: an empty file at the target."""
    with suppress(OSError), folder_of(root, target) as folder:
        if os.lstat(target.name, dir_fd=folder).st_size == 0:
            os.unlink(target.name, dir_fd=folder)


def lies_at(root: Path, path: Path, sight: Sight) -> bool:
    """Whether the file that was seen is at this place, whatever it was called then."""
    try:
        with folder_of(root, path) as folder:
            return _is(path.name, folder, sight)
    except OSError:
        return False


def _is(name: str, folder: int, sight: Sight) -> bool:
    try:
        return Sight.of(os.lstat(name, dir_fd=folder)).same_content(sight)
    except FileNotFoundError:
        return False


def _numbered(path: Path) -> Iterator[str]:
    """`a.pdf`, `a (2).pdf`, `a (3).pdf` ..., none longer than a file system takes."""
    yield path.name
    suffix = path.suffix if len(os.fsencode(path.suffix)) <= _MAX_SUFFIX_BYTES else ""
    for number in count(2):
        ending = f" ({number}){suffix}"
        stem = path.name.removesuffix(suffix)
        while len(os.fsencode(stem + ending)) > _MAX_NAME_BYTES:
            stem = stem[:-1]
        yield stem + ending
