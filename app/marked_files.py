"""Files that Shoebox writes for other programs, and that people may change: units, desktop entries.

The first line holds the hash of the rest. So it is known whether a file is as it was written: then
it is replaced and removed without asking, else never.
"""

import hashlib
import os
import re
from enum import StrEnum
from pathlib import Path

from tasks.errors import ConfigError, ServiceError
from tasks.whole_file import whole_file

_MARK = re.compile(r"(?:# |<!-- )Written by Shoebox; change it as you like: ([0-9a-f]{64})(?: -->)?\n")
_XML = frozenset((".svg",))
"""Endings of files whose comments are those of XML; in all others they begin with `#`."""


class Change(StrEnum):
    """What became of a file."""

    WRITTEN = "written"
    SAME = "unchanged"
    REMOVED = "removed"
    ABSENT = "not there"


def marked(text: str, ending: str = "") -> str:
    """A file with the hash of its text in a comment before it."""
    mark = f"Written by Shoebox; change it as you like: {_hash(text)}"
    return f"<!-- {mark} -->\n{text}" if ending in _XML else f"# {mark}\n{text}"


def check_ours(path: Path, *, replace: bool) -> None:
    """Make sure that a file may be replaced or removed, if it is there.

    Raises:
        ConfigError: it was changed since it was written, or is another's, and `replace` is not set.
    """
    if not os.path.lexists(path) or replace:
        return
    try:
        text = "" if path.is_symlink() else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        text = ""
    found = _MARK.match(text)
    if found is None or found[1] != _hash(text[found.end() :]):
        raise ConfigError(
            f"{path} was changed since Shoebox wrote it, or is none of its own.",
            "Look at it; --replace replaces or removes it all the same.",
        )


def write(path: Path, text: str) -> Change:
    """Write a file with its mark, whole or not at all, for its owner alone.

    Raises:
        ServiceError: it cannot be written.
    """
    whole = marked(text, path.suffix)
    try:
        if path.is_file() and not path.is_symlink() and path.read_bytes() == whole.encode():
            path.chmod(0o600)
            return Change.SAME
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with whole_file(path) as file:
            file.write(whole)
    except OSError as error:
        raise _unwritable(path, error) from error
    return Change.WRITTEN


def remove(path: Path) -> Change:
    """Remove a file.

    Raises:
        ServiceError: it cannot be removed.
    """
    try:
        path.unlink()
    except FileNotFoundError:
        return Change.ABSENT
    except OSError as error:
        raise _unwritable(path, error) from error
    return Change.REMOVED


def _unwritable(path: Path, error: OSError) -> ServiceError:
    return ServiceError(f"{path} cannot be written: {error.strerror}.", "Check the rights of its folder.")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
