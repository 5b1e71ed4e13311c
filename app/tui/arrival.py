"""Files arrive: what is taken at once, and what only after a question."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from app.intake import Reason, Skipped, counted, find_files
from app.tui.background import in_background
from app.tui.screens.confirm import Confirm
from tasks.errors import NotFoundError

if TYPE_CHECKING:
    from app.tui.app import ShoeboxApp

_MOST_COUNTED = 10_000
_PATIENCE_SECONDS = 3.0
"""So long a person waits for a question. After that it says `more than`."""


@dataclass(slots=True)
class FolderCount:
    """What is in folders, as far as somebody has counted."""

    files: int = 0
    hidden: int = 0
    """Hidden, temporary and system files, and folders of that kind."""
    links: int = 0
    special: int = 0
    """Neither files nor folders: devices, pipes."""
    unreadable: int = 0
    complete: bool = False
    """Whether that is all."""


async def choose(app: "ShoeboxApp", paths: Sequence[Path]) -> tuple[str, ...]:
    """The paths to take in: files at once, folders only after a question that says how many files they hold.

    To be awaited in a worker. A path where nothing is any more is not held back: whoever takes it in says so.
    """
    folders = await _folders_of(app, paths)
    wanted = await _are_wanted(app, folders, len(paths) - len(folders)) if folders else True
    held_back = set() if wanted else set(folders)
    return tuple(str(path) for path in paths if path not in held_back)


async def _folders_of(app: "ShoeboxApp", paths: Sequence[Path]) -> list[Path]:
    looking = asyncio.ensure_future(in_background(lambda: [path for path in paths if path.is_dir()]))
    done, _ = await asyncio.wait({looking}, timeout=_PATIENCE_SECONDS)
    if not done:
        app.say(f"The disk of {paths[0]} does not answer yet. Still waiting.", severity="warning")
    return await looking


async def _are_wanted(app: "ShoeboxApp", folders: Sequence[Path], files_beside: int) -> bool:
    count = FolderCount()
    with suppress(TimeoutError):  # a disk that does not answer: what has been counted is what can be said
        await asyncio.wait_for(in_background(partial(count_files, folders, count)), _PATIENCE_SECONDS + 1)
    left_out = left_out_of(count)
    if count.complete and not count.files:
        app.say("\n".join([f"No files in {counted(0, len(folders))}.", *left_out]), severity="warning")
        return False
    more = "" if count.complete else "more than "
    question = f"Take in {more}{counted(count.files, 0)} from {counted(0, len(folders))}?"
    if files_beside:
        left_out.append(f"{counted(files_beside, 0)} beside them: taken in whatever you say here.")
    items = [f"{folder.name or folder}  in {folder.parent}" for folder in folders]
    return await app.push_screen_wait(
        Confirm(question, "\n".join(left_out), yes="Take in", no="Leave", items=items)
    )


def count_files(folders: Sequence[Path], count: FolderCount) -> None:
    """Count what is in folders; ends after 10,000 files or 3 seconds, whichever is first."""
    end = time.monotonic() + _PATIENCE_SECONDS
    with suppress(NotFoundError):  # a folder has just been deleted
        for found in find_files(folders):
            _count_one(found, count)
            if count.files >= _MOST_COUNTED or time.monotonic() > end:
                return
        count.complete = True


def _count_one(found: Path | Skipped, count: FolderCount) -> None:
    if not isinstance(found, Skipped):
        count.files += 1
    elif found.reason in (Reason.HIDDEN, Reason.TEMPORARY):
        count.hidden += 1
    elif found.reason == Reason.LINK:
        count.links += 1
    elif found.reason == Reason.SPECIAL:
        count.special += 1
    else:
        count.unreadable += 1


def left_out_of(count: FolderCount) -> list[str]:
    """What is not taken in, a sentence a reason."""
    sentences = (
        (count.hidden, "{} hidden, temporary or system {} left out.", ("file is", "files are")),
        (count.links, "{} symbolic {} not followed.", ("link is", "links are")),
        (count.special, "{} {} left out.", ("device or pipe is", "devices and pipes are")),
        (count.unreadable, "{} {} cannot be opened.", ("folder", "folders")),
    )
    return [text.format(f"{number:,}", words[number != 1]) for number, text, words in sentences if number]
