"""HTTP to a model server that can be left at any moment.

A blocking HTTP client offers one time-out for every read and no way to be interrupted in it. Here the socket
is read in short slices (httpcore takes a network backend for such purposes), and between two slices the
`Watch` of the call says whether to go on. That covers the wait for the first byte as well, needs no second
thread, and closing the connection is what tells the server to stop.

Imports httpx: import this module inside the functions that use it.
"""

import socket
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import httpcore
import httpx

from tasks.engines.llm.addresses import is_public
from tasks.engines.llm.base import LlmError, LlmErrorKind, ShouldStop
from tasks.engines.llm.failures import Failures
from tasks.engines.llm.lines import whole_lines

SLICE_SECONDS = 0.25
CONNECT_SECONDS = 5.0
SEND_SECONDS = 30.0
ERROR_BYTES = 64 * 1024
ERROR_SECONDS = 5.0
"""How long the text of an error may take: its status says enough."""
LONGEST_RETRY_SECONDS = 3600

_DEAD = (httpcore.RemoteProtocolError, httpcore.ReadError, httpcore.WriteError)
_BROKEN = (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError)

StatusError = Callable[[str, int, str], LlmError]
"""Makes an error from path, HTTP status and text of a response that is not 2xx."""


class Watch:
    """Decides, while a reply is awaited, whether to go on waiting.

    Args:
        first_seconds: how long the first piece may take; loading the model and reading the prompt count.
        silence_seconds: how long nothing at all may come after that. What only keeps the connection alive is
            something, but a piece has to come within the longer of both.
    """

    def __init__(
        self, failures: Failures, first_seconds: float, silence_seconds: float, should_stop: ShouldStop
    ) -> None:
        self.heard = False
        """Whether any byte of the answer has come."""
        self._failures = failures
        self._limit = first_seconds
        self._silence_seconds = silence_seconds
        self._piece_seconds = max(first_seconds, silence_seconds)
        self._should_stop = should_stop
        self._begun = False
        self._since = self._piece_at = time.monotonic()

    def check(self) -> None:
        """Raises LlmError: CANCELLED if nobody wants the reply, UNAVAILABLE if it takes too long."""
        if self._should_stop():
            raise self._failures.cancelled()
        now = time.monotonic()
        if now - self._since > self._limit:
            raise self._failures.silent(self._limit, begun=self._begun)
        if now - self._piece_at > self._piece_seconds:
            raise self._failures.silent(self._piece_seconds, begun=self._begun)

    def hurry(self, seconds: float) -> None:
        """From now on all that is left may take so long."""
        self._begun = False
        self._limit = seconds
        self._since = time.monotonic()

    def received(self) -> None:
        """Some bytes came: perhaps a header, or a comment that only keeps the connection alive."""
        self.heard = True
        if self._begun:
            self._since = time.monotonic()

    def piece(self) -> None:
        """A piece of the reply came: from now on silence is what counts."""
        self._begun = True
        self._limit = self._silence_seconds
        self._since = self._piece_at = time.monotonic()


