"""The watcher as a program of its own. While no folder is watched it stays small."""

import signal
import threading

from app.watch.journal import Journal
from app.watch.lock import only_watcher
from tasks import logs
from tasks.settings import Settings

_IDLE_SECONDS = 1.0


def serve(settings: Settings) -> None:
    """Watch the folders of the journal until SIGTERM or SIGINT.

    Raises:
        ServiceError, ConfigError: the journal or the ledger cannot be opened.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    logs.configure("watch", settings)
    with only_watcher(settings), Journal.open(settings) as journal:
        while not any(folder.is_on for folder in journal.folders()):
            if stop.wait(_IDLE_SECONDS):
                return
        _watch(settings, journal, stop)


def _watch(settings: Settings, journal: Journal, stop: threading.Event) -> None:
    from app.watch.watcher import Watcher
    from tasks.home import Home

    with Home.open(settings) as home:
        Watcher(settings, journal, home).run(stop)
