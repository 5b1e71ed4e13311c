"""The Search screen: what is typed is found, shown as plain text, and opened at its page."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual.pilot import Pilot
from textual.widgets import Input, OptionList

from app.requests import AddFiles
from app.tui.app import ShoeboxApp
from app.tui.screens.document import DocumentScreen
from app.tui.screens.search import SearchScreen
from tasks.ledger import Ledger
from tasks.settings import Settings
from tests.test_search import put
from tests.tui import HOSTILE, drive, screen_text


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


def clerk_requests(app: ShoeboxApp) -> list[Any]:
    return app.clerk.requests  # type: ignore[attr-defined, no-any-return]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data")


@pytest.fixture
def ledger(settings: Settings) -> Any:
    with Ledger.open(settings) as opened:
        yield opened
