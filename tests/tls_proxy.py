"""A TLS endpoint in front of a server that speaks none, as stunnel is."""

import asyncio
import ssl
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

TLS = Path(__file__).parent / "tls"
AUTHORITY = TLS / "authority.pem"
"""Signed the proxy's certificate, which is for localhost and 127.0.0.1 and lasts to 2126."""
ANOTHER_AUTHORITY = TLS / "another-authority.pem"


class TlsProxy:
    """Passes everything between TLS on a port of 127.0.0.1 and a unix socket. Use it as a context manager."""

    def __init__(self, socket: Path) -> None:
        self.port = 0
        self._socket = socket
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="tls proxy")

    def __enter__(self) -> Self:
        self._thread.start()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(TLS / "server.pem")
        listening = asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        self._server = asyncio.run_coroutine_threadsafe(listening, self._loop).result()
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: when one side ends, the other one is ended."""
        inner_reader, inner_writer = await asyncio.open_unix_connection(str(self._socket))
        ways = [
            asyncio.ensure_future(_pass(reader, inner_writer)),
            asyncio.ensure_future(_pass(inner_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            inner_writer.close()
            writer.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError, ssl.SSLError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
