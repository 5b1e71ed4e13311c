"""The same message many times a second is counted and summed up, so that it cannot push out all others."""

import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from tasks.logs.about import FIELDS, current

WINDOW_SECONDS = 5.0
SAME_MESSAGES = 5
"""So many of one message are written in a window, before they are counted."""
SAME_TEXTS = 2000
"""And so many with the same text but other arguments: a line for each unit is fine, a loop is not."""
_KEYS = 500


@dataclass
class _Seen:
    since: float
    number: int = 0
    last: logging.LogRecord | None = None
    """The last one that was not written."""


class FloodGuard(logging.Filter):
    """Lets the first of many equal records pass. What was left out is said when its time is over.

    `write` takes the summary. `later` calls a function after some seconds; tests give their own.
    """

    def __init__(
        self,
        write: Callable[[logging.LogRecord], object],
        clock: Callable[[], float] = time.monotonic,
        later: Callable[[float, Callable[[], None]], None] | None = None,
    ) -> None:
        super().__init__()
        self._write = write
        self._clock = clock
        self._later = later or _call_later
        self._lock = threading.Lock()
        self._seen: OrderedDict[tuple[object, ...], _Seen] = OrderedDict()
        self._is_waiting = False
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        """A child has none of its parent's threads, and begins to count anew."""
        self._lock = threading.Lock()
        self._seen = OrderedDict()
        self._is_waiting = False

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be written."""
        text = (record.name, record.levelno, str(record.msg))
        error = record.exc_info[1] if record.exc_info else None
        _keep_ids(record)
        ids = tuple(record.__dict__.get(name) for name in FIELDS)
        same = (*text, _hash(record.args), type(error), record.lineno, ids)
        with self._lock:
            passes = self._passes(same, SAME_MESSAGES, record) and self._passes(text, SAME_TEXTS, record)
            if not passes and not self._is_waiting:
                self._is_waiting = True
                self._later(WINDOW_SECONDS, self.tell)
        return passes

    def _passes(self, key: tuple[object, ...], limit: int, record: logging.LogRecord) -> bool:
        now = self._clock()
        seen = self._seen.get(key)
        if seen is None or (seen.last is None and now - seen.since >= WINDOW_SECONDS):
            seen = self._seen[key] = _Seen(now)
            while len(self._seen) > _KEYS and next(iter(self._seen.values())).last is None:
                self._seen.popitem(last=False)
        self._seen.move_to_end(key)
        seen.number += 1
        if seen.number <= limit:
            return True
        seen.last = record
        return False

    def tell(self) -> None:
        """Write how often each message was left out since the last time."""
        with self._lock:
            self._is_waiting = False
            over = [(key, seen) for key, seen in self._seen.items() if seen.last is not None]
            for key, _ in over:
                del self._seen[key]
            seconds = {key: self._clock() - seen.since for key, seen in over}
        for key, seen in over:
            limit = SAME_TEXTS if len(key) == 3 else SAME_MESSAGES
            if seen.last is not None:
                self._write(_summary(seen.last, seen.number - limit, seconds[key]))


def _keep_ids(record: logging.LogRecord) -> None:
    """The summary is written later, when the code is at work on something else."""
    for name, value in current().items():
        record.__dict__.setdefault(name, value)


def _summary(last: logging.LogRecord, left_out: int, seconds: float) -> logging.LogRecord:
    record = logging.makeLogRecord(dict(last.__dict__))
    record.msg = f"repeated {left_out} times in {seconds:.0f} s: {last.msg}"
    record.created = time.time()
    return record


def _hash(arguments: object) -> object:
    try:
        return hash(arguments)
    except TypeError:  # a dictionary, as Celery gives
        return str(arguments)


def _call_later(seconds: float, what: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, what)
    timer.daemon = True
    timer.start()
