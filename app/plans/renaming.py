"""A rename that replaces nothing, where the system has one."""

import ctypes
import errno
import os

_NO_REPLACE = 1  # RENAME_NOREPLACE of linux/fs.h, since Linux 3.15; also on FAT, exFAT, NTFS and SMB


def rename_to_free_name(folder: int, name: str, new_folder: int, new_name: str) -> None:
    """Rename a file, unless something has the new name.

    Args:
        folder: open, with the file in it.
        name: of the file.
        new_folder: open, on the same file system.
        new_name: the file's name there.

    Raises:
        FileExistsError: something has the new name.
        OSError: ENOSYS, EINVAL or EOPNOTSUPP where the system or the file system has no such rename.
    """
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), name)
    if rename(folder, os.fsencode(name), new_folder, os.fsencode(new_name), ctypes.c_uint(_NO_REPLACE)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)
