"""The process that serves Flower."""

import logging
import secrets
import signal
import socket
from base64 import b64encode
from typing import Any

from flower import views  # type: ignore[import-untyped]
from flower.app import Flower  # type: ignore[import-untyped]
from flower.options import options  # type: ignore[import-untyped]
from flower.urls import settings as page_settings  # type: ignore[import-untyped]
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.web import RequestHandler

from app.flower.gate import USER, Denial, Gate
from app.flower.queues import Queues
from tasks.queues import get_app
from tasks.settings import Settings

_MOST_TASKS = 10_000
"""Kept in memory: the latest ones."""
_MOST_BODY_BYTES = 64 * 1024
_COLUMNS = "name,uuid,state,kwargs,received,started,runtime,worker"


class GuardedFlower(Flower):  # type: ignore[misc] # Flower has no types
    """Flower behind a gate."""

    def __init__(self, gate: Gate, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._gate = gate
        # Flower trusts what has passed the gate by a password that only this process knows.
        inside = f"{USER}:{secrets.token_urlsafe(32)}"
        options.basic_auth = [inside]
        self._pass = f"Basic {b64encode(inside.encode()).decode()}"

    def find_handler(self, request: HTTPServerRequest, **named: Any) -> Any:
        """Where a request goes."""
        method, client = request.method or "", request.remote_ip or ""
        denial = self._gate.denial(method, request.path, request.headers, client)
        if denial:
            return self.get_handler_delegate(request, _Denying, {"denial": denial})
        request.headers["Authorization"] = self._pass
        return super().find_handler(request, **named)


class _Denying(RequestHandler):
    def initialize(self, denial: Denial) -> None:
        self._refusal = denial

    def check_xsrf_cookie(self) -> None:
        """Whatever it was, it is refused."""

    def prepare(self) -> None:
        self.set_status(self._refusal.status)
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        if self._refusal.status == 401:
            self.set_header("WWW-Authenticate", 'Basic realm="shoebox", charset="UTF-8"')
        self.finish(self._refusal.words + "\n")


def serve(settings: Settings, listener: socket.socket, gate: Gate) -> None:
    """Serve until SIGTERM or SIGINT.

    Flower's own command is not used: it would take options from the environment and run a file of Python that
    lies in the working folder.

    Raises:
        ServiceError: no address of a Redis is known.
    """
    options.read_only = True
    options.persistent = False
    options.enable_events = False  # workers see by themselves that somebody listens
    options.max_tasks = _MOST_TASKS
    options.tasks_columns = _COLUMNS
    queues = Queues(settings)
    views.Broker = lambda *_, **__: queues
    flower = GuardedFlower(gate, capp=get_app(), options=options, **page_settings)
    server = HTTPServer(flower, max_body_size=_MOST_BODY_BYTES, xheaders=False)
    listener.setblocking(False)
    server.add_sockets([listener])
    loop = flower.io_loop
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: loop.add_callback_from_signal(flower.stop))
    logging.getLogger("tornado.access").setLevel(logging.CRITICAL)
    flower.start()
    server.stop()