class WatchedTransport(httpx.BaseTransport):
    """Carries requests to one server, without proxies, and speaks LlmError.

    One request at a time. A request that finds its connection dead (servers close idle ones, llama.cpp even
    those that it promised to keep) is sent once more if no byte of an answer had come. Nothing is taken
    compressed: a few bytes could become any number.

    Args:
        status_error: is asked for the error of every answer that is not 2xx.
        allow_public: without it, nothing is sent to an address in the open internet.
    """

    def __init__(self, failures: Failures, status_error: StatusError, *, allow_public: bool) -> None:
        self._failures = failures
        self._status_error = status_error
        self._watch = Watch(failures, CONNECT_SECONDS, CONNECT_SECONDS, lambda: False)
        backend = _Backend(self, failures, allow_public)
        self._pool = httpcore.ConnectionPool(max_keepalive_connections=1, network_backend=backend)

    @property
    def watch(self) -> Watch:
        """The watch of the call in progress."""
        return self._watch

    def begin(
        self, first_seconds: float, silence_seconds: float, should_stop: ShouldStop = lambda: False
    ) -> Watch:
        """Set the limits of the next call."""
        self._watch = Watch(self._failures, first_seconds, silence_seconds, should_stop)
        return self._watch

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return when its headers are there.

        Raises:
            LlmError: there is no answer, or one that is not 2xx.
        """
        sent = httpcore.Request(
            request.method,
            httpcore.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=[*_without(request.headers.raw, b"accept-encoding"), (b"Accept-Encoding", b"identity")],
            content=request.read(),
        )
        try:
            answer = self._send(sent)
        except httpcore.ConnectTimeout:
            raise self._failures.away(f"no connection within {CONNECT_SECONDS:g} s") from None
        except httpcore.ConnectError as error:
            raise self._failures.away(_reason(error)) from error
        except _BROKEN as error:
            raise self._failures.hung_up(_reason(error)) from error
        is_success = 200 <= answer.status < 300
        if is_success and _is_page(answer.headers):
            answer.close()
            raise self._failures.away(f"there is a web page in place of {request.url.path}")
        body = _Body(answer.iter_stream(), answer.close, self._failures, in_lines=is_success)
        headers = _without(answer.headers, b"content-encoding")
        response = httpx.Response(answer.status, headers=headers, stream=body)
        if is_success:
            return response
        self._watch.hurry(ERROR_SECONDS)
        try:
            problem = self._status_error(request.url.path, response.status_code, _text(response))
        finally:
            response.close()
        if problem.kind is LlmErrorKind.UNAVAILABLE:
            problem.retry_seconds = _retry_seconds(response.headers.get("retry-after", ""))
        raise problem

    def close(self) -> None:
        """Close the connection."""
        self._pool.close()

    def _send(self, request: httpcore.Request) -> httpcore.Response:
        try:
            return self._pool.handle_request(request)
        except _DEAD:
            if self._watch.heard:
                raise
            return self._pool.handle_request(request)


class _Body(httpx.SyncByteStream):
    """The rest of an answer, as it comes; `in_lines`: bounded, and in whole lines."""

    def __init__(
        self, stream: Iterator[bytes], close: Callable[[], None], failures: Failures, *, in_lines: bool
    ) -> None:
        self._stream = whole_lines(stream, failures.no_answer) if in_lines else stream
        self._close = close
        self._failures = failures

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._stream
        except _BROKEN as error:
            raise self._failures.broken_off(_reason(error)) from error

    def close(self) -> None:
        self._close()


class _Backend(httpcore.NetworkBackend):
    """Opens sockets that are read under the transport's watch."""

    def __init__(self, transport: WatchedTransport, failures: Failures, allow_public: bool) -> None:
        self._transport = transport
        self._failures = failures
        self._allow_public = allow_public
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        self._transport.watch.check()
        for address in self._addresses(host, port):
            try:
                stream = self._sockets.connect_tcp(
                    address, port, CONNECT_SECONDS, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                problem: Exception = error
                continue
            return _Stream(stream, self._transport)
        raise problem

    def _addresses(self, host: str, port: int) -> list[str]:
        """The addresses of a host that may be connected to, at least one.

        They are looked at before a connection is made, not after, and it is they that are connected to: a
        name that is looked up again may lead elsewhere.
        """
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        except UnicodeError as error:  # a name that can be none, such as one with a label of 64 characters
            raise httpcore.ConnectError(f"{host!r} is no name of a machine") from error
        addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
        near = [address for address in addresses if self._allow_public or not is_public(address)]
        if not near:
            raise self._failures.refused(
                f"its address {addresses[0]} is in the open internet, and nothing was sent there",
                "Use a server in your own network, or allow remote models in the settings.",
            )
        return near


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, transport: WatchedTransport) -> None:
        self._stream = stream
        self._transport = transport

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        watch = self._transport.watch
        while True:
            watch.check()
            try:
                received = self._stream.read(max_bytes, SLICE_SECONDS)
            except httpcore.ReadTimeout:
                continue
            if received:
                watch.received()
            return received

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        self._stream.write(buffer, SEND_SECONDS)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: Any,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        secured = self._stream.start_tls(ssl_context, server_hostname, CONNECT_SECONDS)
        return _Stream(secured, self._transport)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _text(response: httpx.Response) -> str:
    """The beginning of an error's text, as far as it can be read."""
    text = b""
    try:
        for chunk in response.iter_bytes():
            text += chunk
            if len(text) > ERROR_BYTES:
                break
    except (LlmError, httpx.HTTPError):
        pass  # the status says enough
    return text[:ERROR_BYTES].decode(errors="replace")


def _without(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[tuple[bytes, bytes]]:
    return [(key, value) for key, value in headers if key.lower() != name]


def _is_page(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    return any(key.lower() == b"content-type" and b"text/html" in value.lower() for key, value in headers)


def _retry_seconds(header: str) -> int:
    """How long the server wants to be left alone; 0 if it does not say, or says it as a date."""
    is_number = header.isascii() and header.isdigit() and len(header) < 10
    return min(int(header), LONGEST_RETRY_SECONDS) if is_number else 0


def _reason(error: Exception) -> str:
    return str(error).rstrip(".") or type(error).__name__
