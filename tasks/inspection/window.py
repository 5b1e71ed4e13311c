"""The window through which Celery's tools see a worker: its two threads, from when it is ready to its end."""

import threading
from typing import Any

from tasks.broker_url import redis_url
from tasks.inspection.answers import Asked
from tasks.inspection.listening import listen
from tasks.inspection.telling import Outbox, tell
from tasks.settings import Settings

_END_SECONDS = 1.5
"""The work has ended by now: what Redis does not take in that time nobody is told of."""


class Window:
    """Of a worker whose consumer has an `Outbox` in place of Celery's dispatcher.

    Args:
        consumer: Celery's, of a worker that is ready.
    """

    def __init__(self, consumer: Any, settings: Settings) -> None:
        from tasks.exchange import connect

        url = redis_url(settings)
        self._ended = threading.Event()
        self._outbox: Outbox = consumer.event_dispatcher
        asked = (connect(url, retries=0), Asked(consumer), str(consumer.hostname), self._ended)
        told = (connect(url, retries=0), self._outbox)
        self._threads = (
            threading.Thread(target=listen, args=asked, daemon=True, name="questions"),
            threading.Thread(target=tell, args=told, daemon=True, name="events"),
        )

    def open(self) -> None:
        """Begin to answer and to tell."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Tell what has not been told yet, and end."""
        self._ended.set()
        self._outbox.close()
        for thread in self._threads:
            thread.join(_END_SECONDS)
