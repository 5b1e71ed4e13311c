"""Putting one file in its place, without ever replacing or losing one, whenever the process ends.

A file never gets its name directly: it has a name of its own in the folder first, known from plan and step,
so that what was left behind is found. It gets its final name by a link, which fails where the name is taken.
Each function here can be called again after it was broken off at any instruction, and goes on.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from app.below import is_there

_CHUNK = 1 << 20
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Trace:
    """What tells, after a break, whether the file at the final name is ours."""

    inode: int
    across: bool = False
    """It is a copy of an original on another file system."""


Note = Callable[[Trace], None]


class Obstacle(Exception):  # noqa: N818 - nothing went wrong: it is a reason to leave a file alone
    """Why a file was left as it is, in words."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A name in an open folder."""

    folder: int
    name: str

    def beside(self, name: str) -> "Spot":
        """Another name in the same folder."""
        return Spot(self.folder, name)

    def info(self) -> os.stat_result | None:
        """What is there; None if nothing is."""
        try:
            return os.lstat(self.name, dir_fd=self.folder)
        except FileNotFoundError:
            return None

    @property
    def inode(self) -> int | None:
        """The inode of what is there."""
        info = self.info()
        return None if info is None else info.st_ino

    def remove(self) -> None:
        """Remove what is there, if something is."""
        if is_there(self.folder, self.name):
            os.unlink(self.name, dir_fd=self.folder)

    def rename(self, other: "Spot") -> None:
        """Give what is here another name, at which nothing is."""
        os.rename(self.name, other.name, src_dir_fd=self.folder, dst_dir_fd=other.folder)

    def sync(self) -> None:
        """Have the names of the folder on the disk."""
        os.fsync(self.folder)


@contextmanager
def _opened(spot: Spot, sha256: str) -> Iterator[int]:
    """The regular file at a spot, open at its start, if it has this content.

    Raises:
        Obstacle: it is gone, no regular file, or has other content.
    """
    try:
        descriptor = os.open(spot.name, _FILE, dir_fd=spot.folder)
    except FileNotFoundError as error:
        raise Obstacle("is no longer there") from error
    except OSError as error:
        why = (
            "is a symbolic link now" if error.errno == errno.ELOOP else f"cannot be opened: {error.strerror}"
        )
        raise Obstacle(why) from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Obstacle("is no regular file any more")
        if _hash(descriptor) != sha256:
            raise Obstacle("has changed since")
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


def _hash(descriptor: int) -> str:
    digest = hashlib.sha256()
    while chunk := os.read(descriptor, _CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def has_content(spot: Spot, sha256: str) -> bool:
    """Whether a regular file with this content is there."""
    try:
        with _opened(spot, sha256):
            return True
    except Obstacle:
        return False


def _link(spot: Spot, other: Spot) -> None:
    """Give a file a second name.

    Raises:
        Obstacle: something of that name is there.
    """
    try:
        os.link(spot.name, other.name, src_dir_fd=spot.folder, dst_dir_fd=other.folder, follow_symlinks=False)
    except FileExistsError as error:
        raise Obstacle(f"something called {other.name} is there") from error


def _place(spot: Spot, final: Spot) -> None:
    """Move a file within a folder to its final name.

    Raises:
        Obstacle: something of that name is there; the file is where it was.
    """
    try:
        _link(spot, final)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK):
            raise
        _place_without_links(spot, final)
    else:
        spot.remove()


def _place_without_links(spot: Spot, final: Spot) -> None:
    """The same where there are no hard links, as on a USB stick: a place-holder keeps the name."""
    try:
        descriptor = os.open(final.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=final.folder)
    except FileExistsError as error:
        raise Obstacle(f"something called {final.name} is there") from error
    os.close(descriptor)
    spot.rename(final)


def _same_file(one: Spot, other: Spot) -> bool:
    inode = one.inode
    return inode is not None and inode == other.inode


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
    copying = final.beside(f"{mark}.copying")
    copying.remove()
    if trace is not None and final.inode == trace.inode:  # it was placed already
        return
    try:
        with _opened(source, sha256) as descriptor:
            note(Trace(_write(descriptor, copying, sha256)))
        _place(copying, final)
    finally:
        copying.remove()
    final.sync()


def _write(source: int, copying: Spot, sha256: str) -> int:
    """Write a copy with the times and rights of its source; returns its inode."""
    info = os.fstat(source)
    target = os.open(
        copying.name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=copying.folder
    )
    try:
        digest = hashlib.sha256()
        while chunk := os.read(source, _CHUNK):
            digest.update(chunk)
            view = memoryview(chunk)
            while view:
                view = view[os.write(target, view) :]
        if digest.hexdigest() != sha256:
            raise Obstacle("has changed since")
        os.fchmod(target, stat.S_IMODE(info.st_mode))
        os.utime(target, ns=(info.st_atime_ns, info.st_mtime_ns))
        os.fsync(target)
        return os.fstat(target).st_ino
    finally:
        os.close(target)


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
        with _opened(removing, sha256):
            pass
    except Obstacle:
        _put_back(removing, copied)
        raise
    removing.remove()
    copied.sync()


def _put_back(spot: Spot, wanted: Spot) -> None:
    """Give a file its old name again; if somebody has taken that, say how it is called."""
    if _same_file(spot, wanted):  # broken off between link and removal
        spot.remove()
        return
    try:
        _place(spot, wanted)
    except Obstacle as error:
        raise Obstacle(f"has changed, and its name was taken meanwhile: it is called {spot.name}") from error


# Moves


def move(source: Spot, final: Spot, mark: str, sha256: str, trace: Trace | None, note: Note) -> None:
    """Move a file to a name where nothing is; across file systems by a copy that is checked first.

    Args and errors: as `copy`.
    """
    moving = final.beside(f"{mark}.moving")
    final.beside(f"{mark}.copying").remove()
    if moving.info() is not None:
        if not has_content(moving, sha256):  # broken off before that was known
            _put_back(moving, source)
            raise Obstacle("has changed since")
        _go_on(source, moving, final)
        return
    if trace is not None and final.inode == trace.inode:  # it has its name already
        if trace.across:
            _remove_original(source, final, mark, sha256, trace.inode)
        return
    with _opened(source, sha256) as descriptor:
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


def _unchanged(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_ino, one.st_size, one.st_mtime_ns) == (other.st_ino, other.st_size, other.st_mtime_ns)


def _go_on(source: Spot, moving: Spot, final: Spot) -> None:
    """Give a file that is on its way its name; if that is taken, put it back."""
    if _same_file(moving, final):  # broken off between link and removal
        moving.remove()
    elif _same_file(moving, source):
        moving.remove()
        raise Obstacle("was put back: its new name was taken")
    else:
        try:
            _place(moving, final)
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
        if final.inode == inode:
            final.remove()
        raise
