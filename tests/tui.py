"""Running the terminal UI in a test: the real application on a real ledger, with keys from the test."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from textual.pilot import Pilot

from app.requests import Note, Reply, Request
from app.tui.app import ShoeboxApp
from tasks.settings import Settings

# What nobody should ever be able to do to a terminal or to the application by the name or text of a file.
HOSTILE = (
    "[red]red[/red].pdf",
    "[/].pdf",
    "[@click=app.quit]click[/].pdf",
    "\x1b[2J\x1b]0;owned\x07.pdf",
    "\x1b]52;c;b3duZWQ=\x07.pdf",
    "\x9b31m c1.pdf",
    "\u202efdp.exe",
    "two\nlines\r\n.pdf",
    "tab\tand\x00nul.pdf",
    "\u200bnothing\ufeff.pdf",
    "wide 書類 👩‍👩‍👧 e\u0301.pdf",
    "long " + "x" * 100_000,
    "lone \udcff surrogate.pdf".encode("utf-8", "replace").decode(),
)


class RecordingClerk:
    """Notes what is asked of the clerk. For tests of what the screens ask; others run the real one."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.reply = Reply(number=0, ok=True, message="done")

    async def ask(self, request: Request, on_note: Callable[[Note], None] | None = None) -> Reply:
        """Note it."""
        self.requests.append(request)
        return self.reply

    async def close(self) -> None:
        """Nothing to close."""


Scenario = Callable[[ShoeboxApp, Pilot[Any]], Awaitable[None]]


def drive(settings: Settings, scenario: Scenario, *, size: tuple[int, int] = (120, 36)) -> RecordingClerk:
    """Run the application for as long as the scenario takes; returns what was asked of the clerk."""
    clerk = RecordingClerk()

    async def run() -> None:
        app = ShoeboxApp(settings, clerk)
        async with app.run_test(size=size, notifications=True) as pilot:
            await pilot.pause()
            await scenario(app, pilot)

    asyncio.run(run())
    return clerk


async def until(pilot: Pilot[Any], condition: Callable[[], object], seconds: float = 20) -> None:
    """Let the application run until the condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await pilot.pause(0.02)


def screen_text(app: ShoeboxApp) -> str:
    """What is on the screen, line by line."""
    height = app.size.height
    compositor = app.screen._compositor
    lines = compositor.render_strips()[:height]
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in lines)
