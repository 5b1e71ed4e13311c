"""How Ollama writes an answer: JSON in Go's spelling, NDJSON in chunks, errors in three forms."""

import json
import select
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.ollama.journal import Call

JSON = "application/json; charset=utf-8"
BARE_JSON = "application/json"
SMALL = 2048  # bytes up to which Go sends a Content-Length instead of chunks


class RefusedError(Exception):
    """The request gets an error.

    Args:
        status: HTTP status.
        message: the string under `error`.
        late: it was found out by the runner, when a stream had been promised; its headers differ.
        bare: its content type names no character set.
    """

    def __init__(self, status: int, message: str, *, late: bool = False, bare: bool = False) -> None:
        super().__init__(message)
        self.status, self.message, self.late, self.bare = status, message, late, bare


class CutError(Exception):
    """The connection is to be closed without another byte."""


def go_json(value: Any) -> bytes:
    """JSON as Go's encoder writes it: compact, with <, > and & escaped."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode("utf-8", "surrogatepass")


class Answer:
    """The answer to one request.

    Args:
        handler: whose connection to write to.
        call: kept up to date.
    """

    def __init__(
        self, handler: BaseHTTPRequestHandler, call: Call, begun: Callable[[Call], None] | None = None
    ) -> None:
        self._handler, self._call, self._begun = handler, call, begun
        self.streaming = False

    def plain(self, status: int, body: bytes = b"", kind: str = "", **headers: str) -> None:
        """A whole body with its length, or none."""
        self._head(status, kind, {"Content-Length": str(len(body)), **headers})
        if self._handler.command != "HEAD":
            self._write(body)

    def json(self, value: Any, *, status: int = 200, kind: str = JSON, **headers: str) -> None:
        """A JSON object."""
        body = go_json(value)
        if len(body) <= SMALL:
            self.plain(status, body, kind, **headers)
            return
        self._head(status, kind, {"Transfer-Encoding": "chunked", **headers})
        self._chunk(body)
        self.end()

    def refuse(self, refused: RefusedError, *, streamed: bool) -> None:
        """An error; within a stream that has begun it is the last line."""
        error = {"error": refused.message}
        if self.streaming:
            self.line(error)
            self.end()
        elif refused.late and streamed:
            self._head(refused.status, BARE_JSON, {"Transfer-Encoding": "chunked"})
            self._chunk(go_json(error))
            self.end()
        else:
            self.json(error, status=refused.status, kind=BARE_JSON if refused.bare else JSON)

    def line(self, value: Any) -> None:
        """A line of NDJSON. Headers go out with the first, not before."""
        self.begin()
        self._chunk(go_json(value) + b"\n")
        self._call.lines += 1
        if self._call.first_line is None:
            self._call.first_line = time.time()
            if self._begun:
                self._begun(self._call)

    def begin(self) -> None:
        """Send the headers of a stream, if they are not out yet."""
        if not self.streaming:
            self.streaming = True
            self._head(200, "application/x-ndjson", {"Transfer-Encoding": "chunked"})

    def half_line(self, value: Any) -> None:
        """Half of a line, and the connection closes."""
        self.begin()
        line = go_json(value)
        self._chunk(line[: len(line) // 2])
        raise CutError

    def raw(self, text: str) -> None:
        """Any text in the stream."""
        self.begin()
        self._chunk(text.encode("utf-8", "surrogateescape"))

    def end(self) -> None:
        """The last chunk."""
        self._write(b"0\r\n\r\n")

    def _head(self, status: int, kind: str, headers: dict[str, str]) -> None:
        self._call.status = status
        handler = self._handler
        handler.send_response(status)
        if kind:
            handler.send_header("Content-Type", kind)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        if handler.headers.get("Connection", "").lower() == "close":
            handler.send_header("Connection", "close")
        handler.end_headers()

    def _chunk(self, data: bytes) -> None:
        self._write(b"%x\r\n%s\r\n" % (len(data), data))

    def _write(self, data: bytes) -> None:
        self._handler.wfile.write(data)
        self._handler.wfile.flush()


class ClientWatch:
    """Notices at once when the client goes away, also while nothing is written to it.

    Args:
        connection: to the client.
        call: gets the time when it went.
    """

    POLL = 0.03  # seconds

    def __init__(self, connection: socket.socket, call: Call) -> None:
        self._connection, self._call = connection, call
        self.gone = threading.Event()
        self._done = threading.Event()
        self._aborts: list[Callable[[], None]] = []
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "ClientWatch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def on_gone(self, abort: Callable[[], None]) -> None:
        """Call this when the client goes; at once if it has."""
        self._aborts.append(abort)
        if self.gone.is_set():
            abort()

    def left(self) -> None:
        """The client has gone."""
        if not self.gone.is_set():
            self._call.disconnected = time.time()
            self.gone.set()
            for abort in self._aborts:
                abort()

    def sleep(self, seconds: float) -> None:
        """Wait, but not for a client that has gone.

        Raises:
            ConnectionResetError: it has.
        """
        if self.gone.wait(seconds):
            raise ConnectionResetError

    def _watch(self) -> None:
        while not self._done.is_set():
            readable, _, _ = select.select([self._connection], [], [], self.POLL)
            if not readable:
                continue
            try:
                alive = self._connection.recv(1, socket.MSG_PEEK)
            except OSError:
                alive = b""
            if not alive:
                if not self._done.is_set():
                    self.left()
                return
            self._done.wait(self.POLL)  # it has sent its next request already
