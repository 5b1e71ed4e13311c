"""Which files are meant when someone names files and folders."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PosixPath

from tasks.errors import FileError, NotFoundError

# What programs leave beside documents while they work, and what systems leave in every folder.
_SKIPPED_NAMES = frozenset({"Thumbs.db", "desktop.ini", "__MACOSX"})
_SKIPPED_PREFIXES = (".", "~$")
_SKIPPED_SUFFIXES = (
    *("~", ".tmp", ".temp", ".swp", ".lock", ".lck"),
    *(".part", ".partial", ".filepart", ".crdownload", ".download", ".opdownload"),
)


class Reason(StrEnum):
    """Why something in a folder is passed over, though it could be read."""

    LINK = "a symbolic link"
    HIDDEN = "hidden or a system file"
    TEMPORARY = "a temporary file"
    SPECIAL = "not a regular file"


class Found(PosixPath):
    """A file that was found below a folder that was named. It is opened without following a link."""

    below: Path
    """That folder."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something in a folder that was passed over, with the reason."""

    path: Path
    reason: str
    """A `Reason`, or why the folder cannot be opened."""


def find_files(paths: Iterable[Path]) -> Iterator[Path | Skipped]:
    """The files at these paths; folders are searched, in a fixed order.

    In folders, hidden and temporary files and symbolic links are skipped and said so. A path that is
    named itself is always taken, whatever it is called.

    Raises:
        NotFoundError: a named path does not exist.
        FileError: whether it does cannot be seen: its folder is closed to us, or its share is gone.
    """
    for path in paths:
        try:
            is_there = path.exists()
        except OSError as error:
            raise FileError(f"{path} cannot be opened: {error.strerror}.", "Check its rights.") from error
        if not is_there:
            raise NotFoundError(f"{path} does not exist.", "Check the name; quote it if it has spaces.")
    for path in paths:
        if path.is_dir():
            for found in _search(path):
                if isinstance(found, Found):
                    found.below = path
                yield found
        else:
            yield path


def counted(files: int, folders: int) -> str:
    """In words: `2 files and 1 folder`."""
    parts = [
        f"{number:,} {noun}{'' if number == 1 else 's'}"
        for number, noun in ((files, "file"), (folders, "folder"))
        if number
    ]
    return " and ".join(parts) or "0 files"


def _search(folder: Path) -> Iterator[Found | Skipped]:
    # A stack and no recursion: folders may be nested deeper than Python's calls.
    waiting = [_entries(folder)]
    while waiting:
        found = next(waiting[-1], None)
        if found is None:
            waiting.pop()
        elif isinstance(found, Skipped):
            yield found
        elif found.is_dir(follow_symlinks=False):
            waiting.append(_entries(Path(found.path)))
        else:
            yield Found(found.path)


def _entries(folder: Path) -> Iterator["os.DirEntry[str] | Skipped"]:
    """What is in one folder and is wanted, and what is not."""
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        yield Skipped(folder, f"cannot be opened: {error.strerror}")
        return
    for entry in entries:
        reason = reason_to_skip(
            entry.name,
            is_link=entry.is_symlink(),
            is_ordinary=entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False),
        )
        yield Skipped(Path(entry.path), reason) if reason else entry


def reason_to_skip(name: str, *, is_link: bool, is_ordinary: bool) -> Reason | None:
    """Why an entry of a folder is passed over; None if it is wanted.

    Args:
        name: without its folder.
        is_link: it is a symbolic link.
        is_ordinary: it is a regular file or a folder.
    """
    if is_link:
        return Reason.LINK
    if name in _SKIPPED_NAMES or name.startswith(_SKIPPED_PREFIXES):
        return Reason.HIDDEN
    if name.lower().endswith(_SKIPPED_SUFFIXES):
        return Reason.TEMPORARY
    return None if is_ordinary else Reason.SPECIAL
