"""One reader of the event stream for all who follow it.

Events are hints: whoever follows looks into the ledger first, and again when it is told that events may have
been missed.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.api.pools import Pool
from tasks.broker_url import redis_url
from tasks.errors import ServiceError
from tasks.events import Event, first_event_id, last_event_id, read_entries_async
from tasks.ledger import Ledger
from tasks.settings import Settings

if TYPE_CHECKING:
    from redis.asyncio import Redis as AsyncRedis

log = logging.getLogger("shoebox.api")

_BLOCK_MS = 1_000
_PAUSE_SECONDS = 0.5
"""Between two tries to reach Redis."""
_TIMEOUT_SECONDS = 3.0
_MOST_WAITING = 1_000
"""Entries that are kept for one who does not take them."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An event with its id on the stream."""

    id: str
    event: Event


class Following:
    """What one client gets of the stream."""

    def __init__(self, since: str) -> None:
        self.since = since
        """The id after which entries come."""
        self.may_have_missed = False
        """Set when some were lost; whoever reads it looks into the ledger and resets it."""
        self._entries: deque[Entry] = deque()
        self._news = asyncio.Event()

    def put(self, entry: Entry) -> None:
        """There is an entry."""
        if len(self._entries) >= _MOST_WAITING:
            self._entries.clear()
            self.may_have_missed = True
        self._entries.append(entry)
        self._news.set()

    def miss(self) -> None:
        """Entries may have been lost."""
        self.may_have_missed = True
        self._news.set()

    async def take(self, seconds: float) -> list[Entry]:
        """The entries since the last time; waits so long at most for the first, or for `may_have_missed`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
        self._news.clear()
        entries = list(self._entries)
        self._entries.clear()
        return entries


class Follower:
    """Reads the stream of this home once, and hands each event to those who want it."""

    def __init__(self, settings: Settings, readers: Pool[Ledger]) -> None:
        self._settings = settings
        self._readers = readers
        self._home = ""
        self._redis: AsyncRedis | None = None
        self._last_id = ""
        self._all: set[Following] = set()
        self._of_document: dict[str, set[Following]] = {}
        self._drained = asyncio.Event()

    @property
    def is_up(self) -> bool:
        """Whether events come."""
        return self._redis is not None

    @property
    def count(self) -> int:
        """How many follow now."""
        return len(self._all) + sum(map(len, self._of_document.values()))

    @property
    def is_draining(self) -> bool:
        """Whether all who follow should come to an end."""
        return self._drained.is_set()

    def drain(self) -> None:
        """Let all who follow come to an end."""
        self._drained.set()
        self._tell_all_missed()

    @contextmanager
    def following(self, document: str | None = None) -> Iterator[Following]:
        """Follow all events, or those of one document, from now on."""
        one = Following(self._last_id)
        group = self._all if document is None else self._of_document.setdefault(document, set())
        group.add(one)
        try:
            yield one
        finally:
            group.discard(one)
            if document is not None and not group:
                self._of_document.pop(document, None)

    async def replay(self, after: str, until: str) -> list[Entry] | None:
        """The entries after one id up to another; None if some of them are no longer known.

        `after` must be of the form of an id.
        """
        redis = self._redis
        if redis is None or not until:
            return None
        from redis.exceptions import RedisError

        try:
            first = await first_event_id(redis, self._home)
            if not first or _order(first) > _order(after):
                return None
            entries: list[Entry] = []
            while found := await read_entries_async(redis, self._home, after, None):
                entries += [Entry(*one) for one in found if _order(one[0]) <= _order(until)]
                if _order(found[-1][0]) >= _order(until):
                    break
                after = found[-1][0]
        except RedisError:
            return None
        return entries

    async def run(self) -> None:
        """Read events until cancelled, after `drain`."""
        from redis.exceptions import RedisError

        self._home = await self._readers.run(lambda ledger: ledger.home)
        # redis-py may turn a cancellation into an error of its own or into an empty answer.
        while not self.is_draining:
            with suppress(RedisError, ServiceError, OSError):
                await self._read()
            self._redis = None
            self._tell_all_missed()
            if not self.is_draining:
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _read(self) -> None:
        async with connect_async(redis_url(self._settings)) as redis:
            self._last_id = await last_event_id(redis, self._home)
            self._redis = redis
            self._tell_all_missed()
            while not self.is_draining:
                for entry_id, event in await read_entries_async(redis, self._home, self._last_id, _BLOCK_MS):
                    self._last_id = entry_id
                    self._hand_out(Entry(entry_id, event))

    def _hand_out(self, entry: Entry) -> None:
        for one in (*self._all, *self._of_document.get(entry.event.document, ())):
            one.put(entry)

    def _tell_all_missed(self) -> None:
        for group in (self._all, *self._of_document.values()):
            for one in group:
                one.miss()

    async def is_redis_up(self) -> bool:
        """Whether Redis answers now."""
        redis = self._redis
        if redis is None:
            return False
        from redis.exceptions import RedisError

        try:
            await redis.time()
        except RedisError:
            return False
        return True


def connect_async(url: str) -> "AsyncRedis":
    """A client for an event loop. A server that hangs is noticed."""
    from redis.asyncio import Redis

    return Redis.from_url(url, socket_timeout=_TIMEOUT_SECONDS, socket_connect_timeout=_TIMEOUT_SECONDS)


def _order(entry_id: str) -> tuple[int, int]:
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number or 0)
