"""The process: an HTTP server that speaks Ollama's protocol over real llama.cpp servers.

    python -m tests.ollama.double --port 0 --folder DIR [--config FILE]

prints its URL on the first line. SIGTERM, or the end of its standard input, ends it with its llama.cpp
servers. See OllamaDouble in handle.py for the Python side. The control endpoints, all JSON:

    GET, POST, DELETE /_double/faults     pending faults; order one or a list; forget all
    PUT  /_double/models                  these models from now on
    POST /_double/pullable                a model that /api/pull finds
    POST /_double/kill                    {"model": NAME}: SIGKILL of its llama.cpp process
    GET  /_double/runners                 [{"model", "pid", "num_ctx"}]
"""

import argparse
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.ollama import requests
from tests.ollama.answers import Answer, ClientWatch, CutError, RefusedError
from tests.ollama.chat import Chat
from tests.ollama.faults import FaultBook, fault_from_json
from tests.ollama.journal import Call, Journal
from tests.ollama.library import Library
from tests.ollama.llama_server import ServerGoneError, end_with_stdin
from tests.ollama.models import DEFAULT_MODELS, from_json
from tests.ollama.refusals import answer_instead, refuse_ordered
from tests.ollama.runners import CRASHED, RunnerPool
from tests.ollama.systemone import systemone

ROUTES = {
    "/": ("GET", "HEAD"),
    "/api/version": ("GET", "HEAD"),
    "/api/tags": ("GET", "HEAD"),
    "/api/status": ("GET",),
    "/api/ps": ("GET",),
    "/api/show": ("POST",),
    "/api/chat": ("POST",),
    "/api/generate": ("POST",),
    "/api/embed": ("POST",),
    "/api/pull": ("POST",),
    "/api/create": ("POST",),
    "/api/copy": ("POST",),
    "/api/delete": ("DELETE",),
    "/v1/systemone": ("POST",),
}
FIRST_TO_DECIDE = (0, 35)  # the version that brought /v1/systemone


