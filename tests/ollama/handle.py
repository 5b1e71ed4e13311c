"""The double as a test holds it."""

import http.client
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from tests.ollama.faults import Fault, FaultKind
from tests.ollama.journal import Call, CallCount, Load, read_calls, read_loads
from tests.ollama.llama_server import ROOT
from tests.ollama.models import DEFAULT_MODELS, ModelSpec
from tests.ollama.tiny_model import shared_folder


class OllamaDouble:
    """A process that speaks Ollama's protocol, with real token counts and faults to order.

    Use it as a context manager, or call start and stop. It dies with the process that made it.

    Args:
        models: what it offers.
        port: 0 takes a free one, which it keeps over stop and start.
        folder: for its journal; a temporary one by default.
        version: as /api/version tells; before 0.35 there is no /v1/systemone.
        max_queue: requests that may wait for a model that loads.
        max_loaded: models in memory at a time; 0: any number.
    """

    def __init__(
        self,
        models: Iterable[ModelSpec] = DEFAULT_MODELS,
        *,
        port: int = 0,
        folder: Path | None = None,
        version: str = "0.40.4",
        max_queue: int = 512,
        max_loaded: int = 0,
    ) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="shoebox-ollama-") if folder is None else None
        self.folder = folder or Path(self._temporary.name if self._temporary else "")
        self._journal = self.folder / "journal.jsonl"
        self.port = port
        self.process: subprocess.Popen[bytes] | None = None
        self._born = 0  # calls before the last start; those that were cut off then never end
        self._config = {
            "models": [asdict(m) for m in models],
            "version": version,
            "max_queue": max_queue,
            "max_loaded": max_loaded,
        }

    @property
    def url(self) -> str:
        """Where it listens, or listened."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start it; again on the same port after stop or kill. The journal goes on."""
        self._born = max((call.id for call in self.calls()), default=0)
        config = self.folder / "config.json"
        config.write_text(json.dumps(self._config))
        command = [sys.executable, "-m", "tests.ollama.double", "--port", str(self.port)]
        command += ["--folder", str(self.folder), "--gguf", str(shared_folder()), "--config", str(config)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        url = self.process.stdout.readline().decode().strip()
        if not url:
            raise RuntimeError(f"the double ended with {self.process.wait()} at its start")
        self.port = urlsplit(url).port or 0

    def stop(self) -> None:
        """SIGTERM, and wait until it and its llama.cpp servers are gone: nothing listens there now."""
        self._end(lambda process: process.terminate())

    def kill(self) -> None:
        """SIGKILL, as a crash of the whole server. Its llama.cpp servers end by themselves."""
        self._end(lambda process: process.kill())

    def close(self) -> None:
        """Stop, and remove what it wrote if the folder was its own."""
        self.stop()
        if self._temporary:
            self._temporary.cleanup()

    def _end(self, how: Callable[[subprocess.Popen[bytes]], None]) -> None:
        if self.process is None:
            return
        how(self.process)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
        self.process = None

    def order(self, fault: Fault | FaultKind, **details: Any) -> None:
        """Order a fault: `order(FaultKind.BUSY, times=2, model="reader:8b")`."""
        wanted = fault if isinstance(fault, Fault) else Fault(fault, **details)
        self.control("POST", "faults", asdict(wanted))

    def clear(self) -> None:
        """Forget the faults that have not happened."""
        self.control("DELETE", "faults")

    def pending(self) -> list[dict[str, Any]]:
        """The faults that have not happened."""
        return list(self.control("GET", "faults"))

    def offer(self, models: Iterable[ModelSpec]) -> None:
        """Offer these models, and no others, from now on; also after a restart."""
        self._config["models"] = [asdict(m) for m in models]
        self.control("PUT", "models", self._config["models"])

    def let_pull(self, model: ModelSpec) -> None:
        """Let /api/pull find this model; any other is "no such host"."""
        self.control("POST", "pullable", asdict(model))

    def kill_runner(self, model: str) -> None:
        """SIGKILL the llama.cpp process of a model, given by its full name."""
        self.control("POST", "kill", {"model": model})

    def runners(self) -> list[dict[str, Any]]:
        """What is loaded: model, pid, num_ctx."""
        return list(self.control("GET", "runners"))

    def calls(self, path: str = "") -> list[Call]:
        """Every request so far, those of earlier starts included; of one path if given."""
        return [call for call in read_calls(self._journal) if path in ("", call.path)]

    def count(self, path: str) -> CallCount:
        """A count of the calls to a path, for who looks often."""
        return CallCount(self._journal, path)

    def settled(self, path: str = "") -> list[Call]:
        """The same once none is running: a client may read the end of an answer before it is noted here."""
        calls = self.wait_for(lambda calls: all(c.ended is not None for c in calls if c.id > self._born))
        return [call for call in calls if path in ("", call.path)]

    def loads(self, model: str = "") -> list[Load]:
        """Every load of a model so far."""
        return [load for load in read_loads(self._journal) if model in ("", load.model)]

    def wait_for(self, found: Callable[[list[Call]], bool], seconds: float = 10.0) -> list[Call]:
        """Wait until the calls satisfy a condition, and return them.

        Raises:
            TimeoutError: they did not within the time.
        """
        deadline = time.monotonic() + seconds
        while not found(calls := self.calls()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"not seen within {seconds} s; the calls were {calls}")
            time.sleep(0.01)
        return calls

    def control(self, method: str, what: str, body: Any = None) -> Any:
        """A request to a control endpoint, see double.py."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, f"/_double/{what}", None if body is None else json.dumps(body))
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()
