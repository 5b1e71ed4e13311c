"""A TCP proxy on 127.0.0.1, in a thread of its own: what all proxies of the tests have in common."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Awaitable
from contextlib import suppress
from typing import Self

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Proxy:
    """Passes everything between its port and another place. Use it as a context manager."""

    def __init__(self) -> None:
        self.port = 0
        self.loop = asyncio.new_event_loop()
        """Where it runs."""
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True, name="proxy")

    def __enter__(self) -> Self:
        self._thread.start()
        listening = asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls())
        self._server = asyncio.run_coroutine_threadsafe(listening, self.loop).result()
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def tls(self) -> ssl.SSLContext | None:
        """How it speaks TLS; None: it does not."""
        return None

    async def connect(self) -> Streams:
        """A connection to the other place.

        Raises:
            OSError: nobody is there.
        """
        raise OSError("nowhere to go")

    def up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Awaitable[None]:
        """Pass what comes from the client."""
        return copy(reader, writer)

    def down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Awaitable[None]:
        """Pass what comes from the other place."""
        return copy(reader, writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: when one side ends, the other one is ended."""
        writers = [writer]
        try:
            inner_reader, inner_writer = await self.connect()
            writers.append(inner_writer)
            ways = [
                asyncio.ensure_future(self.up(reader, inner_writer)),
                asyncio.ensure_future(self.down(inner_reader, writer)),
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
                one.close()

    async def _end(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass everything until one of them ends."""
    with suppress(ConnectionError, ssl.SSLError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
