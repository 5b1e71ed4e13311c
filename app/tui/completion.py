"""Completing a path while it is typed."""

import os
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from app.dropped import expanded
from app.plain_text import visible

_MOST_ENTRIES = 5_000
"""Of a folder's entries; with more, looking takes longer than typing."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What a typed path could become."""

    likeliest: str = ""
    """The first of the candidates, as a whole text; empty if there is none."""
    common: str = ""
    """As far as all candidates agree; the text itself if they do not agree on more."""
    count: int = 0


def complete(text: str, base: Path) -> Completion:
    """Complete the last name of a typed path, in which `~` is the home folder, from what is on the disk.

    Hidden names are offered only after a dot. Names that cannot be shown as they are (control characters,
    bytes that are not UTF-8) are not offered at all: the picker has them. May take as long as the disk does.
    """
    if text == "~":
        return Completion("~/", "~/", 1)
    typed_folder, slash, prefix = text.rpartition("/")
    names = _matching(_names(base / expanded(typed_folder + slash), hidden=prefix.startswith(".")), prefix)
    if not names:
        return Completion()
    texts = [typed_folder + slash + name for name in names]
    common = os.path.commonprefix(texts)  # noqa: RUF071 - names are completed by characters
    return Completion(texts[0], common if len(common) > len(text) or len(texts) == 1 else text, len(texts))


def _names(folder: Path, *, hidden: bool) -> list[str]:
    """What is in a folder, in order; folders with a slash behind."""
    try:
        with os.scandir(folder) as listing:
            names = [
                entry.name + "/" * entry.is_dir()
                for entry in islice(listing, _MOST_ENTRIES)
                if entry.name.startswith(".") == hidden and visible(entry.name) == entry.name
            ]
    except (OSError, ValueError):  # ValueError: NUL, or a surrogate that stands for no byte
        return []
    return sorted(names, key=lambda name: (name.casefold(), name))


def _matching(names: list[str], prefix: str) -> list[str]:
    """Those that begin with what was typed; if there are none, in whatever case."""
    exact = [name for name in names if name.startswith(prefix)]
    folded = prefix.casefold()
    return exact or [name for name in names if name[: len(prefix)].casefold() == folded]
