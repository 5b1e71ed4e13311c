"""The HTTP API in this process: a client of it, and what a test does behind its back."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from starlette.testclient import TestClient

from app.api.application import create_app
from app.api.service import Service
from tasks.home import Home
from tasks.settings import Settings

R = TypeVar("R")
TOKEN = "t" * 43
HERE = ("127.0.0.1", 50_000)
ELSEWHERE = ("192.0.2.7", 50_000)
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@contextmanager
def api_client(
    settings: Settings, *, client: tuple[str, int] = HERE, needs_token: bool = False
) -> Iterator[TestClient]:
    """A client of an API over these settings, on this machine unless it is said to be elsewhere."""
    app = create_app(settings, TOKEN, needs_token=needs_token)
    with TestClient(app, base_url="http://127.0.0.1:8765", client=client) as api:
        yield api


@asynccontextmanager
async def running_service(settings: Settings) -> AsyncIterator[Service]:
    """What the routes share, running."""
    service = Service(settings)
    await service.start()
    try:
        yield service
    finally:
        await service.stop()


def in_loop(work: Callable[[], Coroutine[Any, Any, R]]) -> R:
    """Run a test's coroutine to its end."""
    return asyncio.run(work())


def files_below(folder: Path) -> list[Path]:
    """All files below a folder."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def take(settings: Settings, path: Path, *, urgent: bool = False) -> str:
    """A document of this home; its id."""
    with Home.open(settings) as home:
        return home.add(path, "builtin", urgent=urgent).document.id


def parsed_events(text: str) -> list[tuple[str, str, Any]]:
    """The events of a stream: id, name, data."""
    events = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and line[0] != ":")
        if "event" in lines:
            events.append((lines.get("id", ""), lines["event"], json.loads(lines["data"])))
    return events


Message = dict[str, Any]


async def asgi_call(
    app: Any, method: str, path: str, headers: dict[str, str], bodies: AsyncIterator[Message]
) -> list[Message]:
    """Call an application as a server does, with a body that comes in the given pieces; what it sent."""
    sent: list[Message] = []

    async def receive() -> Message:
        return await anext(bodies)

    async def send(message: Message) -> None:
        sent.append(message)

    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [
            (b"host", b"127.0.0.1:8765"),
            *((name.lower().encode(), value.encode()) for name, value in headers.items()),
        ],
        "client": HERE,
        "server": ("127.0.0.1", 8765),
    }
    await app(scope, receive, send)
    return sent