class Double(ThreadingHTTPServer):
    """The server and all that its requests share."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, folder: Path, gguf: Path, config: dict[str, Any]) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.journal = Journal(folder / "journal.jsonl")
        self.pool = RunnerPool(
            gguf,
            self.journal,
            max_queue=config.get("max_queue", 512),
            max_loaded=config.get("max_loaded", 0),
        )
        models = [from_json(values) for values in config["models"]] if "models" in config else DEFAULT_MODELS
        self.library = Library(models, self.pool)
        self.faults = FaultBook()
        self.version = str(config.get("version", "0.40.4"))

    @property
    def decides(self) -> bool:
        """Whether this version has /v1/systemone."""
        return tuple(int(part) for part in self.version.split(".")[:2]) >= FIRST_TO_DECIDE

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no error of the server."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # a token goes out when it is there
    server: Double

    def do_GET(self) -> None:
        """Any method."""
        path = urlsplit(self.path).path
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if path.startswith("/_double/"):
            self._control(path, json.loads(data) if data else None)
            return
        call = self.server.journal.begin(self.command, path)
        call.body = data.decode("utf-8", "surrogateescape")
        answer = Answer(self, call, begun=self.server.journal.note)
        with ClientWatch(self.connection, call) as watch:
            try:
                self._answer(path, data, answer, call, watch)
            except (CutError, ConnectionError):
                self._cut()
            finally:
                call.ended = call.ended or time.time()
                self.server.journal.note(call)

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 -- the names that http.server calls

    def log_message(self, format: str, *args: Any) -> None:
        """The journal has it."""

    def version_string(self) -> str:
        """Ollama does not name itself."""
        return ""

    def send_header(self, keyword: str, value: str) -> None:
        """No Server header."""
        if keyword != "Server":
            super().send_header(keyword, value)

    def _cut(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _answer(self, path: str, data: bytes, answer: Answer, call: Call, watch: ClientWatch) -> None:
        origin = self.headers.get("Origin", "")
        if origin and urlsplit(origin).hostname not in ("localhost", "127.0.0.1"):
            answer.plain(403)
            return
        if path not in ROUTES or (path == "/v1/systemone" and not self.server.decides):
            answer.plain(404, b"404 page not found", "text/plain")
            return
        if self.command not in ROUTES[path]:
            answer.plain(405, b"405 method not allowed", "text/plain", Allow=ROUTES[path][0])
            return
        streamed = True
        try:
            body = requests.parse(data) if self.command in ("POST", "DELETE") else {}
            streamed = body.get("stream") is not False
            call.model = str(body.get("model") or "")
            self.server.journal.note(call)  # so that a request in flight can be seen
            self._route(path, body, answer, call, watch)
        except RefusedError as refused:
            answer.refuse(refused, streamed=streamed)
        except ServerGoneError:
            answer.refuse(RefusedError(500, CRASHED), streamed=streamed)

    def _route(self, path: str, body: dict[str, Any], answer: Answer, call: Call, watch: ClientWatch) -> None:
        fault = self.server.faults.take(path, call.model, call.body)
        call.fault = str(fault.kind) if fault else None
        refuse_ordered(fault, call.model)
        if fault:
            answer_instead(fault, answer, watch)
        library = self.server.library
        if path in ("/api/chat", "/api/generate"):
            Chat(library, answer, call, watch, fault, body).run(generate_api=path == "/api/generate")
            return
        answers: dict[str, Callable[[], None]] = {
            "/": lambda: answer.plain(200, b"Ollama is running", "text/plain; charset=utf-8"),
            "/api/version": lambda: answer.json({"version": self.server.version}),
            "/api/status": lambda: answer.json({"cloud": {"disabled": True, "source": "env"}}),
            "/api/tags": lambda: library.tags(answer),
            "/api/ps": lambda: library.ps(answer),
            "/api/show": lambda: library.show(answer, body),
            "/api/embed": lambda: library.embed(answer, body, call),
            "/api/pull": lambda: library.pull(answer, body),
            "/api/create": lambda: library.create(answer, body),
            "/api/copy": lambda: library.copy(answer, body),
            "/api/delete": lambda: library.delete(answer, body),
            "/v1/systemone": lambda: systemone(library, answer, call, body),
        }
        answers[path]()

    def _control(self, path: str, body: Any) -> None:
        double, answer = self.server, Answer(self, Call(0, self.command, path))
        match self.command, path:
            case "GET", "/_double/faults":
                answer.json(double.faults.pending())
                return
            case "POST", "/_double/faults":
                for values in body if isinstance(body, list) else [body]:
                    double.faults.order(fault_from_json(values))
            case "DELETE", "/_double/faults":
                double.faults.clear()
            case "PUT", "/_double/models":
                double.library.replace([from_json(values) for values in body])
            case "POST", "/_double/pullable":
                double.library.offer(from_json(body))
            case "POST", "/_double/kill":
                double.pool.kill(body["model"])
            case "GET", "/_double/runners":
                loaded = double.pool.loaded()
                answer.json(
                    [
                        {"model": r.spec.full_name, "pid": r.server.process.pid, "num_ctx": r.num_ctx}
                        for r in loaded
                    ]
                )
                return
            case _:
                answer.plain(404)
                return
        answer.json({})


def main() -> None:
    """Serve until told to end."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--folder", type=Path, required=True, help="for the journal")
    parser.add_argument("--gguf", type=Path, help="folder of the model files; the same by default")
    parser.add_argument("--config", type=Path, help="JSON: models, version, max_queue, max_loaded")
    arguments = parser.parse_args()
    config = json.loads(arguments.config.read_text()) if arguments.config else {}
    double = Double(arguments.port, arguments.folder, arguments.gguf or arguments.folder, config)
    done = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: done.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=double.serve_forever, daemon=True).start()
    threading.Thread(target=end_with_stdin, args=(done,), daemon=True).start()
    print(f"http://127.0.0.1:{double.server_port}", flush=True)
    done.wait()
    double.server_close()
    double.pool.close()
    sys.stdout.flush()
    os._exit(0)  # requests that still run are cut off, as those of a server that is stopped


if __name__ == "__main__":
    main()
