"""A TCP connection that can be cut: a proxy with a switch, as a cable or a switch between two machines."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum

from tests.proxy import Proxy, Streams


class LinkState(StrEnum):
    """What becomes of what is sent."""

    UP = "up"
    CUT = "cut"
    """Connections are closed, new ones refused at once: a machine that is there, a program that is not."""
    SILENT = "silent"
    """Connections stay, and nothing passes: a cable that was pulled behind a switch."""


class Link(Proxy):
    """Passes everything between a port of 127.0.0.1 and another one.

    Args:
        target: gives the port to go to, for each connection anew.
    """

    def __init__(self, target: Callable[[], int]) -> None:
        super().__init__()
        self.state = LinkState.UP
        self._target = target
        self._open: set[asyncio.StreamWriter] = set()
        self._is_passing = asyncio.Event()
        self._is_passing.set()

    def switch(self, state: LinkState) -> None:
        """Have it pass, cut or swallow."""
        asyncio.run_coroutine_threadsafe(self._switch(state), self.loop).result()

    async def _switch(self, state: LinkState) -> None:
        self.state = state
        if state is LinkState.SILENT:
            self._is_passing.clear()
        else:
            self._is_passing.set()
        if state is LinkState.CUT:
            for writer in list(self._open):
                writer.transport.abort()

    async def connect(self) -> Streams:
        await self._is_passing.wait()
        if self.state is LinkState.CUT:
            raise ConnectionRefusedError
        return await asyncio.open_connection("127.0.0.1", self._target())

    async def up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            with suppress(ConnectionError):
                while data := await reader.read(65536):
                    await self._is_passing.wait()
                    writer.write(data)
                    await writer.drain()
        finally:
            self._open.discard(writer)

    down = up
