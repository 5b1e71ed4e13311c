"""Places for a file in open folders, and giving a file such a place without replacing another."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from app.below import is_there, sync_names
from app.plans.renaming import rename_to_free_name
from tasks.content import hash_of

_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# FUSE without links answers ENOSYS; protected_hardlinks (proc_sys_fs(5)) answers EPERM for others' files.
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS)


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
        sync_names(self.folder)


@contextmanager
def opened(spot: Spot, sha256: str) -> Iterator[int]:
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
        if hash_of(descriptor) != sha256:
            raise Obstacle("has changed since")
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


def has_content(spot: Spot, sha256: str) -> bool:
    """Whether a regular file with this content is there."""
    try:
        with opened(spot, sha256):
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


def place(spot: Spot, final: Spot) -> None:
    """Move a file within a folder to its final name.

    Raises:
        Obstacle: something of that name is there; the file is where it was.
    """
    try:
        _link(spot, final)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _place_without_links(spot, final)
    else:
        spot.remove()


def _place_without_links(spot: Spot, final: Spot) -> None:
    """The same where there are no hard links, as on a USB stick."""
    try:
        rename_to_free_name(spot.folder, spot.name, final.folder, final.name)
    except FileExistsError as error:
        raise Obstacle(f"something called {final.name} is there") from error
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP):
            raise
        _place_by_holding_the_name(spot, final)


def _place_by_holding_the_name(spot: Spot, final: Spot) -> None:
    """The same on systems without such a rename: an empty file keeps the name until it is replaced."""
    try:
        descriptor = os.open(final.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=final.folder)
    except FileExistsError as error:
        raise Obstacle(f"something called {final.name} is there") from error
    os.close(descriptor)
    spot.rename(final)


def is_same_file(one: Spot, other: Spot) -> bool:
    """Whether both are names of one file."""
    inode = one.inode
    return inode is not None and inode == other.inode
