"""The outermost layer: lets requests in or not, holds them to limits, and logs them without what they say."""

import asyncio
import logging
import time
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.access import Access
from app.api.problems import ApiError, Problems
from app.plain_text import shortened
from tasks.errors import ShoeboxError
from tasks.settings import Settings

log = logging.getLogger("shoebox.api")

MAX_BODY_BYTES = 8 * 1024 * 1024
"""Of a body that is not a file."""
FORM_BYTES = 1024 * 1024
"""What a form of files may have beside them."""
MAX_REQUESTS = 1_000
"""That are answered at the same time, streams of events included."""
SILENCE_SECONDS = 20.0
"""A client that sends nothing of its body for so long, or takes nothing of the reply for three times
as long, is given up."""
PATIENCE_SECONDS = 60.0
SLOWEST_BYTES = 1_000.0
"""A body may take this patience, and a second more for so many bytes."""
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}
_UPLOADS = frozenset({"/documents", "/batches"})


class TooLargeError(HTTPException):
    """A body has more bytes than it may."""


class TooSlowError(HTTPException):
    """A body does not come."""


class Gate:
    """ASGI middleware around the whole API."""

    def __init__(self, app: ASGIApp, settings: Settings, access: Access, problems: Problems) -> None:
        self._app = app
        self._settings = settings
        self._access = access
        self._problems = problems
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        begun, reply = time.monotonic(), _Reply(send)
        self._under_way += 1
        try:
            await self._handle(scope, receive, reply)
        finally:
            self._under_way -= 1
            milliseconds = (time.monotonic() - begun) * 1000
            is_look = scope["method"] == "GET" and reply.status in {200, 304}  # clients poll
            # Never the query: it holds what people look for.
            path = shortened(scope["path"], 120)
            level = logging.DEBUG if is_look else logging.INFO
            log.log(level, "%s %s %s %.0f ms", scope["method"], path, reply.status or "-", milliseconds)

    async def _handle(self, scope: Scope, receive: Receive, reply: "_Reply") -> None:
        headers = Headers(scope=scope)
        try:
            if self._under_way > MAX_REQUESTS:
                raise ApiError(503, "Too many requests at the same time.", "Try again.", {"Retry-After": "2"})
            client = scope.get("client") or ("", 0)
            scope["caller"] = self._access.admit(scope["method"], scope["path"], headers, client[0])
            body = _Body(receive, self._most(scope, headers))
            body.check_announced(headers.get("content-length"))
            await self._app(scope, body, reply)
        except ClientDisconnect:
            pass  # nobody is there to be answered
        except ShoeboxError as error:
            await self._answer(self._problems.of(error), scope, receive, reply)
        except Exception as error:
            await self._answer(self._problems.unexpected(error), scope, receive, reply)

    async def _answer(self, response: Any, scope: Scope, receive: Receive, reply: "_Reply") -> None:
        if reply.status is None:  # else half of another reply is out already
            await response(scope, receive, reply)

    def _most(self, scope: Scope, headers: Headers) -> int:
        """How large the body may be: one request carries as much as one file may have."""
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if scope["path"] in _UPLOADS and kind != "application/json":
            return self._settings.max_file_bytes + FORM_BYTES
        return MAX_BODY_BYTES


class _Body:
    """What the client sends, held to its limits."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive = receive
        self._most = most
        self._bytes = 0
        self._begun = time.monotonic()
        self._is_whole = False

    def check_announced(self, length: str | None) -> None:
        if length is not None and length.isdecimal() and int(length) > self._most:
            raise ApiError(413, *_too_large(self._most))

    async def __call__(self) -> Message:
        if self._is_whole:  # what comes now is that the client has gone
            return await self._receive()
        left = PATIENCE_SECONDS + self._bytes / SLOWEST_BYTES - (time.monotonic() - self._begun)
        try:
            async with asyncio.timeout(max(0.0, min(left, SILENCE_SECONDS))):
                message = await self._receive()
        except TimeoutError:
            raise TooSlowError(408, "The body of the request does not come") from None
        self._bytes += len(message.get("body", b""))
        self._is_whole = message["type"] != "http.request" or not message.get("more_body", False)
        if self._bytes > self._most:
            raise TooLargeError(413, " ".join(_too_large(self._most)).rstrip("."))
        return message


class _Reply:
    """What the client gets, with the headers that every reply has."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status: int | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "private, no-cache")
        # A client that does not read would keep what it was to be sent for ever.
        try:
            async with asyncio.timeout(SILENCE_SECONDS * 3):
                await self._send(message)
        except TimeoutError:
            raise ClientDisconnect from None


def _too_large(most: int) -> tuple[str, str]:
    return (
        f"The body of the request has more than {most / 1e6:,.1f} MB.",
        "Send several requests, or raise SHOEBOX_MAX_FILE_BYTES if it is one file and you mean it.",
    )
