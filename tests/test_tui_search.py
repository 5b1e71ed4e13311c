"""The Search screen: what is typed is found, shown as plain text, and opened at its page."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from redis import Redis
from textual import events
from textual.pilot import Pilot
from textual.widgets import Input, OptionList

from app.requests import AddFiles, MakeQueryVector
from app.tui.app import ShoeboxApp
from app.tui.screens.document import DocumentScreen
from app.tui.screens.search import SearchScreen
from tasks.exchange import Exchange
from tasks.ledger import Ledger
from tasks.meaning.batches import QueryReply, pack
from tasks.settings import Settings
from tests.meaning import Broker, announce, embedding_info, read, serve_cpu
from tests.ollama.word_vectors import word_vector
from tests.test_search import put
from tests.tui import HOSTILE, drive, screen_text, until


async def typed(app: ShoeboxApp, pilot: Pilot[Any], text: str) -> list[str]:
    """Type, and wait for what is found."""
    screen = app.screen
    assert isinstance(screen, SearchScreen)
    screen.query_one("#query", Input).value = text
    await pilot.pause()
    for worker in [one for one in app.workers if one.group == "search"]:
        await worker.wait()
    await pilot.pause()
    options = screen.query_one(OptionList)
    return [str(options.get_option_at_index(at).prompt) for at in range(options.option_count)]


def test_the_words_are_found_while_they_are_typed(settings: Settings, ledger: Ledger) -> None:
    put(ledger, "lease.pdf", "first page", "The deposit is due.", category="contract")
    put(ledger, "other.txt", "nothing of the kind")

    async def scenario(app: ShoeboxApp, pilot: Pilot[Any]) -> None:
        await pilot.press("ctrl+f")
        await pilot.press(*"depo")  # letters go to the input, and are no commands
        assert app.screen.query_one("#query", Input).value == "depo"
        (line,) = await typed(app, pilot, "deposit")
        assert "lease.pdf" in line
        assert "page 2: The deposit is due." in line
        await pilot.press("enter")
        async with asyncio.timeout(10):
            while not isinstance(app.screen, DocumentScreen):
                await pilot.pause()
            while "The deposit is due." not in screen_text(app):
                await pilot.pause()
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(app.screen, SearchScreen)
        assert await typed(app, pilot, "nowhere") == []
        await pilot.press("enter")
        assert isinstance(app.screen, SearchScreen)

    drive(settings, scenario)


def test_what_is_found_is_plain_text(settings: Settings, ledger: Ledger) -> None:
    for name in HOSTILE:
        put(ledger, name[:200], f"deposit {name}", party=name[:50], title=name)

    async def scenario(app: ShoeboxApp, pilot: Pilot[Any]) -> None:
        await pilot.press("ctrl+f")
        lines = await typed(app, pilot, "deposit")
        assert len(lines) == len(HOSTILE)
        assert not any("\x1b" in line or "\u202e" in line for line in lines)
        assert any("[@click=app.quit]click" in line for line in lines)

    drive(settings, scenario)


def test_the_arrow_keys_choose(settings: Settings, ledger: Ledger) -> None:
    for number in range(3):
        put(ledger, f"{number}.txt", "deposit " * (3 - number))

    async def scenario(app: ShoeboxApp, pilot: Pilot[Any]) -> None:
        await pilot.press("ctrl+f")
        await typed(app, pilot, "deposit")
        options = app.screen.query_one(OptionList)
        assert options.highlighted == 0
        await pilot.press("down", "down", "down", "up")
        assert options.highlighted == 1

    drive(settings, scenario)


def test_files_dropped_on_the_input_are_taken(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "dropped.txt"
    path.write_text("x")

    async def scenario(app: ShoeboxApp, pilot: Pilot[Any]) -> None:
        await pilot.press("ctrl+f")
        query = app.screen.query_one("#query", Input)
        query.post_message(events.Paste(str(path)))
        async with asyncio.timeout(10):
            while AddFiles((str(path),)) not in clerk_requests(app):
                await pilot.pause()
        query.post_message(events.Paste("only words"))
        async with asyncio.timeout(10):
            while query.value != "only words":
                await pilot.pause()

    drive(settings, scenario)


def test_what_is_found_by_meaning_joins_what_words_found(
    settings: Settings, ledger: Ledger, redis: Redis, tmp_path: Path
) -> None:
    settings = settings.model_copy(update={"redis_url": SecretStr(f"unix://{tmp_path}/r.sock")})
    announce(ledger, embedding_info())
    serve_cpu(Exchange(redis), "here")
    read(ledger, "garage.txt", "[b]The automobile[/b] was repaired.")
    read(ledger, "car.txt", "Nothing of the kind")
    broker = Broker(Exchange(redis), ledger, settings)
    broker.index_all()

    async def scenario(app: ShoeboxApp, pilot: Pilot[Any]) -> None:
        await pilot.press("ctrl+f")
        app.screen.query_one("#query", Input).value = "car"
        options = app.screen.query_one(OptionList)
        await until(pilot, lambda: options.option_count == 1)  # words are there at once
        await until(pilot, lambda: vector_requests(app))
        request = vector_requests(app)[0]
        assert request.text == "car"
        vector = QueryReply(vector=pack(word_vector("car")))
        redis.rpush(request.reply_key, vector.model_dump_json())
        await until(pilot, lambda: options.option_count == 2)
        lines = [str(options.get_option_at_index(at).prompt) for at in range(2)]
        assert "about: car.txt" in lines[0]
        assert "page 1, by meaning: [b]The automobile[/b] was repaired." in lines[1]

    drive(settings, scenario)


def vector_requests(app: ShoeboxApp) -> list[MakeQueryVector]:
    return [one for one in clerk_requests(app) if isinstance(one, MakeQueryVector)]


def test_without_vectors_no_model_is_asked(settings: Settings, ledger: Ledger) -> None:
    put(ledger, "car.txt", "The car")

    async def scenario(app: ShoeboxApp, pilot: Pilot[Any]) -> None:
        await pilot.press("ctrl+f")
        assert len(await typed(app, pilot, "car")) == 1
        assert vector_requests(app) == []

    drive(settings, scenario)


def clerk_requests(app: ShoeboxApp) -> list[Any]:
    return app.clerk.requests  # type: ignore[attr-defined, no-any-return]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data")


@pytest.fixture
def ledger(settings: Settings) -> Any:
    with Ledger.open(settings) as opened:
        yield opened
