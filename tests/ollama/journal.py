"""What a double was asked: one entry a request, kept in a file so that it survives any kill."""

import json
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Call:
    """One request as the server saw it. Times are seconds since the epoch; None: has not happened."""

    id: int
    method: str
    path: str
    body: str = ""
    """As received, decoded as UTF-8 with surrogateescape, so that the bytes can be had back."""
    model: str = ""
    started: float = field(default_factory=time.time)
    status: int | None = None
    """HTTP status sent; None if the connection ended before one was."""
    first_line: float | None = None
    ended: float | None = None
    lines: int = 0
    """Lines of a stream that went out."""
    done_reason: str | None = None
    fault: str | None = None
    disconnected: float | None = None
    """When the client was seen to have gone early."""
    generation_stopped: float | None = None
    """When llama.cpp had stopped working for a client that had gone."""
    tokens_computed: int | None = None
    """Prompt tokens that llama.cpp evaluated for this request."""
    tokens_cached: int | None = None
    """Prompt tokens that it had in its cache."""
    tokens_generated: int | None = None
    num_ctx: int | None = None
    """Context length in force."""
    loaded: bool = False
    """This request made the model load."""
    images: list[str] = field(default_factory=list)
    """SHA-256 of each image that a model which takes images was given, in order."""

    @property
    def raw(self) -> bytes:
        """The body's bytes."""
        return self.body.encode("utf-8", "surrogateescape")

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Load:
    """A model was loaded."""

    model: str
    num_ctx: int
    at: float
    pid: int
    """Of its llama.cpp process."""


class Journal:
    """Writes calls and loads to a file, each time one changes."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._count = max((call.id for call in read_calls(path)), default=0)  # of an earlier process
        self._file = path.open("a", encoding="ascii")

    def begin(self, method: str, path: str) -> Call:
        """A new call."""
        with self._lock:
            self._count += 1
            call = Call(self._count, method, path)
        self.note(call)
        return call

    def note(self, call: Call) -> None:
        """Keep the call as it now is."""
        self._write({"call": asdict(call)})

    def loaded(self, load: Load) -> None:
        """Keep a load."""
        self._write({"load": asdict(load)})

    def _write(self, entry: dict[str, Any]) -> None:
        line = json.dumps(entry)
        with self._lock:
            self._file.write(line + "\n")
            self._file.flush()


def read_calls(path: Path) -> list[Call]:
    """The calls of a journal in the order in which they began, each in its latest state."""
    latest = {entry["call"]["id"]: entry["call"] for entry in _entries(path) if "call" in entry}
    return [Call(**values) for values in latest.values()]


def read_loads(path: Path) -> list[Load]:
    """The loads of a journal, oldest first."""
    return [Load(**entry["load"]) for entry in _entries(path) if "load" in entry]


def _entries(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    lines = path.read_text(encoding="ascii").split("\n")
    return [json.loads(line) for line in lines[:-1]]  # what follows the last newline is still being written


class CallCount:
    """How many calls there were so far. Reads only what is new, so that looking disturbs nobody."""

    def __init__(self, path: Path, called: str) -> None:
        self._file = path.open("r", encoding="ascii")
        self._called = called
        self._ids: set[int] = set()
        self._rest = ""

    def look(self) -> int:
        """Calls to the path that have begun."""
        *lines, self._rest = (self._rest + self._file.read()).split("\n")
        for entry in map(json.loads, lines):
            if entry.get("call", {}).get("path") == self._called:
                self._ids.add(entry["call"]["id"])
        return len(self._ids)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
