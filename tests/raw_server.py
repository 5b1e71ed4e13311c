"""A server that sends exactly the bytes that a test orders, for what no real server does on demand."""

import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RECORDINGS = Path(__file__).parent / "ollama" / "recordings"
END = b"0\r\n\r\n"


@dataclass
class Request:
    """A request as it came over the wire."""

    method: str
    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        """The JSON of the body."""
        return dict(json.loads(self.raw))


class Connection:
    """What a script does with a request."""

    def __init__(self, handler: socketserver.StreamRequestHandler, request: Request) -> None:
        self.request = request
        self._handler = handler

    def send(self, *data: bytes) -> bool:
        """Send bytes. False if the client has gone."""
        try:
            for piece in data:
                self._handler.wfile.write(piece)
        except OSError:
            return False
        return True

    def until_client_closes(self) -> None:
        """Block until the client has closed the connection."""
        try:
            while self._handler.connection.recv(4096):
                pass
        except OSError:
            pass


Script = Callable[[Connection], object]


@dataclass
class RawServer:
    """Answers a request by its route, else by the next script; then it closes the connection."""

    url: str
    scripts: list[Script] = field(default_factory=list)
    routes: dict[str, Script] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)

    def to(self, path: str) -> list[Request]:
        """The requests for a path."""
        return [request for request in self.requests if request.path == path]


@contextmanager
def raw_server() -> Iterator[RawServer]:
    """Run a server on a free port of the loopback."""
    running = RawServer("")

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            request = _read(self)
            if request is None:
                return
            running.requests.append(request)
            script = running.routes.get(request.path) or running.scripts.pop(0)
            script(Connection(self, request))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        running.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield running
        finally:
            server.shutdown()
            thread.join()


def _read(handler: socketserver.StreamRequestHandler) -> Request | None:
    first = handler.rfile.readline().decode().split()
    if len(first) < 2:
        return None
    headers: dict[str, str] = {}
    while line := handler.rfile.readline().decode().strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return Request(first[0], first[1], headers, handler.rfile.read(int(headers.get("content-length", 0))))


def head(status: str = "200 OK", kind: str = "application/x-ndjson", *headers: str) -> bytes:
    """The head of an answer whose body is sent in chunks."""
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", "Transfer-Encoding: chunked", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def chunk(data: str | bytes) -> bytes:
    """One chunk of a body."""
    data = data.encode() if isinstance(data, str) else data
    return b"%x\r\n%s\r\n" % (len(data), data)


def line(value: object) -> bytes:
    """One line of Ollama's streams."""
    return chunk(json.dumps(value) + "\n")


def event(value: object) -> bytes:
    """One event of OpenAI's streams."""
    return chunk(f"data: {value if isinstance(value, str) else json.dumps(value)}\n\n")


def answer(*chunks: bytes, status: str = "200 OK", kind: str = "application/x-ndjson") -> Script:
    """A script that sends a whole answer."""
    return lambda connection: connection.send(head(status, kind), *chunks, END)


def json_answer(value: object, status: str = "200 OK") -> Script:
    """A script that sends JSON, or text if it is a string."""
    text = value if isinstance(value, str) else json.dumps(value)
    return answer(chunk(text), status=status, kind="application/json")


def recorded(name: str) -> Script:
    """A script that sends the answer of a recording; chunks that had no end have none here."""
    notes, _, rest = (RECORDINGS / name).read_bytes().partition(b"##### RESPONSE HEADERS\n")
    headers, _, body = rest.partition(b"##### RESPONSE BODY (de-chunked)\n")
    lines = headers.decode().splitlines()
    body = body.removesuffix(b"\n")
    if "Transfer-Encoding: chunked" in lines:
        pieces = [chunk(piece) for piece in body.splitlines(keepends=True)]
        body = b"".join(pieces) + (b"" if b"terminating 0-chunk seen: False" in notes else END)
    data = "\r\n".join([*lines, "", ""]).encode() + body
    return lambda connection: connection.send(data)
