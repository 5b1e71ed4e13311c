"""Putting one file in its place, without ever replacing or losing one, whenever the process ends.

A file never gets its name directly: it has a name of its own in the folder first, known from plan and step,
so that what was left behind is found. It gets its final name by a link, which fails where the name is taken.
Each function here can be called again after it was broken off at any instruction, and goes on.
"""

import errno
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass

from app.plans.spots import Obstacle, Spot, has_content, is_same_file, opened, place
from tasks.content import copy_hashed


@dataclass(frozen=True, slots=True)
class Trace:
    """What tells, after a break, whether the file at the final name is ours."""

    inode: int
    across: bool = False
    """It is a copy of an original on another file system."""


Note = Callable[[Trace], None]


# Copies


def copy(source: Spot, final: Spot, mark: str, sha256: str, trace: Trace | None, note: Note) -> None:
    """Copy a file to a name where nothing is.

    Args:
        source: what to copy.
        final: where to.
        mark: the beginning of the names that are used meanwhile.
        sha256: of the content it must have.
        trace: what was noted in an earlier try.
        note: told of the copy before it gets its name.

    Raises:
        Obstacle: the source has changed, or the name is taken.
        OSError: it cannot be written; nothing is left.
    """
    if is_copied(final, mark, trace):
        return
    copying = final.beside(f"{mark}.copying")
    try:
        with opened(source, sha256) as descriptor:
            note(Trace(_write(descriptor, copying, sha256)))
        place(copying, final)
    finally:
        copying.remove()
    final.sync()


def is_copied(final: Spot, mark: str, trace: Trace | None) -> bool:
    """After a break: whether the copy has its name. If not, nothing of it is left after this."""
    final.beside(f"{mark}.copying").remove()
    if trace is None or final.inode != trace.inode:
        return False
    final.sync()
    return True


def _write(source: int, copying: Spot, sha256: str) -> int:
    """Write a copy with the times and rights of its source; returns its inode."""
    info = os.fstat(source)
    target = os.open(
        copying.name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=copying.folder
    )
    try:
        if copy_hashed(source, target) != sha256:
            raise Obstacle("has changed since")
        os.fchmod(target, stat.S_IMODE(info.st_mode))
        os.utime(target, ns=(info.st_atime_ns, info.st_mtime_ns))
        os.fsync(target)
        return os.fstat(target).st_ino
    finally:
        os.close(target)


def take_copy_back(source: Spot, copied: Spot, mark: str, sha256: str) -> None:
    """Remove a copy that is as it was made, unless its original is not: it may be the only one then.

    Raises:
        Obstacle: the original is gone or has changed, or the copy has; the copy is left where it is.
    """
    if not has_content(source, sha256):
        removing = copied.beside(f"{mark}.removing")
        if removing.info() is not None:
            _put_back(removing, copied)
        if copied.info() is not None:
            raise Obstacle("the original is gone or has changed, so this may be the only copy")
    remove_copy(copied, mark, sha256)


def remove_copy(copied: Spot, mark: str, sha256: str) -> None:
    """Remove a copy that is as it was made.

    It is renamed before it is looked at, so that what somebody puts in its place meanwhile is never removed.

    Raises:
        Obstacle: it has changed; it is left where it is.
    """
    removing = copied.beside(f"{mark}.removing")
    if removing.info() is None:
        if copied.info() is None:
            return  # it was removed already
        copied.rename(removing)
    try:
        with opened(removing, sha256):
            pass
    except Obstacle:
        _put_back(removing, copied)
        raise
    removing.remove()
    copied.sync()


def _put_back(spot: Spot, wanted: Spot) -> None:
    """Give a file its old name again; if somebody has taken that, say how it is called."""
    if is_same_file(spot, wanted):  # broken off between link and removal
        spot.remove()
        return
    try:
        place(spot, wanted)
    except Obstacle as error:
        raise Obstacle(f"has changed, and its name was taken meanwhile: it is called {spot.name}") from error


# Moves


def move(source: Spot, final: Spot, mark: str, sha256: str, trace: Trace | None, note: Note) -> None:
    """Move a file to a name where nothing is; across file systems by a copy that is checked first.

    Args and errors: as `copy`.
    """
    if is_moved(source, final, mark, sha256, trace):
        return
    if final.info() is not None:  # even a link to the same file: it is not ours
        raise Obstacle(f"something called {final.name} is there")
    moving = final.beside(f"{mark}.moving")
    with opened(source, sha256) as descriptor:
        info = os.fstat(descriptor)
        note(Trace(info.st_ino))
        try:
            source.rename(moving)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _move_across(source, final, mark, sha256, note)
            return
    now = moving.info()
    if now is None or not _unchanged(now, info):
        _put_back(moving, source)  # somebody replaced it in that very moment
        raise Obstacle("has changed since")
    _go_on(source, moving, final)


def is_moved(source: Spot, final: Spot, mark: str, sha256: str, trace: Trace | None) -> bool:
    """After a break: bring a move that had begun to its end; no space is needed for that.

    Returns whether the file has its new name. If not, it is where it was.

    Raises:
        Obstacle: it was put back.
    """
    moving = final.beside(f"{mark}.moving")
    final.beside(f"{mark}.copying").remove()
    if moving.info() is not None:
        if not has_content(moving, sha256):  # broken off before that was known
            _put_back(moving, source)
            raise Obstacle("has changed since")
        _go_on(source, moving, final)
        return True
    if trace is None:
        return False
    if final.inode == trace.inode:
        final.sync()  # before the original goes
        if trace.across:
            _remove_original(source, final, mark, sha256, trace.inode)
        return True
    # FAT gives a file another inode when it is mounted again.
    return source.info() is None and has_content(final, sha256)


def _unchanged(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_ino, one.st_size, one.st_mtime_ns) == (other.st_ino, other.st_size, other.st_mtime_ns)


def _go_on(source: Spot, moving: Spot, final: Spot) -> None:
    """Give a file that is on its way its name; if that is taken, put it back."""
    if is_same_file(moving, final):  # broken off between link and removal
        moving.remove()
    elif is_same_file(moving, source):
        moving.remove()
        raise Obstacle("was put back: its new name was taken")
    else:
        try:
            place(moving, final)
        except Obstacle:
            _put_back(moving, source)
            raise
    final.sync()
    source.sync()


def _move_across(source: Spot, final: Spot, mark: str, sha256: str, note: Note) -> None:
    traces: list[Trace] = []

    def note_across(trace: Trace) -> None:
        traces.append(Trace(trace.inode, across=True))
        note(traces[-1])

    copy(source, final, mark, sha256, None, note_across)
    _remove_original(source, final, mark, sha256, traces[-1].inode)


def _remove_original(source: Spot, final: Spot, mark: str, sha256: str, inode: int) -> None:
    """After a copy to another file system: remove the original; if it has changed, the copy."""
    if source.info() is None and source.beside(f"{mark}.removing").info() is None:
        return  # it was removed already
    try:
        remove_copy(source, mark, sha256)
    except Obstacle:
        if final.inode == inode and has_content(final, sha256):
            final.remove()
        raise
    except OSError:  # such as a folder that cannot be written: the copy is in nobody's plan then
        if has_content(source, sha256) and final.inode == inode and has_content(final, sha256):
            final.remove()
        raise
