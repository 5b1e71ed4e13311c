"""What a look at a watched folder shows: files as they are now, and what is passed over, with the reason."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from app.intake import reason_to_skip


@dataclass(frozen=True, slots=True)
class Sight:
    """What tells whether a file has changed since it was last looked at.

    The device is left out: a disk that is mounted again may get another number.
    """

    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    """Also shows a change after which a program has put the time of modification back."""

    @classmethod
    def of(cls, info: os.stat_result) -> Self:
        """The sight of a file from its stat."""
        return cls(info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)

    def same_content(self, other: Self) -> bool:
        """Whether it is the same file, though it may have been renamed, which changes its ctime."""
        return (self.inode, self.size, self.mtime_ns) == (other.inode, other.size, other.mtime_ns)


@dataclass(frozen=True, slots=True)
class Seen:
    """A file that could be taken."""

    path: Path
    sight: Sight


@dataclass(frozen=True, slots=True)
class PassedOver:
    """Something that is never taken as it is: a link, a hidden or temporary file, a special file."""

    path: Path
    sight: Sight
    reason: str


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that was looked into."""

    path: Path
    inode: int
    """Another one after the folder was replaced: notices of the old one tell nothing of the new."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A folder that could not be looked into. What was seen below it before may still be there."""

    path: Path
    reason: str


Look = Seen | PassedOver | Folder | Unreadable


def look_below(folder: Path, left_out: frozenset[Path]) -> Iterator[Look]:
    """Everything below a folder, itself included, without following links or entering `left_out`."""
    waiting = [folder]  # a stack and no recursion: folders may be nested deeper than Python's calls
    while waiting:
        current = waiting.pop()
        try:
            paths = sorted(current.iterdir(), key=os.fsencode)
            yield Folder(current, current.stat().st_ino)
        except OSError as error:
            yield Unreadable(current, error.strerror or str(error))
            continue
        for path in paths:
            if path in left_out:
                continue
            seen = look_at(path)
            if isinstance(seen, Folder):
                waiting.append(path)
            elif seen is not None:
                yield seen


def look_at(path: Path) -> Look | None:
    """What is at a path; None if nothing is."""
    try:
        info = path.lstat()
    except OSError:
        return None
    is_folder = stat.S_ISDIR(info.st_mode)
    reason = reason_to_skip(
        path.name,
        is_link=stat.S_ISLNK(info.st_mode),
        is_ordinary=is_folder or stat.S_ISREG(info.st_mode),
    )
    if reason is not None:
        return PassedOver(path, Sight.of(info), reason)
    return Folder(path, info.st_ino) if is_folder else Seen(path, Sight.of(info))
