"""The numbers at /metrics: collected in threads, and shared by scrapes that come close together."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from app.api.service import Service
from app.metrics.home import Values, disk_values, ledger_values, redis_values
from tasks.metrics.declared import HOME_METRICS, PREFIX
from tasks.metrics.exposition import exposition

log = logging.getLogger("shoebox.api")

FRESH_SECONDS = 2.0
"""Scrapes within so long get the same numbers: however many ask, the ledger is asked once."""
PATIENCE_SECONDS = 4.0
"""What does not answer in this time counts as away: Prometheus waits 10 s for all."""

Look = Callable[[], Awaitable[Values]]


class Source:
    """Something that is looked at by one thread at a time, however long it takes to answer.

    A thread that waits for a Redis that hangs would else be joined by another one with each scrape.
    """

    def __init__(self, name: str, look: Look) -> None:
        self._name = name
        self._look = look
        self._under_way: asyncio.Task[Values | None] | None = None

    async def values(self) -> Values | None:
        """What it says; None if it does not, or not in time."""
        if self._under_way is None or self._under_way.done():
            self._under_way = asyncio.create_task(self._asked())
        done, _ = await asyncio.wait({self._under_way}, timeout=PATIENCE_SECONDS)
        return self._under_way.result() if done else None

    async def _asked(self) -> Values | None:
        try:
            return await self._look()
        except Exception as error:  # whatever it is, it is away
            log.info("metrics: %s: %s", self._name, type(error).__name__)
            return None


class Numbers:
    """All numbers of this home."""

    def __init__(self, service: Service) -> None:
        settings = service.settings

        async def ledger() -> Values:
            return await service.readers.run(lambda opened: ledger_values(opened, settings, time.time()))

        async def redis() -> Values:
            return await service.slow.run(lambda home: redis_values(home.exchange, home.ledger.home))

        async def disk() -> Values:
            return await service.disk.run(lambda _: disk_values(settings))

        self._ledger, self._redis = Source("the ledger", ledger), Source("Redis", redis)
        self._disk = Source("the disk", disk)
        self._writer = service.disk
        self._lock = asyncio.Lock()
        self._values: Values = {}
        self._taken_at = float("-inf")

    async def page(self, accept: str) -> tuple[bytes, str]:
        """The body and its media type, as the client's Accept header wants it."""
        async with self._lock:
            if time.monotonic() - self._taken_at > FRESH_SECONDS:
                self._values = await self._collected()
                self._taken_at = time.monotonic()
            values = self._values
        return await self._writer.run(lambda _: exposition(HOME_METRICS, values, accept))

    async def _collected(self) -> Values:
        begun = time.monotonic()
        ledger, redis, disk = await asyncio.gather(
            self._ledger.values(), self._redis.values(), self._disk.values()
        )
        return {
            **(disk or {}),
            **(ledger or {}),
            **(redis or {}),
            (f"{PREFIX}ledger_up", ()): float(ledger is not None),
            (f"{PREFIX}redis_up", ()): float(redis is not None),
            (f"{PREFIX}collect_seconds", ()): time.monotonic() - begun,
            (f"{PREFIX}collected_timestamp_seconds", ()): time.time(),
        }
