"""The process that serves the API: its socket, its limits, and its orderly end."""

import asyncio
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol

from app.api.access import load_token
from app.api.application import create_app
from app.listening import is_loopback
from tasks.errors import ServiceError
from tasks.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI


DRAIN_SECONDS = 10
"""For requests under way, from SIGTERM to their end."""
HEADER_SECONDS = 15.0
"""A connection on which no whole request has come for so long is closed."""
_HEADER_BYTES = 32 * 1024
_KEEP_ALIVE_SECONDS = 30


class ImpatientProtocol(H11Protocol):
    """HTTP/1.1 that does not wait for ever for the head of a request. uvicorn by itself does."""

    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(transport)
        self._look_at_clock()

    def data_received(self, data: bytes) -> None:
        """Something has come: the rest of a head, or a piece of one."""
        super().data_received(data)
        self._look_at_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """A client has gone."""
        if self._patience is not None:
            self._patience.cancel()
        super().connection_lost(exc)

    def _look_at_clock(self) -> None:
        is_answering = self.cycle is not None and not self.cycle.response_complete
        if is_answering and self._patience is not None:
            self._patience.cancel()
            self._patience = None
        elif not is_answering and self._patience is None:
            self._patience = self.loop.call_later(HEADER_SECONDS, self.transport.close)


class DrainingServer(Server):
    """Ends streams of events when it is told to end, so that their clients do not hold it up."""

    def __init__(self, config: Config, app: "FastAPI") -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what is under way, then end."""
        self._app.state.service.drain()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn, but an end that was asked for is no death by a signal."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()


def serve(settings: Settings, listener: socket.socket, host: str) -> None:
    """Serve until SIGTERM or SIGINT; requests under way are finished.

    Raises:
        ServiceError: the token or the ledger cannot be used, or the API ended at its start.
    """
    needs_token = settings.api_needs_token or not is_loopback(host)
    app = create_app(settings, load_token(settings), needs_token=needs_token)
    config = Config(
        app,
        http=ImpatientProtocol,
        loop="asyncio",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,  # it would hold what people look for; see app/api/gate.py
        proxy_headers=False,  # who is on this machine is told by the connection, not by a header
        server_header=False,
        h11_max_incomplete_event_size=_HEADER_BYTES,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    server = DrainingServer(config, app)
    server.run(sockets=[listener])
    if not server.started:
        raise ServiceError("The API could not be started.", "Its log, above, says why.")
