"""Following the event stream, for as long as the UI runs, however often Redis goes and comes."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tasks.broker_url import NO_ADDRESS, redis_url
from tasks.errors import ServiceError
from tasks.events import Event, last_event_id, read_events_async
from tasks.redis_words import redis_words
from tasks.settings import Settings

if TYPE_CHECKING:
    from redis.asyncio import Redis

_BLOCK_MS = 1_000
_GATHER_SECONDS = 0.1
"""After events, more of them are let gather: with 200 a second, asking for each would cost 8 % of a core."""
_PAUSE_SECONDS = 0.5
"""Between two tries to reach Redis."""
_TIMEOUT_SECONDS = 3.0
"""Without an answer for so long, the link counts as lost."""


@dataclass(frozen=True, slots=True)
class Link:
    """Whether events come."""

    up: bool
    problem: str = ""
    """Why they do not, in words."""
    since: float = field(default_factory=time.time)
    """Seconds since the epoch."""


OnEvents = Callable[[list[Event]], None]
OnLink = Callable[[Link], None]


async def follow(settings: Settings, home: str, on_events: OnEvents, on_link: OnLink) -> None:
    """Read events for ever.

    `on_link` is called when the link is lost, and when it is there (again): what happened in between is in
    the ledger, and no event after it is missed.
    """
    # Half of redis-py's 140 ms of imports would else fall between two key strokes.
    await asyncio.to_thread(__import__, "redis.asyncio")
    from redis.exceptions import RedisError

    problem = None
    while True:
        try:
            async with _connect(settings) as redis:
                last_id = await last_event_id(redis, home)
                problem = None
                on_link(Link(up=True))
                while True:
                    last_id, events = await read_events_async(redis, home, last_id, _BLOCK_MS)
                    if events:
                        on_events(events)
                        await asyncio.sleep(_GATHER_SECONDS)
        except (RedisError, ServiceError, OSError) as error:
            words = _words(error)
            if words != problem:
                problem = words
                on_link(Link(up=False, problem=words))
            await asyncio.sleep(_PAUSE_SECONDS)


def _connect(settings: Settings) -> "Redis":
    from redis.asyncio import Redis

    try:
        return Redis.from_url(
            redis_url(settings),
            socket_connect_timeout=_TIMEOUT_SECONDS,
            socket_timeout=_TIMEOUT_SECONDS,
        )
    except ValueError:
        raise ServiceError(*NO_ADDRESS) from None  # its text may hold the password


def _words(error: Exception) -> str:
    return error.message if isinstance(error, ServiceError) else redis_words(error)
