"""Files arrive: what is taken at once, and what is asked before."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from app.intake import Skipped, find_files
from app.tui.background import in_background
from app.tui.screens.confirm import Confirm

if TYPE_CHECKING:
    from app.tui.app import ShoeboxApp

_MOST_COUNTED = 10_000
_LONGEST_COUNT_SECONDS = 5.0


@dataclass(slots=True)
class FolderCount:
    """What is in folders."""

    files: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    complete: bool = True


async def choose(app: "ShoeboxApp", paths: Sequence[Path]) -> tuple[str, ...]:
    """The paths to take in. Folders only after a question that says how many files they hold.

    To be awaited in a worker.
    """
    folders = await in_background(lambda: [path for path in paths if path.is_dir()])
    files = [str(path) for path in paths if path not in set(folders)]
    if not folders:
        return tuple(files)
    count = await in_background(lambda: count_files(folders))
    number = f"{count.files:,}" if count.complete else f"more than {count.files:,}"
    question = f"Take in {number} files from {len(folders)} folders?"
    wanted = await app.push_screen_wait(Confirm(question, items=[str(folder) for folder in folders]))
    return (*files, *(str(folder) for folder in folders)) if wanted else tuple(files)


def count_files(folders: Sequence[Path]) -> FolderCount:
    """Count what is in folders, but not for ever."""
    count = FolderCount()
    end = time.monotonic() + _LONGEST_COUNT_SECONDS
    for found in find_files(folders):
        if isinstance(found, Skipped):
            count.left_out[found.reason] += 1
        else:
            count.files += 1
        if count.files >= _MOST_COUNTED or time.monotonic() > end:
            count.complete = False
            break
    return count
