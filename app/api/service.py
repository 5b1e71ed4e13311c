"""What all routes share: threads, the follower of events, and what is to be released."""

import asyncio
import logging
from contextlib import nullcontext, suppress
from typing import Annotated

from fastapi import Depends, Request

from app.api.following import Follower
from app.api.pools import Pool, home_pool, reading_pool
from app.api.questions import Questions
from app.api.uploads import tidy_uploads
from tasks.settings import Settings

log = logging.getLogger("shoebox.api")

READERS, WRITERS, SLOW, DISK = 4, 2, 4, 2
"""Threads for looks at the ledger; for what changes it; for what may take seconds; for files."""


class Service:
    """One running API."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.readers = reading_pool(settings, READERS)
        self.writers = home_pool("write", settings, WRITERS)
        self.slow = home_pool("slow", settings, SLOW)
        self.disk: Pool[None] = Pool("disk", DISK, nullcontext)
        self.follower = Follower(settings, self.readers)
        self.questions = Questions(self)
        self._to_release = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to follow events and to release units.

        Raises:
            ServiceError: the ledger cannot be opened.
        """
        await self.readers.run(lambda ledger: tidy_uploads(self.settings, ledger))
        self._tasks = [asyncio.create_task(self.follower.run()), asyncio.create_task(self._release())]

    async def stop(self) -> None:
        """End what was begun; what is still to be released is."""
        self.drain()
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await self.questions.settled()
        if self._to_release.is_set():
            await self.writers.run(lambda home: home.release())
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self.questions.close()
        for pool in (self.readers, self.writers, self.slow, self.disk):
            pool.close()

    def drain(self) -> None:
        """Let streams and questions come to an end, so that clients can go."""
        self.follower.drain()
        self.questions.cancel_all()

    def release_soon(self) -> None:
        """Have units released. Nobody waits for it; many calls become one."""
        self._to_release.set()

    async def _release(self) -> None:
        while True:
            await self._to_release.wait()
            self._to_release.clear()
            try:
                await self.writers.run(lambda home: home.release())
            except Exception as error:
                # The next tick of the home worker releases what this did not.
                log.warning("units could not be released: %s", error)


def get_service(request: Request) -> Service:
    """The service that a request is for."""
    service: Service = request.app.state.service
    return service


Api = Annotated[Service, Depends(get_service)]
