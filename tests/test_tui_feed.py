"""Following the event stream over a real Redis that goes and comes."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis import Redis

from app.services import find_server
from app.tui.feed import Link, follow
from tasks.documents import Stage, State
from tasks.events import Event, EventKind, emit, stream_key
from tasks.exchange import connect
from tasks.settings import Settings


class Server:
    """A Redis that can be killed and started again, with what it held."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "r.sock"
        self._command = [
            *(str(find_server(Settings()).binary), "--port", "0", "--unixsocket", str(self.socket)),
            *("--save", "", "--appendonly", "yes", "--appendfsync", "always", "--dir", str(folder)),
        ]
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        self.client().ping()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def client(self) -> Redis:
        return connect(self.url, retries=100)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    started = Server(tmp_path)
    yield started
    started.kill()


def event(document: str) -> Event:
    return Event(kind=EventKind.DOCUMENT, document=document, state=State.RUNNING, stage=Stage.OCR)


def emit_all(client: Redis, number: int) -> None:
    for one in range(number):
        emit(client, "h", event(str(one)))


async def until(condition: Callable[[], object], seconds: float = 20) -> None:
    """Let the loop run until the condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


class Follower:
    """What the feed has told."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        """The documents of the events, in order."""
        self.links: list[Link] = []

    @asynccontextmanager
    async def follow(self, url: str) -> AsyncIterator[None]:
        """Follow until the end of the block."""
        settings = Settings(redis_url=SecretStr(url))
        following = asyncio.create_task(follow(settings, "h", self._take, self.links.append))
        try:
            yield
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    def _take(self, events: list[Event]) -> None:
        self.seen += [one.document for one in events]

    @property
    def is_linked(self) -> bool:
        return bool(self.links) and self.links[-1].up


def test_events_come_in_order_and_go_on_after_redis_was_killed(server: Server) -> None:
    feed = Follower()

    async def scenario() -> None:
        async with feed.follow(server.url):
            client = server.client()
            await until(lambda: feed.is_linked)
            # beside the loop: a feed that is kept from reading takes the link for lost
            await asyncio.to_thread(emit_all, client, 1_500)  # more than one batch
            await until(lambda: len(feed.seen) == 1_500)
            server.kill()
            await until(lambda: not feed.is_linked)
            assert "Redis" in feed.links[-1].problem
            server.start()
            await until(lambda: feed.is_linked)
            emit(client, "h", event("afterwards"))
            await until(lambda: feed.seen[-1] == "afterwards")

    asyncio.run(scenario())
    assert feed.seen == [*map(str, range(1_500)), "afterwards"]
    assert [link.up for link in feed.links] == [True, False, True]


def test_what_was_told_before_is_in_the_ledger_and_not_told_again(server: Server) -> None:
    feed = Follower()
    client = server.client()
    emit(client, "h", event("before"))

    async def scenario() -> None:
        async with feed.follow(server.url):
            await until(lambda: feed.is_linked)
            emit(client, "h", event("after"))
            await until(lambda: feed.seen)

    asyncio.run(scenario())
    assert feed.seen == ["after"]


def test_an_event_of_another_version_is_passed_over(server: Server) -> None:
    feed = Follower()
    client = server.client()

    async def scenario() -> None:
        async with feed.follow(server.url):
            await until(lambda: feed.is_linked)
            client.xadd(stream_key("h"), {"event": '{"kind": "telepathy"}'})
            client.xadd(stream_key("h"), {"thing": b"\xff\xfe"})
            emit(client, "h", event("known"))
            await until(lambda: feed.seen)

    asyncio.run(scenario())
    assert feed.seen == ["known"]


def test_without_any_redis_it_says_so_and_finds_one_that_comes(tmp_path: Path) -> None:
    feed = Follower()
    servers: list[Server] = []

    async def scenario() -> None:
        async with feed.follow(f"unix://{tmp_path / 'r.sock'}"):
            await until(lambda: feed.links)
            assert not feed.is_linked
            servers.append(Server(tmp_path))
            await until(lambda: feed.is_linked)

    try:
        asyncio.run(scenario())
    finally:
        for started in servers:
            started.kill()
    assert [link.up for link in feed.links] == [False, True]
