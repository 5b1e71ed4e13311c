"""A receiver of webhooks that answers as a test orders, and keeps what came."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        """The JSON of the body."""
        return dict(json.loads(self.raw))


Answer = Callable[[BaseHTTPRequestHandler], None]


def status(code: int, **headers: str) -> Answer:
    """Answers with a status and nothing else."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    """Closes the connection without a word."""
    handler.close_connection = True


def drip(handler: BaseHTTPRequestHandler) -> None:
    """Sends a header now and again and never comes to an end, until the other side leaves."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(10_000):
        try:
            handler.wfile.write(f"X-{number}: a\r\n".encode())
        except OSError:
            return
        time.sleep(0.02)  # this is the fault, not a wait for anything


def endless_body(handler: BaseHTTPRequestHandler) -> None:
    """Promises a body that would fill any memory, and sends what is taken of it."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(1 << 40))
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b"x" * 65536)
    except OSError:
        return


@dataclass
class Receiver:
    """What came, and what is answered: the ordered answers first, then 204."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """What came, as JSON."""
        return [one.body for one in self.received]

    @property
    def events(self) -> list[dict[str, Any]]:
        """All events that came."""
        return [event for body in self.bodies for event in body["events"]]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on a free port of this machine."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.received.append(Received(self.path, dict(self.headers.items()), raw))
            (receiver.answers.pop(0) if receiver.answers else status(204))(self)

        def log_message(self, *_: object) -> None:
            """Tests print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/hook/tok3n"
    try:
        yield receiver
    finally:
        server.shutdown()
        serving.join()
        server.server_close()
