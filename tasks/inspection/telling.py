"""Telling of tasks while somebody listens: Celery's events, for `celery events` and Flower.

Celery's own dispatcher sends from the thread that takes the work, waits there for Redis, and keeps what it
could not send for ever. This one hands over to a thread; what Redis does not take is thrown away. Whether
somebody listens is what Redis says of each heartbeat: how many have received it. While nobody does, that
heartbeat is all.
"""

import logging
import os
import queue
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tasks.inspection import wire
from tasks.inspection.shown import NOTHING, harmless_arguments, harmless_error

if TYPE_CHECKING:
    from redis import Redis

log = logging.getLogger("shoebox.worker")

HEARTBEAT_SECONDS = 5.0
_MOST_WAITING = 2_000
"""Events. More than that many at once are not told."""
_BATCH = 100
_FIELDS = ("uuid", "retries", "eta", "expires", "root_id", "parent_id", "runtime")
_ENDINGS = ("terminated", "signum", "expired", "requeue")

Event = dict[str, Any]


class Outbox:
    """Stands where Celery has its event dispatcher (celery/events/dispatcher.py), as far as needed."""

    enabled = True
    connection = None
    """For heartbeats of AMQP."""

    def __init__(self, hostname: str) -> None:
        self._hostname = hostname
        self._waiting: queue.Queue[Event | None] = queue.Queue(_MOST_WAITING)
        self._received: dict[str, Any] = {}
        self._is_closed = False
        self.listeners = 0
        """How many have received what was sent last."""

    def send(self, type: str, **fields: Any) -> None:
        """Take an event, if somebody listens. Never waits."""
        if not self.listeners:
            return
        with suppress(queue.Full):
            self._waiting.put_nowait(self._event(type, fields))

    def flush(self) -> None:
        """Nothing is held back."""

    def wake(self) -> None:
        """Somebody may have begun to listen: see at once."""
        with suppress(queue.Full):
            self._waiting.put_nowait(self.about_worker("worker-heartbeat"))

    def routed(self, task_id: str, queue_name: str) -> None:
        """A message has come from this queue; its first event follows at once, in the same thread."""
        self._received = {"uuid": task_id, "routing_key": queue_name}

    def take(self, seconds: float) -> list[Event] | None:
        """Events that wait, after so many seconds at most; None after the last ones."""
        if self._is_closed:
            return None
        taken: list[Event | None] = []
        with suppress(queue.Empty):
            taken.append(self._waiting.get(timeout=max(0.0, seconds)))
            while taken[-1] is not None and len(taken) < _BATCH:
                taken.append(self._waiting.get_nowait())
        self._is_closed = bool(taken) and taken[-1] is None
        return [event for event in taken if event is not None]

    def close(self) -> None:
        """End what takes from it, once that has taken what is there."""
        with suppress(queue.Full):
            self._waiting.put(None, timeout=1)

    def about_worker(self, kind: str) -> Event:
        """An event of the worker itself."""
        from celery.worker import state

        return self._stamped(kind) | {
            "freq": HEARTBEAT_SECONDS,
            "active": len(state.active_requests),
            "processed": state.all_total_count[0],
            "loadavg": [round(load, 2) for load in os.getloadavg()],
            **state.SOFTWARE_INFO,
        }

    def _event(self, kind: str, fields: dict[str, Any]) -> Event:
        event = {name: fields[name] for name in (*_FIELDS, *_ENDINGS) if name in fields}
        if "name" in fields:
            event |= {"name": fields["name"], "args": "()"}
            event["kwargs"] = harmless_arguments(fields.get("kwargs", NOTHING))
            if self._received.get("uuid") == fields.get("uuid"):
                event["routing_key"] = self._received["routing_key"]
        if "exception" in fields:
            event["exception"] = harmless_error(fields["exception"])
        if "result" in fields:
            event["result"] = "None"
        return self._stamped(kind) | event

    def _stamped(self, kind: str) -> Event:
        # Without Celery's `utcoffset`, by which a listener in another time zone would move the time.
        return {"type": kind, "timestamp": time.time(), "hostname": self._hostname, "pid": os.getpid()}


def tell(redis: "Redis", outbox: Outbox) -> None:
    """Send what is in the outbox, and heartbeats, until it is closed."""
    _beat(redis, outbox, "worker-online")
    due = time.monotonic() + HEARTBEAT_SECONDS
    while True:
        events = outbox.take(due - time.monotonic())
        if events is None:
            break
        if events:
            outbox.listeners = _publish(redis, "task.multi", events)
        if time.monotonic() >= due:
            _beat(redis, outbox, "worker-heartbeat")
            due = time.monotonic() + HEARTBEAT_SECONDS
    _beat(redis, outbox, "worker-offline")


def _beat(redis: "Redis", outbox: Outbox, kind: str) -> None:
    outbox.listeners = _publish(redis, kind.replace("-", "."), outbox.about_worker(kind))


def _publish(redis: "Redis", routing_key: str, body: object) -> int:
    """Returns how many have received it; 0 if Redis is away."""
    channel = wire.channel(redis, wire.EVENTS, routing_key)
    try:
        return int(redis.publish(channel, wire.message(body, wire.EVENTS, routing_key)))
    except Exception as error:  # that nobody hears of a task is no reason to tell of none from now on
        log.debug("telling of tasks: %r", error)
        return 0
