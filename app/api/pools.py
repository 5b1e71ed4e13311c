"""Threads for what blocks: SQLite, and home with its Redis and Celery. Each keeps a connection of its own."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Generic, TypeVar

from tasks.broker_url import redis_url
from tasks.errors import ServiceError
from tasks.home import Home
from tasks.ledger import Ledger
from tasks.settings import Settings

T = TypeVar("T")
R = TypeVar("R")


class Pool(Generic[T]):
    """A few threads, each of which opens what it works with once.

    Args:
        name: of the threads.
        threads: how many.
        opener: opens what a thread works with.
        mark: when what this gives changes, it is opened anew.
    """

    def __init__(
        self,
        name: str,
        threads: int,
        opener: Callable[[], AbstractContextManager[T]],
        mark: Callable[[], str] = str,
    ) -> None:
        self._threads = threads
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=f"api-{name}")
        self._opener = opener
        self._mark = mark
        self._local = threading.local()

    async def run(self, work: Callable[[T], R]) -> R:
        """Have a thread do something with what it has open."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._do, work)

    def _do(self, work: Callable[[T], R]) -> R:
        mark = self._mark()
        if getattr(self._local, "mark", None) != mark:
            self._leave()
            self._local.manager = self._opener()
            self._local.opened = self._local.manager.__enter__()
            self._local.mark = mark
        return work(self._local.opened)

    def _leave(self) -> None:
        manager = self._local.__dict__.pop("manager", None)
        self._local.__dict__.clear()
        if manager is not None:
            manager.__exit__(None, None, None)

    def close(self) -> None:
        """Wait for what is under way, and close what each thread has open."""
        together = threading.Barrier(self._threads)  # so that each thread gets one of these

        def leave() -> None:
            together.wait()
            self._leave()

        wait([self._executor.submit(leave) for _ in range(self._threads)])
        self._executor.shutdown()


def reading_pool(settings: Settings, threads: int) -> Pool[Ledger]:
    """Threads that look into the ledger."""

    @contextmanager
    def opened() -> Iterator[Ledger]:
        with Ledger.open(settings) as ledger:
            yield ledger

    return Pool("read", threads, opened)


def home_pool(name: str, settings: Settings, threads: int) -> Pool[Home]:
    """Threads that act as home. A Redis that was started meanwhile is found."""

    def address() -> str:
        with suppress(ServiceError):
            return redis_url(settings)
        return "none"

    return Pool(name, threads, lambda: Home.open(settings), address)
