"""The watcher: looks after all watched folders until it is stopped."""

import queue
import sqlite3
import threading
import time
from contextlib import suppress

from app.watch.journal import Journal
from app.watch.keeper import Keeper
from app.watch.writing import survive_broken_leases
from tasks.home import Home
from tasks.settings import Settings

_IDLE_SECONDS = 1.0
"""How often the list of folders is looked at, and whether to stop."""


class Watcher:
    """Watches the folders of the journal, and takes what comes to rest in them. For the main thread."""

    def __init__(self, settings: Settings, journal: Journal, home: Home) -> None:
        self._settings = settings
        self._journal = journal
        self._home = home
        self._keepers: dict[int, Keeper] = {}
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()

    def run(self, stop: threading.Event) -> None:
        """Watch until `stop` is set."""
        survive_broken_leases()
        # A document that the journal knows as taken must not be lost in a power cut.
        self._home.ledger.db.execute("PRAGMA synchronous = FULL")
        version = None
        try:
            while not stop.is_set():
                if (now_version := self._journal.version()) != version:
                    version = now_version
                    self._follow_list()
                self._work()
                self._wait()
        finally:
            for keeper in self._keepers.values():
                keeper.stop()

    def _work(self) -> None:
        now = time.monotonic()
        try:
            for keeper in self._keepers.values():
                keeper.look(now)
                keeper.take(now)
        except sqlite3.IntegrityError:  # somebody has this moment let the journal forget the folder
            self._follow_list()

    def _wake_up(self) -> None:
        self._wake.put(None)

    def _wait(self) -> None:
        """Until something is due or a notice comes."""
        now = time.monotonic()
        due = min((keeper.next_due() for keeper in self._keepers.values()), default=now + _IDLE_SECONDS)
        with suppress(queue.Empty):
            self._wake.get(timeout=min(max(due - now, 0.0), _IDLE_SECONDS))
            while True:
                self._wake.get_nowait()

    def _follow_list(self) -> None:
        """Begin and end with folders as the journal says."""
        wanted = {folder.id: folder for folder in self._journal.folders() if folder.is_on}
        for number, keeper in list(self._keepers.items()):
            folder = wanted.get(number)
            if folder is None or (folder.recipe, folder.when_taken) != keeper.options:
                keeper.stop()
                del self._keepers[number]
        for number, folder in wanted.items():
            if number not in self._keepers:
                self._keepers[number] = Keeper(
                    folder, self._settings, self._journal, self._home, self._wake_up
                )
