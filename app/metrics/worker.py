"""A worker's /metrics: a small HTTP server in a thread of its main process.

The work goes first: a port that is taken costs the numbers, never the worker.
"""

import logging
import socket
import threading
import time
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from app.listening import in_url, is_loopback
from tasks.errors import ServiceError
from tasks.metrics.declared import WORKER_METRICS
from tasks.metrics.exposition import exposition
from tasks.metrics.worker import WorkerNumbers, note_served_at, switch_on
from tasks.settings import Settings

if TYPE_CHECKING:
    from app.api.access import Access

log = logging.getLogger("shoebox.worker")

PATH = "/metrics"
_AGAIN_SECONDS = 5.0
"""Until a port that was taken is tried again: the worker before may not have ended quite."""
_SILENCE_SECONDS = 5.0
"""A client that sends nothing for so long is given up."""
_PATIENCE_SECONDS = 20.0
"""And one that has not got its answer by then, however it asks."""
_MOST_CLIENTS = 8
"""At the same time."""


def serve_metrics(settings: Settings, queue: str, processes: int) -> None:
    """Count what this worker does, and serve it from when the worker is ready. Call it before the fork.

    Args:
        settings: `metrics_port` is this worker's own.
        queue: that it serves.
        processes: of its pool at most.

    Where that cannot be, it is said in the log.
    """
    try:
        access = _access(settings)
    except (ImportError, ServiceError) as error:
        log.warning("Numbers are not served: %s", error)
        return
    from celery.signals import worker_process_init, worker_ready

    served = _Served(settings, switch_on(queue, processes), access)
    worker_ready.connect(served.begin, weak=False)
    worker_process_init.connect(served.close_here, weak=False)


def _access(settings: Settings) -> "Access":
    """Who may ask: the rule of the API, and its token.

    Raises:
        ImportError: the packages of the extra `api` are not installed.
        ServiceError: the token cannot be used.
    """
    import prometheus_client  # noqa: F401 - whether it is there

    from app.api.access import Access, load_token

    needs_token = settings.api_needs_token or not is_loopback(settings.metrics_host)
    return Access(settings, load_token(settings), needs_token=needs_token)


class _Served:
    """The server of one worker, and the thread that it runs in."""

    def __init__(self, settings: Settings, numbers: WorkerNumbers, access: "Access") -> None:
        self._host, self._port = settings.metrics_host, settings.metrics_port
        self._numbers = numbers
        self._access = access
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def begin(self, **_: Any) -> None:
        """Start the thread, once: a worker is ready again after each connection that broke."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True, name="metrics")
            self._thread.start()

    def close_here(self, **_: Any) -> None:
        """A process of the pool has inherited the socket, and would keep the port from the next worker."""
        if self._server is not None:
            self._server.socket.close()

    def _run(self) -> None:
        address, pause, said = in_url(self._host, self._port), threading.Event(), ""
        while self._server is None:
            try:
                self._server = _Server(self._host, self._port, self._numbers, self._access)
            except OSError as error:
                reason = error.strerror or type(error).__name__
                if reason != said:
                    log.warning("Numbers are not served at %s: %s. See metrics_port.", address, reason)
                    said = reason
                pause.wait(_AGAIN_SECONDS)
        note_served_at(address)
        log.info("numbers are served at http://%s%s", address, PATH)
        self._server.serve_forever()


class _Server(ThreadingHTTPServer):
    """Answers a few clients at the same time.

    Raises:
        OSError: the port is taken or not allowed, or the address is none of this machine's.
    """

    daemon_threads = True

    def __init__(self, host: str, port: int, numbers: WorkerNumbers, access: "Access") -> None:
        self.numbers = numbers
        self.access = access
        self._places = threading.BoundedSemaphore(_MOST_CLIENTS)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        """As its parent's parent: looking up the machine's name, which that does, may take seconds."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Let a client in, unless there are too many."""
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer a client, for so long as there is patience with it."""
        patience = threading.Timer(_PATIENCE_SECONDS, _cut_off, (request,))
        patience.daemon = True
        patience.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            patience.cancel()
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - its parent's form
        """A client that went away is nothing to tell of."""
        log.debug("a client of the numbers went away", exc_info=True)


def _cut_off(request: socket.socket) -> None:
    """End a connection under the thread that waits for it."""
    with suppress(OSError):  # it has just ended
        request.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    """One request."""

    server: _Server
    timeout = _SILENCE_SECONDS
    server_version = "shoebox"
    sys_version = ""

    def do_GET(self) -> None:
        """Give the numbers to whom the API would let in."""
        from starlette.datastructures import Headers

        from app.api.problems import ApiError

        raw = [
            (name.lower().encode("latin-1", "replace"), value.encode("latin-1", "replace"))
            for name, value in self.headers.items()
        ]
        headers, path = Headers(raw=raw), self.path.partition("?")[0]
        try:
            # Every path needs what /metrics needs: the API's open ones are not here.
            self.server.access.admit("GET", PATH, headers, self.client_address[0])
        except ApiError as refused:
            self._send(
                refused.status,
                f"{refused.message} {refused.remedy}\n".encode(),
                "text/plain",
                refused.headers,
            )
            return
        if path != PATH:
            self._send(HTTPStatus.NOT_FOUND, b"Only /metrics is here.\n", "text/plain")
            return
        values = self.server.numbers.values(time.monotonic())
        body, kind = exposition(WORKER_METRICS, values, headers.get("accept", ""))
        self._send(HTTPStatus.OK, body, kind)

    def _send(self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Scrapes are not logged."""
