"""Removing from the spool what nobody needs: leftovers of processes that were killed over it.

One that is killed while it copies leaves half a file; between the copy and the ledger, a copy without a
document; between recording and tidying up, the copy of a document that has been read.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tasks import spool
from tasks.documents import State
from tasks.ledger import Ledger
from tasks.settings import Settings

_EVERY_SECONDS = 30.0
_OLD_SECONDS = 60.0
"""A copy without a document that is younger may be about to get one: entering it may wait for the ledger."""
_JUST_MADE_SECONDS = 5.0
"""Half a file that is younger may be one whose maker is about to lock it."""
_NOTE = "spool swept at"


def sweep(ledger: Ledger, settings: Settings, now: float) -> None:
    """Look once in a while. `now` is the time of the day, in seconds."""
    if 0 <= now - float(ledger.meta(_NOTE) or 0) < _EVERY_SECONDS:
        return
    ledger.set_meta(_NOTE, str(now))
    with suppress(OSError):  # such as a spool that is not there yet, or went while it was looked at
        for half in settings.spool_dir.glob(f"{spool.TAKING_PREFIX}*"):
            _remove_unless_written(half, now)
        needed = {
            row["sha256"]
            for row in ledger.db.execute("SELECT sha256 FROM documents WHERE finished_at IS NULL")
        }
        for copy in _copies(settings):
            if copy.name not in needed:
                _look_at(copy, ledger, settings, now)


def _copies(settings: Settings) -> Iterator[Path]:
    for folder in settings.spool_dir.iterdir():
        if folder.is_dir():
            yield from folder.iterdir()


def _look_at(copy: Path, ledger: Ledger, settings: Settings, now: float) -> None:
    document = ledger.by_content(copy.name)
    if document is None:
        if now - copy.stat().st_mtime > _OLD_SECONDS:
            spool.discard(settings, copy.name)
    elif document.state in {State.DONE, State.REVIEW}:
        spool.drop(settings, document)


def _remove_unless_written(half: Path, now: float) -> None:
    """Who copies into a file holds its lock until the end."""
    with suppress(FileNotFoundError, BlockingIOError):
        if now - half.stat().st_mtime < _JUST_MADE_SECONDS:
            return
        descriptor = os.open(half, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            half.unlink()
        finally:
            os.close(descriptor)
