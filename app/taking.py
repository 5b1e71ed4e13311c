"""Taking files in one after the other, for the command line and for the clerk."""

import errno
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from app.below import open_below
from app.intake import Found, Skipped
from tasks.errors import FileError, NotFoundError
from tasks.home import Home
from tasks.ledger import DocumentRow
from tasks.pipeline import Submission

_RELEASE_EVERY = 50
"""Files taken before their first units are released, so that work begins while more come in."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A file that is in the ledger now."""

    path: Path
    document: DocumentRow
    new: bool
    """False if its content was there already."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that cannot be taken."""

    path: Path
    error: FileError | NotFoundError


def take_files(
    home: Home, files: Iterable[Path | Skipped], recipe: str, *, urgent: bool
) -> Iterator[Taken | Refused | Skipped]:
    """Take files one by one, as they are asked for; what was passed over is passed on.

    Raises:
        ServiceError: the ledger or the spool cannot be written; what was taken before stays.
    """
    new = 0
    try:
        for file in files:
            if isinstance(file, Skipped):
                yield file
                continue
            try:
                submission = _take(home, file, recipe, urgent=urgent)
            except (FileError, NotFoundError) as error:
                yield Refused(file, error)
                continue
            yield Taken(file, submission.document, submission.new)
            new += submission.new
            if submission.new and new % _RELEASE_EVERY == 0:
                home.release()
    finally:
        home.release()


def _take(home: Home, file: Path, recipe: str, *, urgent: bool) -> Submission:
    """Take a file. What was found in a folder may be a link to elsewhere by now, and is not followed then."""
    if not isinstance(file, Found):
        return home.add(file, recipe, urgent=urgent)
    with ExitStack() as stack:
        try:
            descriptor = stack.enter_context(open_below(file.below, file))
        except FileNotFoundError as error:
            raise NotFoundError(f"{file} does not exist any more.") from error
        except OSError as error:
            is_link = error.errno in (errno.ELOOP, errno.ENOTDIR)
            why = "is behind a symbolic link now" if is_link else f"cannot be opened: {error.strerror}"
            raise FileError(f"{file} {why}.", "Look what became of it; named itself, it is taken.") from error
        return home.add(file, recipe, urgent=urgent, descriptor=descriptor)
