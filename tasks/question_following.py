"""Waiting for an answer without ever hanging: whoever should write it is watched."""

import time
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import cast

from tasks.broker_messages import task_id_of
from tasks.errors import ServiceError, ShoeboxError
from tasks.exchange import Exchange
from tasks.orders import Presence
from tasks.planning import CPU_QUEUE, GPU_QUEUE
from tasks.question_road import Entry, EntryKind, QuestionRoad
from tasks.queues import broker_lists, worker_queue
from tasks.redis_words import redis_words

_BLOCK_MS = 400
_LOOK_SECONDS = 1.0
LOST_SECONDS = 6.0
"""A question that nobody has and that is in no queue for so long is lost."""
DESERTED_SECONDS = 20.0
"""So long is waited for a worker where none is up: one may just be starting."""
_SLEPT_SECONDS = 6.0
"""Between two looks: this machine was asleep or Redis away, so everything gets a fresh grace."""
_AGAIN = "Ask again; `./run.sh status` says how the workers are."


class NoAnswerError(ShoeboxError):
    """A question that the model gave no answer to."""

    def __init__(self, kind: str, message: str, remedy: str) -> None:
        super().__init__(message, remedy)
        self.kind = kind
        """As `Failure.kind`."""


def follow(road: QuestionRoad, should_stop: Callable[[], bool]) -> Generator[Entry, None, None]:
    """The entries of the answer as they come; ends after the last. Leaves the question when it is stopped.

    Raises:
        NoAnswerError: the worker said that there is no answer, and why.
        ServiceError: the question was lost, its worker died, nobody serves its queue, or Redis is away.
    """
    from redis.exceptions import RedisError

    try:
        try:
            yield from _entries(road, should_stop)
        finally:
            with suppress(RedisError):  # then the sign that somebody waits runs out by itself
                road.leave()
    except RedisError as error:
        raise ServiceError(redis_words(error), _AGAIN) from error


def _entries(road: QuestionRoad, should_stop: Callable[[], bool]) -> Generator[Entry, None, None]:
    last_id, watch = "0", _Watch(road)
    while not should_stop():
        last_id, entries = road.entries(last_id, _BLOCK_MS)
        for entry in entries:
            if entry.kind is EntryKind.FAILURE and entry.failure is not None:
                raise NoAnswerError(entry.failure.kind, entry.failure.message, entry.failure.remedy)
            yield entry
            if entry.is_last:
                return
        watch.look()


class _Watch:
    """Looks now and then whether anybody is going to answer."""

    def __init__(self, road: QuestionRoad) -> None:
        self._road = road
        self._exchange = Exchange(road.redis)
        self._looked_at = 0.0
        self._fine_at = time.monotonic()
        """When the question was last seen with a worker or in a queue."""
        self._served_at = time.monotonic()
        self._was_dead = False

    def look(self) -> None:
        """Raises ServiceError when nobody is going to answer."""
        now = time.monotonic()
        if now - self._looked_at < _LOOK_SECONDS:
            return
        if now - self._looked_at > _SLEPT_SECONDS:
            self._fine_at = self._served_at = now
        self._looked_at = now
        self._road.want()
        standing = self._road.standing()
        if standing.is_held:
            self._fine_at = now
            self._was_dead = False
        elif standing.is_taken:
            # Its end and that of the lease are one step, so what was missed comes with the next look.
            if self._was_dead:
                raise ServiceError("The worker that was answering died.", _AGAIN)
            self._was_dead = True
        else:
            self._look_for_message(now)

    def _look_for_message(self, now: float) -> None:
        presences = self._exchange.presence()
        if queue := self._queue(presences):
            self._fine_at = now
            if any(queue in worker.queues for worker in presences):
                self._served_at = now
            elif now - self._served_at > DESERTED_SECONDS:
                raise ServiceError(f"No worker of the {queue} queue is up.", _AGAIN)
        elif now - self._fine_at > LOST_SECONDS:
            raise ServiceError("The question was lost on its way to a worker.", _AGAIN)

    def _queue(self, presences: list[Presence]) -> str:
        """The queue in which its message lies, that of a worker by its kind; empty if it is in none."""
        kinds = [(queue, queue) for queue in (CPU_QUEUE, GPU_QUEUE)]
        kinds += [(queue, worker_queue(queue, one.worker)) for one in presences for queue in one.queues]
        names = [(queue, name) for queue, broker_queue in kinds for name in broker_lists(broker_queue)]
        with self._road.redis.pipeline(transaction=False) as pipe:
            for _, name in names:
                pipe.lrange(name, 0, -1)
            rows = cast("list[list[bytes]]", pipe.execute())
        for (queue, _), messages in zip(names, rows, strict=True):
            if any(task_id_of(one) == self._road.task_id for one in messages):
                return queue
        return ""
