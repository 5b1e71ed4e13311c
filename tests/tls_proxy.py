"""A TLS endpoint in front of a server that speaks none, as stunnel is."""

import asyncio
import ssl
from pathlib import Path

from tests.proxy import Proxy, Streams

TLS = Path(__file__).parent / "tls"
AUTHORITY = TLS / "authority.pem"
"""Signed the proxy's certificate, which is for localhost and 127.0.0.1 and lasts to 2126."""
ANOTHER_AUTHORITY = TLS / "another-authority.pem"


class TlsProxy(Proxy):
    """Passes everything between TLS on a port of 127.0.0.1 and a unix socket."""

    def __init__(self, socket: Path) -> None:
        super().__init__()
        self._socket = socket

    def tls(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(TLS / "server.pem")
        return context

    async def connect(self) -> Streams:
        return await asyncio.open_unix_connection(str(self._socket))
