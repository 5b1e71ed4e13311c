"""Which files are meant when someone names files and folders."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tasks.errors import NotFoundError

# What programs leave beside documents while they work, and what systems leave in every folder.
_SKIPPED_NAMES = frozenset({"Thumbs.db", "desktop.ini", "__MACOSX"})
_SKIPPED_PREFIXES = (".", "~$")
_SKIPPED_SUFFIXES = ("~", ".part", ".crdownload", ".tmp")


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something in a folder that was passed over, with the reason."""

    path: Path
    reason: str


def find_files(paths: Iterable[Path]) -> Iterator[Path | Skipped]:
    """The files at these paths; folders are searched, in a fixed order.

    In folders, hidden and temporary files and symbolic links are skipped and said so. A path that is
    named itself is always taken, whatever it is called.

    Raises:
        NotFoundError: a named path does not exist.
    """
    for path in paths:
        if not path.exists():
            raise NotFoundError(f"{path} does not exist.", "Check the name; quote it if it has spaces.")
    for path in paths:
        if path.is_dir():
            yield from _search(path)
        else:
            yield path


def _search(folder: Path) -> Iterator[Path | Skipped]:
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        yield Skipped(folder, f"cannot be opened: {error.strerror}")
        return
    for entry in entries:
        path = Path(entry.path)
        if reason := _reason_to_skip(entry):
            yield Skipped(path, reason)
        elif entry.is_dir(follow_symlinks=False):
            yield from _search(path)
        else:
            yield path


def _reason_to_skip(entry: "os.DirEntry[str]") -> str:
    if entry.is_symlink():
        return "a symbolic link"
    if entry.name in _SKIPPED_NAMES or entry.name.startswith(_SKIPPED_PREFIXES):
        return "hidden or a system file"
    if entry.name.endswith(_SKIPPED_SUFFIXES):
        return "a temporary file"
    if not entry.is_file(follow_symlinks=False) and not entry.is_dir(follow_symlinks=False):
        return "not a regular file"
    return ""
