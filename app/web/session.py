"""One UI in one browser page: its process, and the protocol between that and the page.

The page runs textual-serve's terminal, the process Textual's WebDriver. What passes between them is written
down there; this end of it is ours, because textual-serve's starts the program through a shell, waits for it
without end, and prints what it says on standard error as it is.
"""

import asyncio
import json
import os
import struct
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol, cast

import app
from app.requests import web_log
from tasks.settings import Settings

UI = (sys.executable, "-P", "-m", "app", "_ui")
"""The program behind a page."""
END_SECONDS = 10.0
"""For a UI to hand what was asked last to the clerk, and end. Then it is killed."""
_STUCK_SECONDS = 60.0
"""A UI that has not read a key for so long reads none any more."""
_MOST_CELLS = 1_000
_MOST_BYTES = 64 * 1024 * 1024
_CHUNK = 64 * 1024
_READY = b"__GANGLION__\n"
_PREAMBLE_LINES = 10


class Page(Protocol):
    """The browser's end."""

    async def send_bytes(self, data: bytes) -> None:
        """What the terminal is to show."""
        ...

    async def send_str(self, data: str) -> None:
        """Something else that the page is to do, as JSON."""
        ...


class BrokenDeliveryError(Exception):
    """A file was not delivered to its end."""


class Session:
    """The process behind one page. Ends with the page, and the page with it."""

    def __init__(
        self,
        page: Page,
        process: asyncio.subprocess.Process,
        to_ui: asyncio.StreamWriter,
        from_ui: asyncio.StreamReader,
    ) -> None:
        self._page = page
        self._process = process
        self._input = to_ui
        self._output = from_ui
        self._deliveries: dict[str, asyncio.Queue[bytes | None]] = {}
        self.files: dict[str, str] = {}
        """Names of files that the user has asked for, by the key under which each can be fetched once."""

    @classmethod
    async def begin(
        cls, settings: Settings, page: Page, width: int, height: int, command: Sequence[str] = UI
    ) -> "Session":
        """Start a UI for a page of so many columns and rows.

        Raises:
            OSError: it cannot be started, or its log cannot be written.
        """
        log = web_log(settings)
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as words:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=words,
                env=_environment(settings, *_bounded(width, height)),
                start_new_session=True,  # Ctrl-C in the terminal is for the server, which ends this in order
            )
        pipes = process.stdin, process.stdout
        return cls(
            page, process, cast("asyncio.StreamWriter", pipes[0]), cast("asyncio.StreamReader", pipes[1])
        )

    async def show(self) -> None:
        """Hand on what the UI shows, until it ends or the page is gone."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            for _ in range(_PREAMBLE_LINES):
                if await self._output.readuntil(b"\n") == _READY:
                    break
            else:
                return
            while True:
                kind, size = struct.unpack(">cI", await self._output.readexactly(5))
                if size > _MOST_BYTES or await self._hand_on(kind, await self._output.readexactly(size)):
                    return

    async def _hand_on(self, kind: bytes, payload: bytes) -> bool:
        """Returns whether that was the last."""
        if kind == b"D":
            await self._page.send_bytes(payload)
        elif kind == b"P":
            self._take_piece(payload)
        elif kind == b"M":
            said = json.loads(payload)
            if said["type"] == "deliver_file_start":
                key = str(said["key"])
                self.files[key] = os.path.basename(str(said["path"]))  # noqa: PTH119 - a name, not a file
                self._deliveries[key] = asyncio.Queue()
                await self._page.send_str(json.dumps(["deliver_file_start", key]))
            return bool(said["type"] == "exit")
        return False

    def _take_piece(self, payload: bytes) -> None:
        from textual._binary_encode import load

        match load(payload):
            case ("deliver_chunk", str(key), bytes(piece)) if key in self._deliveries:
                self._deliveries[key].put_nowait(piece)
            case _:
                pass

    # From the page

    async def take(self, message: str) -> str | None:
        """Something that the page says; returns what is said back. What is none of its words is ignored.

        Raises:
            TimeoutError: the UI reads nothing any more.
        """
        try:
            said = json.loads(message)
        except ValueError:
            return None
        match said:
            case ["stdin", str(keys)]:
                await self._send(b"D", keys.encode("utf-8", "replace"))
            case ["resize", {"width": int(width), "height": int(height)}]:
                width, height = _bounded(width, height)
                await self._tell("resize", width=width, height=height)
            case ["focus" | "blur" as word]:
                await self._tell(word)
            case ["ping", str(number)]:
                return json.dumps(["pong", number])
            case _:
                pass
        return None

    async def deliver(self, key: str) -> AsyncGenerator[bytes]:
        """A file that the user asked for, piece by piece. A key is good once.

        Raises:
            BrokenDeliveryError: the UI ended before the file did.
        """
        del self.files[key]
        pieces = self._deliveries[key]
        try:
            while True:
                await self._tell("deliver_chunk_request", key=key, size=_CHUNK, name=None)
                piece = await pieces.get()
                if piece is None:
                    raise BrokenDeliveryError
                if not piece:
                    return
                yield piece
        finally:
            del self._deliveries[key]

    async def _tell(self, word: str, **more: object) -> None:
        await self._send(b"M", json.dumps({"type": word, **more}).encode())

    async def _send(self, kind: bytes, payload: bytes) -> None:
        with suppress(ConnectionError):  # it has just ended; `show` sees that
            self._input.write(struct.pack(">cI", kind, len(payload)) + payload)
            async with asyncio.timeout(_STUCK_SECONDS):
                await self._input.drain()

    async def end(self) -> None:
        """The page is gone: let the UI hand over what was asked, and end. Never leaves it running."""
        self.files.clear()
        for pieces in self._deliveries.values():
            pieces.put_nowait(None)
        try:
            async with asyncio.timeout(END_SECONDS):
                await self._tell("quit")
                while await self._output.read(_CHUNK):  # a full pipe would hold it up
                    pass
                await self._process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()


def _bounded(width: int, height: int) -> tuple[int, int]:
    return max(1, min(width, _MOST_CELLS)), max(1, min(height, _MOST_CELLS))


def _environment(settings: Settings, width: int, height: int) -> dict[str, str]:
    return {
        **os.environ,
        "SHOEBOX_DATA_DIR": str(settings.data_dir.absolute()),
        "PYTHONPATH": str(Path(app.__file__).resolve().parent.parent),
        "TEXTUAL_DRIVER": "textual.drivers.web_driver:WebDriver",
        "TEXTUAL_COLOR_SYSTEM": "truecolor",
        "TERM_PROGRAM": "textual",
        "COLUMNS": str(width),
        "ROWS": str(height),
    }
