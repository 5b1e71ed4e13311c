"""The process that serves the UI to browsers: its routes, how many may be open, and its orderly end."""

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress

from aiohttp import WSCloseCode, WSMsgType, web
from aiohttp.typedefs import Handler

from app.disposition import disposition
from app.web.access import Access
from app.web.page import TYPES, asset, headers, notice, page
from app.web.session import UI, BrokenDeliveryError, Session
from tasks.settings import Settings

log = logging.getLogger("shoebox.web")

MOST_PAGES = 8
"""Open at a time. Each is a process of its own, of about 120 MB with its clerk."""
_HEARTBEAT_SECONDS = 15.0
"""Between pings. A page that answers none for half as long is gone, though nobody closed it."""
_MOST_MESSAGE_BYTES = 8 * 1024 * 1024
_STOP_SECONDS = 15.0


class WebView:
    """Serves one home's UI."""

    def __init__(
        self,
        settings: Settings,
        access: Access,
        on_admitted: Callable[[], None],
        command: Sequence[str] = UI,
    ) -> None:
        self._settings = settings
        self._access = access
        self._on_admitted = on_admitted
        self._command = command
        self._pages: set[web.WebSocketResponse] = set()
        self._sessions: list[Session] = []

    def application(self) -> web.Application:
        """What aiohttp serves."""
        place = self._access.place
        application = web.Application(middlewares=[self._guard], client_max_size=1024)
        application.add_routes(
            [
                web.get("/", self._admit, allow_head=False),
                web.get(place, self._page),
                web.get(f"{place}ws", self._socket, allow_head=False),
                web.get(f"{place}download/{{key}}", self._download, allow_head=False),
                web.get(f"{place}{{name}}", self._asset),
            ]
        )
        application.on_shutdown.append(self._close_all)
        return application

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let nothing be answered that was not let in, and nothing without the headers."""
        said = headers(self._access.name_of(request))
        try:
            self._access.check(request)
            answer = await handler(request)
        except web.HTTPException as refusal:
            refusal.headers.update(said)
            raise
        if not answer.prepared:
            answer.headers.update(said)
        return answer

    async def _admit(self, request: web.Request) -> web.Response:
        answer = self._access.admit(request)
        self._on_admitted()
        return answer

    async def _page(self, request: web.Request) -> web.Response:
        if len(self._pages) >= MOST_PAGES:
            raise _too_many()
        return web.Response(text=page(request.headers["Host"], self._access.place), content_type="text/html")

    async def _asset(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        text = asset(name)
        if text is None:
            raise notice(web.HTTPNotFound, "There is no such thing.", "Open the link that was printed.")
        return web.Response(text=text, content_type=TYPES[name[name.rindex(".") :]])

    async def _download(self, request: web.Request) -> web.StreamResponse:
        """Deliver a file that somebody has asked for in a UI. Never shown by the browser, only saved."""
        key = request.match_info["key"]
        session = next((one for one in self._sessions if key in one.files), None)
        if session is None:
            raise notice(web.HTTPNotFound, "Nobody has asked for that file.", "Ask for it again in the UI.")
        answer = web.StreamResponse(
            headers={
                **headers(self._access.name_of(request)),
                "Content-Type": "application/octet-stream",
                "Content-Disposition": disposition(session.files[key]),
            }
        )
        pieces = session.deliver(key)
        try:
            await answer.prepare(request)
            async for piece in pieces:
                await answer.write(piece)
        except BrokenDeliveryError:
            if request.transport is not None:  # without an end the browser knows that it has not all
                request.transport.abort()
        finally:
            await pieces.aclose()
        return answer

    # Pages

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        if len(self._pages) >= MOST_PAGES:
            raise _too_many()
        websocket = web.WebSocketResponse(heartbeat=_HEARTBEAT_SECONDS, max_msg_size=_MOST_MESSAGE_BYTES)
        self._pages.add(websocket)
        try:
            await websocket.prepare(request)
            width, height = _number(request, "width", 80), _number(request, "height", 24)
            session = await Session.begin(self._settings, websocket, width, height, self._command)
            self._sessions.append(session)
            try:
                await self._serve_page(websocket, session)
            finally:
                await asyncio.shield(self._end(session))
        except (OSError, TimeoutError) as error:
            log.error("A page was closed: %s", str(error) or "its UI does not read any more.")
        finally:
            self._pages.discard(websocket)
        with suppress(ConnectionError):
            await websocket.close()
        return websocket

    async def _serve_page(self, websocket: web.WebSocketResponse, session: Session) -> None:
        showing = asyncio.create_task(_show_and_close(websocket, session))
        try:
            async for message in websocket:
                if message.type is WSMsgType.TEXT and (answer := await session.take(message.data)):
                    await websocket.send_str(answer)
        except ConnectionError:
            pass  # it has just been closed
        finally:
            showing.cancel()
            with suppress(asyncio.CancelledError):
                await showing

    async def _end(self, session: Session) -> None:
        await session.end()
        self._sessions.remove(session)

    async def _close_all(self, _: web.Application) -> None:
        """The server ends: so does every page, and every UI."""
        closing = [websocket.close(code=WSCloseCode.GOING_AWAY) for websocket in self._pages]
        await asyncio.gather(*closing, return_exceptions=True)


async def _show_and_close(websocket: web.WebSocketResponse, session: Session) -> None:
    await session.show()
    await websocket.close()


def _too_many() -> web.HTTPException:
    return notice(
        web.HTTPServiceUnavailable, f"{MOST_PAGES} views are open, which is the most.", "Close one of them."
    )


def _number(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else default


def serve(settings: Settings, listener: socket.socket, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT, which ends every UI in order.

    `announce` is given the link that opens the next browser, at first and whenever one was used.
    """
    host, port = listener.getsockname()[:2]
    access = Access(host, port)
    view = WebView(settings, access, lambda: announce(access.link))
    announce(access.link)
    logging.getLogger("aiohttp.server").setLevel(logging.ERROR)
    web.run_app(
        view.application(),
        sock=listener,
        print=None,
        access_log=None,  # it would hold the tokens of links
        shutdown_timeout=_STOP_SECONDS,
    )
