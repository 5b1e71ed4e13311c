"""One watched folder: which of its files have come to rest, and what became of each.

Time is given from outside, in seconds of any steady clock.
"""

import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from app.watch.journal import (
    ENTERED,
    UNSETTLED,
    FileState,
    Journal,
    WatchedFile,
    WatchedFolder,
)
from app.watch.sight import Folder, Look, PassedOver, Seen, Sight, Unreadable, look_at, look_below
from app.watch.taking import Verdict
from tasks import logs
from tasks.path_questions import is_folder
from tasks.settings import Settings

log = logging.getLogger("shoebox.watch")

_MAX_PATIENCE = 10.0
"""A file that cannot be taken yet is looked at again after twice the time it waits already, up to this."""


@dataclass(slots=True)
class _Pending:
    """A file that may come to rest."""

    sight: Sight
    since: float
    """When it was first seen so."""
    due: float
    """When it is to be looked at again."""


class WatchedTree:
    """What is known of one watched folder."""

    def __init__(self, folder: WatchedFolder, journal: Journal, settings: Settings) -> None:
        self.folder = folder
        self.folders: dict[Path, int] = {}
        """The folder and those below it with their inodes, as of the last look; none if it was not there."""
        self._journal = journal
        self._settings = settings
        self._files = {file.path: file for file in journal.files(folder.id)}
        self._pending: dict[Path, _Pending] = {}
        moved = folder.path / settings.watch_taken_folder
        self._left_out = frozenset([moved]) if folder.moves_taken else frozenset()

    # Looking

    def look_everywhere(self, now: float) -> str:
        """Look at the whole folder; returns why it could not be looked at whole, in words, or nothing."""
        self.folders = {}
        if not is_folder(self.folder.path):
            return "it is not there; what is put in it will be taken once it is back"
        found = list(look_below(self.folder.path, self._left_out))
        files = [one for one in found if isinstance(one, Seen)]
        if len(files) > self._settings.watch_max_files:
            return (
                f"it holds {len(files):,} files, and the limit is {self._settings.watch_max_files:,}: "
                "nothing new is taken; raise SHOEBOX_WATCH_MAX_FILES if you mean it"
            )
        self.folders = {one.path: one.inode for one in found if isinstance(one, Folder)}
        unreadable = [one for one in found if isinstance(one, Unreadable)]
        with self._journal.transaction():
            self._enter(found, now)
            if not unreadable:
                self._miss({one.path for one in found if isinstance(one, (Seen, PassedOver))})
            if self.folder.pass_over:
                self._journal.first_look_done(self.folder.id)
                self.folder = replace(self.folder, pass_over=False)
        if unreadable:
            first = unreadable[0]
            return f"{first.path} cannot be opened: {first.reason}"
        return ""

    def look_at(self, paths: Iterable[Path], now: float) -> bool:
        """Look at some paths; returns whether a folder is among them that was not known."""
        news = False
        with self._journal.transaction():
            for path in paths:
                # What lies in no known folder is below a link, or below a folder that is yet to be looked at.
                if path in self.folders or path.parent not in self.folders or path in self._left_out:
                    continue
                look = look_at(path)
                if look is None:
                    self._lose(path)
                elif isinstance(look, Folder):
                    news = True
                else:
                    self._enter([look], now)
        return news

    def _enter(self, looks: Iterable[Look], now: float) -> None:
        for look in looks:
            if isinstance(look, PassedOver):
                self._pending.pop(look.path, None)
                self._ignore(look)
            elif isinstance(look, Seen):
                self._see(look.path, look.sight, now)

    def _ignore(self, look: PassedOver) -> None:
        known = self._files.get(look.path)
        if known is None or (known.state, known.reason) != (FileState.IGNORED, look.reason):
            self._put(WatchedFile(look.path, self.folder.id, FileState.IGNORED, look.sight, look.reason))

    def _see(self, path: Path, sight: Sight, now: float) -> None:
        known = self._files.get(path)
        if self.folder.pass_over and known is None:
            self._put(WatchedFile(path, self.folder.id, FileState.PASSED, sight))
            return
        is_settled = known is not None and known.state not in UNSETTLED and known.state != FileState.GONE
        if known is not None and is_settled and known.sight == sight:
            self._pending.pop(path, None)
            return
        pending = self._pending.get(path)
        if pending is None or pending.sight != sight:
            self._pending[path] = _Pending(sight, now, now + self._settings.watch_settle_seconds)
            if known is None or known.state not in UNSETTLED:
                self._put(WatchedFile(path, self.folder.id, FileState.WAITING, sight))

    def _miss(self, present: set[Path]) -> None:
        """What was there and is not any more."""
        for path in [path for path in self._files if path not in present]:
            self._lose(path)

    def _lose(self, path: Path) -> None:
        self._pending.pop(path, None)
        known = self._files.get(path)
        if known is None or known.state in ENTERED or known.state is FileState.GONE:
            return
        if known.state in UNSETTLED:
            self._put(replace(known, state=FileState.GONE, reason="was removed before it could be taken"))
        else:
            self._journal.drop(path)
            del self._files[path]

    # Taking

    def next_due(self) -> float:
        """When the next file is to be looked at again; infinity if none is."""
        return min((one.due for one in self._pending.values()), default=float("inf"))

    def at_rest(self, now: float) -> list[tuple[Path, Sight]]:
        """The files that have not changed for the set time, looked at once more; the oldest first."""
        ready = []
        for path, pending in sorted(self._pending.items(), key=lambda item: item[1].since):
            if pending.due > now:
                continue
            look = self._look_at_file(path)
            if look is None:
                self._lose(path)
            elif look != pending.sight:
                self.changed(path, look, now)
            else:
                ready.append((path, pending.sight))
        return ready

    def _look_at_file(self, path: Path) -> Sight | None:
        try:
            return Sight.of(path.lstat())
        except OSError:
            return None

    def changed(self, path: Path, sight: Sight | None, now: float) -> None:
        """A file is not as it was seen: it has to come to rest anew."""
        sight = sight or self._look_at_file(path)
        if sight is None:
            self._lose(path)
        else:
            self._pending[path] = _Pending(sight, now, now + self._settings.watch_settle_seconds)

    def settle(self, path: Path, sight: Sight, verdict: Verdict, now: float) -> WatchedFile:
        """Enter what became of a file."""
        known = self._files.get(path)
        file = WatchedFile(path, self.folder.id, verdict.state, sight, verdict.reason, verdict.document)
        if known is None or (known.state, known.reason, known.sight) != (file.state, file.reason, file.sight):
            self._put(file)
        if verdict.state is FileState.WAITING:
            pending = self._pending[path]
            pending.due = now + min(max(now - pending.since, 1.0), _MAX_PATIENCE)
        else:
            self._pending.pop(path, None)
        return file

    def put_off(self, path: Path, until: float) -> None:
        """Look at a file again later, because something else is not in order."""
        self._pending[path].due = until

    # Moving

    def begin_move(self, file: WatchedFile, target: Path) -> WatchedFile:
        """Note where a file is about to be moved, before it is."""
        file = replace(file, moving_to=target)
        self._put(file)
        return file

    def end_move(self, file: WatchedFile, reason: str = "") -> None:
        """Note that a file is where it was to be moved, or why not."""
        self._put(replace(file, moving_to=None, reason=reason))

    def unmoved(self) -> list[WatchedFile]:
        """Files that were taken, and whose move was not ended or not even begun."""
        return [file for file in self._files.values() if file.state in ENTERED and not file.reason]

    def _put(self, file: WatchedFile) -> None:
        self._journal.put(file)
        self._files[file.path] = file
        if file.state not in (FileState.WAITING, FileState.IGNORED):
            about = file.reason or file.document
            with logs.about(file=os.fsdecode(file.path), document=file.document):
                log.info("%s: %s %s", file.path, file.state, about)
