"""What is in a folder, for choosing from it."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or a folder in a folder."""

    path: Path
    is_folder: bool
    size: int
    """Bytes."""
    changed: float
    """Seconds since 1970."""

    @property
    def is_hidden(self) -> bool:
        """Whether it is left out of listings unless asked for."""
        return self.path.name.startswith(".")

    def matches(self, typed: str) -> bool:
        """Whether the name holds what was typed, in whatever case; blanks do not count."""
        return typed in self.path.name.casefold().replace(" ", "")


def entries_of(folder: Path) -> list[Entry]:
    """All files and folders in a folder, folders first, by name. Devices, pipes and dead links are left out.

    Raises:
        OSError: the folder cannot be read.
    """
    with os.scandir(folder) as listing:
        entries = [entry for found in listing if (entry := _entry(found)) is not None]
    return sorted(
        entries, key=lambda entry: (not entry.is_folder, entry.path.name.casefold(), entry.path.name)
    )


def _entry(found: "os.DirEntry[str]") -> Entry | None:
    try:
        status = found.stat()
    except OSError:  # a dead link, or a file that has gone
        return None
    if not stat.S_ISDIR(status.st_mode) and not stat.S_ISREG(status.st_mode):
        return None
    return Entry(Path(found.path), stat.S_ISDIR(status.st_mode), status.st_size, status.st_mtime)
