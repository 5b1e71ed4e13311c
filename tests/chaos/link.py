"""A TCP connection that can be cut: a proxy with a switch, as a cable or a switch between two machines."""

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from typing import Self


class LinkState(StrEnum):
    """What becomes of what is sent."""

    UP = "up"
    CUT = "cut"
    """Connections are closed, new ones refused at once: a machine that is there, a program that is not."""
    SILENT = "silent"
    """Connections stay, and nothing passes: a cable that was pulled behind a switch."""


class Link:
    """Passes everything between a port of 127.0.0.1 and another one. Use it as a context manager.

    Args:
        target: gives the port to go to, for each connection anew.
    """

    def __init__(self, target: Callable[[], int]) -> None:
        self.port = 0
        self.state = LinkState.UP
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="link")
        self._open: set[asyncio.StreamWriter] = set()
        self._is_passing = asyncio.Event()
        self._is_passing.set()

    def __enter__(self) -> Self:
        self._thread.start()
        listening = asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(listening, self._loop).result()
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def switch(self, state: LinkState) -> None:
        """Have it pass, cut or swallow."""
        asyncio.run_coroutine_threadsafe(self._switch(state), self._loop).result()

    async def _switch(self, state: LinkState) -> None:
        self.state = state
        if state is LinkState.SILENT:
            self._is_passing.clear()
        else:
            self._is_passing.set()
        if state is LinkState.CUT:
            for writer in list(self._open):
                writer.transport.abort()

    async def _end(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: when one side ends, the other one is ended."""
        writers = [writer]
        self._open.add(writer)
        try:
            await self._is_passing.wait()
            if self.state is LinkState.CUT:
                return
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._target())
            writers.append(inner_writer)
            self._open.add(inner_writer)
            ways = [
                asyncio.ensure_future(self._pass(reader, inner_writer)),
                asyncio.ensure_future(self._pass(inner_reader, writer)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
        except OSError:  # nobody listens there just now
            return
        finally:
            for one in writers:
                self._open.discard(one)
                one.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                await self._is_passing.wait()
                writer.write(data)
                await writer.drain()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
