"""Looking after one watched folder: when to look, what to take, where to move it."""

import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from app.watch.journal import FileState, Journal, WatchedFile, WatchedFolder, WhenTaken
from app.watch.moving import free_place, lies_at, move, remove_place_holder
from app.watch.notices import MAX_FOLDERS, SELF_TEST_PREFIX, Notices, why_no_notices
from app.watch.sight import Sight
from app.watch.taking import ChangedError, take
from app.watch.tree import WatchedTree
from tasks.errors import ConfigError, ServiceError
from tasks.home import Home
from tasks.path_questions import is_folder
from tasks.settings import Settings

log = logging.getLogger("shoebox.watch")

NOT_MOVED = "was not moved: it changed in that moment"
BY_NOTICES = "notices of the system"
_LOOKING_SHARE = 10.0
"""A look at a very large folder is taken as seldom as makes it a tenth of the time."""
_TROUBLE_SECONDS = 10.0
"""Before the next try, when the ledger or the spool cannot be written."""


class Keeper:
    """Looks after one folder. For one thread."""

    def __init__(
        self,
        folder: WatchedFolder,
        settings: Settings,
        journal: Journal,
        home: Home,
        wake: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._home = home
        self._wake = wake
        self._tree = WatchedTree(folder, journal, settings)
        self._notices: Notices | None = None
        self._noticed: queue.SimpleQueue[set[Path]] = queue.SimpleQueue()
        self._look_now = threading.Event()
        self._next_look = 0.0
        self._no_notices = self._test()
        self._problem = ""
        self._watched_folders: dict[Path, int] = {}
        if folder.moves_taken:
            self._end_moves()

    @property
    def options(self) -> tuple[str, WhenTaken]:
        """What cannot change while it is watched."""
        return self._tree.folder.recipe, self._tree.folder.when_taken

    def stop(self) -> None:
        """No more notices."""
        if self._notices:
            self._notices.stop()
            self._notices = None

    def next_due(self) -> float:
        """When there is something to do without a notice."""
        return min(self._next_look, self._tree.next_due())

    # Looking

    def _test(self) -> str:
        """Why notices cannot be relied on; empty if they can."""
        root = self._tree.folder.path
        if self._settings.watch_notices == "off":
            return "notices are switched off in the settings"
        if not is_folder(root):
            return ""  # tried once it is there
        for left in root.glob(f"{SELF_TEST_PREFIX}*"):
            with suppress(OSError):
                left.unlink()
        return why_no_notices(root)

    def look(self, now: float) -> None:
        """Look where notices came from, or everywhere when it is time."""
        if self._look_now.is_set() or now >= self._next_look:
            self.look_everywhere(now)
            return
        paths: set[Path] = set()
        with suppress(queue.Empty):
            while True:
                paths |= self._noticed.get_nowait()
        if paths and self._tree.look_at(paths, now):
            self.look_everywhere(now)

    def look_everywhere(self, now: float) -> None:
        """Look at the whole folder, and note how it is."""
        self._look_now.clear()
        was_there = bool(self._tree.folders) or self._next_look == 0.0
        self._problem = self._tree.look_everywhere(now)
        if self._tree.folders and not was_there:
            self._no_notices = self._test()
        self._follow_folders()
        seconds = self._settings.watch_rescan_seconds if self._notices else self._settings.watch_poll_seconds
        took = time.monotonic() - now
        self._next_look = now + max(seconds, _LOOKING_SHARE * took)
        self._note()

    def _follow_folders(self) -> None:
        """Have notices of exactly the folders that are there now."""
        folders = self._tree.folders
        if not self._no_notices and len(folders) > MAX_FOLDERS:
            self._no_notices = f"more than {MAX_FOLDERS:,} folders"
        if self._notices and self._notices.problem:
            self._no_notices = self._notices.problem
        if self._no_notices or not folders:
            self.stop()
            return
        if self._notices is None or self._watched_folders != folders:
            self.stop()
            self._watched_folders = folders
            self._notices = Notices(folders, self._notice, self._notices_ready)

    def _notice(self, paths: set[Path]) -> None:
        self._noticed.put(paths)
        self._wake()

    def _notices_ready(self) -> None:
        """What changed before the notices began is found by looking."""
        self._look_now.set()
        self._wake()

    def _note(self) -> None:
        """Let everyone see how this folder is watched."""
        mode = BY_NOTICES
        if self._no_notices:
            mode = f"a look every {self._settings.watch_poll_seconds:g} s: {self._no_notices}"
        if (mode, self._problem) != (self._tree.folder.mode, self._tree.folder.problem):
            log.info("%s: %s %s", self._tree.folder.path, mode, self._problem)
        self._journal.note(self._tree.folder.id, mode=mode, problem=self._problem)

    # Taking

    def take(self, now: float) -> None:
        """Take what has come to rest."""
        if not is_folder(self._tree.folder.path):
            return  # a disk that was taken away has not removed its files
        new = False
        ready = self._tree.at_rest(now)
        for number, (path, sight) in enumerate(ready):
            try:
                new |= self._take_one(path, sight, now)
            except (ServiceError, ConfigError) as error:
                self._problem = str(error)
                for later, _ in ready[number:]:
                    self._tree.put_off(later, now + _TROUBLE_SECONDS)
                self._note()
                break
        if new:
            self._home.release()

    def _take_one(self, path: Path, sight: Sight, now: float) -> bool:
        """Take a file; returns whether there is a new document."""
        try:
            verdict = take(self._home, self._tree.folder, path, sight)
        except ChangedError:
            self._tree.changed(path, None, now)
            return False
        file = self._tree.settle(path, sight, verdict, now)
        if verdict.document and self._tree.folder.moves_taken:
            self._move(file)
        return verdict.state is FileState.TAKEN

    # Moving

    def _move(self, file: WatchedFile) -> None:
        """Move a taken file to the subfolder. At every moment the journal knows where it may be."""
        root = self._tree.folder.path
        try:
            target = free_place(root, file.path, self._settings.watch_taken_folder)
            file = self._tree.begin_move(file, target)
            if move(root, file.path, target, file.sight):
                self._follow_document(file, target)
                self._tree.end_move(file)
            else:
                self._tree.end_move(file, NOT_MOVED)
        except OSError as error:
            self._tree.end_move(file, f"could not be moved: {error.strerror}")

    def _end_moves(self) -> None:
        """Finish what the last watcher had not when it ended."""
        root = self._tree.folder.path
        for file in self._tree.unmoved():
            if file.moving_to is None:
                if lies_at(root, file.path, file.sight):
                    self._move(file)
            elif lies_at(root, file.moving_to, file.sight):
                self._follow_document(file, file.moving_to)
                self._tree.end_move(file)
            elif lies_at(root, file.path, file.sight):
                remove_place_holder(root, file.moving_to)
                self._move(file)
            else:
                self._tree.end_move(file, NOT_MOVED)

    def _follow_document(self, file: WatchedFile, target: Path) -> None:
        """The document's original is where the file was moved, if it was this file."""
        ledger = self._home.ledger
        with ledger.transaction():
            document = ledger.document(file.document)
            if document is not None and document.path == os.fsencode(file.path):
                ledger.update_document(document.id, path=os.fsencode(target))
