"""Progress on a Redis stream: what a user interface follows instead of asking again and again.

Events are hints, the ledger is the truth: whoever missed some reads the ledger and goes on.
"""

import time
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Any, cast

from tasks.documents import Stage, State, Value
from tasks.orders import Order

if TYPE_CHECKING:
    from redis import Redis
    from redis.asyncio import Redis as AsyncRedis

_KEPT_EVENTS = 10_000
_BATCH = 1_000
_TEXT_SECONDS = 0.2


class EventKind(StrEnum):
    """What happened."""

    DOCUMENT = "document"
    """A document was added, changed its state or stage, or was removed."""
    TEXT = "text"
    """A language model wrote something."""


class Event(Value):
    """One thing that happened to a document."""

    kind: EventKind
    document: str
    state: State
    stage: Stage
    unit: int = 0
    text: str = ""
    """What the model wrote; untrusted."""


def stream_key(home: str) -> str:
    """The stream of a home."""
    return f"shoebox:{home}:events"


def emit(redis: "Redis", home: str, event: Event) -> None:
    """Append an event. The stream keeps about the last 10,000."""
    redis.xadd(stream_key(home), {"event": event.model_dump_json()}, maxlen=_KEPT_EVENTS, approximate=True)


class TextSender:
    """Puts what a model writes on the stream, a few times a second. A lost piece is only that."""

    def __init__(self, redis: "Redis", order: Order) -> None:
        self._redis = redis
        self._order = order
        self._text = ""
        self._sent_at = 0.0

    def send(self, text: str) -> None:
        """Take a piece of text."""
        from redis.exceptions import RedisError

        self._text += text
        if time.monotonic() - self._sent_at < _TEXT_SECONDS:
            return
        order = self._order
        event = Event(
            kind=EventKind.TEXT,
            document=order.document,
            state=State.RUNNING,
            stage=order.stage,
            unit=order.unit,
            text=self._text,
        )
        with suppress(RedisError):
            emit(self._redis, order.home, event)
        self._text, self._sent_at = "", time.monotonic()


def read_events(redis: "Redis", home: str, last_id: str, block_ms: int) -> tuple[str, list[Event]]:
    """Events after `last_id` ("$" for those from now on), waiting up to `block_ms` for the first.

    Returns the id to continue from, and the events in order.
    """
    return _parse(redis.xread({stream_key(home): last_id}, count=_BATCH, block=block_ms), last_id)


async def read_events_async(
    redis: "AsyncRedis", home: str, last_id: str, block_ms: int
) -> tuple[str, list[Event]]:
    """As `read_events`, for an event loop."""
    return _parse(await redis.xread({stream_key(home): last_id}, count=_BATCH, block=block_ms), last_id)


async def read_entries_async(
    redis: "AsyncRedis", home: str, last_id: str, block_ms: int | None
) -> list[tuple[str, Event]]:
    """Events after `last_id`, each with its id. Waits up to `block_ms` for the first; None: not at all."""
    reply = await redis.xread({stream_key(home): last_id}, count=_BATCH, block=block_ms)
    entries = []
    for _, rows in cast("list[Any]", reply or []):
        for row in rows:
            entry_id, events = _parse([(None, [row])], last_id)
            entries += [(entry_id, event) for event in events]
    return entries


async def first_event_id(redis: "AsyncRedis", home: str) -> str:
    """The id of the oldest event that is kept; empty if there is none."""
    oldest = cast("list[Any]", await redis.xrange(stream_key(home), count=1))
    return str(oldest[0][0].decode()) if oldest else ""


async def last_event_id(redis: "AsyncRedis", home: str) -> str:
    """The id of the newest event. Who then reads the ledger, and events from there on, misses nothing."""
    newest = cast("list[Any]", await redis.xrevrange(stream_key(home), count=1))
    return str(newest[0][0].decode()) if newest else "0-0"


def _parse(reply: object, last_id: str) -> tuple[str, list[Event]]:
    events = []
    for _, entries in cast("list[Any]", reply or []):
        for entry_id, values in entries:
            last_id = entry_id.decode()
            with suppress(ValueError, KeyError):  # of another version; the ledger has what it was about
                events.append(Event.model_validate_json(values[b"event"]))
    return last_id, events
