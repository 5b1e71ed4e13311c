"""Celery beat that neither a clock which is set, forward or back, brings out of step, nor Redis.

Celery's own scheduler sorts by the time of the day, and its intervals count from the time of the last run:
set the clock back by an hour and it sends nothing for an hour. And a tick that it cannot send costs a page of
tracebacks.
"""

import logging
import time
from datetime import datetime
from typing import Any

from celery.beat import Scheduler
from celery.schedules import BaseSchedule, schedstate

from tasks.redis_words import SaidOnce, redis_words

log = logging.getLogger("shoebox.beat")


class Every(BaseSchedule):  # type: ignore[misc] # Celery has no types
    """Every so many seconds, by the clock that is never set. The first time is now."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self._due_at = time.monotonic()

    def is_due(self, last_run_at: datetime) -> schedstate:  # noqa: ARG002 - by the clock that may be set
        """Whether it is time, and in how many seconds to ask again. Who is told so has to run it."""
        now = time.monotonic()
        if now < self._due_at:
            return schedstate(is_due=False, next=self._due_at - now)
        self._due_at = now + self.seconds
        return schedstate(is_due=True, next=self.seconds)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Every) and other.seconds == self.seconds

    def __hash__(self) -> int:
        return hash(self.seconds)


class SteadyScheduler(Scheduler):  # type: ignore[misc]
    """Asks each of a few schedules each time, and says once that Redis is away."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._said = SaidOnce(log)
        super().__init__(*arguments, **options)

    def tick(self, *_: Any, **__: Any) -> float:
        """Send what is due; returns in how many seconds to look again."""
        waits = [self.max_interval]
        for entry in list(self.schedule.values()):
            is_due, wait = self.is_due(entry)
            if is_due:
                self.reserve(entry)
                self.apply_entry(entry, producer=self.producer)
            waits.append(wait)
        return float(min(waits))

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """Send a message; one that is not sent is made up for by a later tick."""
        from celery.beat import SchedulingError

        try:
            self.apply_async(entry, producer=producer, advance=False)
        except SchedulingError as error:
            self._said.wrong(f"{redis_words(error)} Ticks are not sent.")
        else:
            self._said.right()
