"""Taking files in one after the other, for the command line and for the clerk."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from app.intake import Skipped
from tasks.errors import FileError, NotFoundError
from tasks.home import Home
from tasks.ledger import DocumentRow

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
                submission = home.add(file, recipe, urgent=urgent)
            except (FileError, NotFoundError) as error:
                yield Refused(file, error)
                continue
            yield Taken(file, submission.document, submission.new)
            new += submission.new
            if submission.new and new % _RELEASE_EVERY == 0:
                home.release()
    finally:
        home.release()
