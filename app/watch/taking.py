"""Taking one file of a watched folder that has come to rest, or saying why not."""

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from app.below import open_below
from app.watch.completeness import missing_end
from app.watch.journal import FileState, WatchedFolder
from app.watch.sight import Sight
from app.watch.writing import is_being_written
from tasks.errors import FileError
from tasks.home import Home
from tasks.spool import StillWrittenError


class ChangedError(Exception):
    """The file is no longer as it was when it seemed to have come to rest."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a file."""

    state: FileState
    reason: str = ""
    document: str = ""


def take(home: Home, folder: WatchedFolder, path: Path, sight: Sight) -> Verdict:
    """Enter a file in the ledger if it is as it was seen, whole, and written by nobody.

    Raises:
        ChangedError: it has changed or is gone.
        ServiceError: the spool or the ledger cannot be written.
        ConfigError: the folder's recipe is wrong.
    """
    try:
        with open_below(folder.path, path) as descriptor:
            return _take_open(home, folder, path, sight, descriptor)
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise ChangedError from error
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            return Verdict(FileState.REFUSED, "a symbolic link leads to it")
        return Verdict(FileState.REFUSED, f"cannot be opened: {error.strerror}")


def _take_open(home: Home, folder: WatchedFolder, path: Path, sight: Sight, descriptor: int) -> Verdict:
    info = os.fstat(descriptor)
    if not stat.S_ISREG(info.st_mode):
        return Verdict(FileState.REFUSED, "not a regular file")
    if Sight.of(info) != sight:
        raise ChangedError
    if is_being_written(descriptor):
        return Verdict(FileState.WAITING, "a program has it open for writing")
    if info.st_size == 0:
        return Verdict(FileState.REFUSED, "is empty")
    if lack := missing_end(descriptor, info.st_size):
        return Verdict(FileState.INCOMPLETE, f"{lack}; if there is no more to come: ./run.sh add takes it")
    try:
        submission = home.add(path, folder.recipe, urgent=False, descriptor=descriptor)
    except StillWrittenError as error:
        raise ChangedError from error
    except FileError as error:
        return Verdict(FileState.REFUSED, str(error))
    is_original = submission.document.path == os.fsencode(path)  # such as one that was only touched
    state = FileState.TAKEN if is_original else FileState.KNOWN
    return Verdict(state, document=submission.document.id)
