"""Faults to order: what the next requests meet instead of, or beside, a good answer."""

import json
import re
import threading
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class FaultKind(StrEnum):
    """What goes wrong. Those marked * were recorded from a real server."""

    # The answer stops, with HTTP 200.
    REPEAT_ABORT = "repeat_abort"
    """* 31 equal tokens (`text`, if given), then the stream just ends; not streaming: `done: false`."""
    EMPTY_STREAM = "empty_stream"
    """* Not one line, as when the model makes invalid UTF-8."""
    STREAM_ENDS = "stream_ends"
    """`after` lines, then a clean end without `done: true`."""
    SERVER_KILLED = "server_killed"
    """* `after` lines, then the connection closes without the final chunk."""
    RUNNER_KILLED = "runner_killed"
    """* The llama.cpp process is killed; last line `{"error": "...unexpected EOF"}`; not streaming: 500."""
    HALF_LINE = "half_line"
    """`after` lines, then half a line and the connection closes."""

    # The answer is late.
    SILENCE = "silence"
    """Nothing for `seconds` once `after` lines are out; with 0 not even headers. Then it goes on."""
    SLOW = "slow"
    """`seconds` before each line."""
    HALF_SILENCE = "half_silence"
    """`after` lines, then half a line and nothing more until the client leaves."""
    HANG = "hang"
    """Nothing, not even headers, until the client leaves. On any path."""

    # The answer is an error.
    BUSY = "busy"
    """* 503."""
    MISSING = "missing"
    """* 404."""
    CLOUD = "cloud"
    """* 403."""
    INTERNAL = "internal"
    """500 with `text`."""
    BAD_SCHEMA = "bad_schema"
    """* 400, JSON inside the error string."""
    OVERFLOW = "overflow"
    """* 400 exceed_context_size_error, JSON inside the error string."""
    CLOSED = "closed"
    """The connection closes before a byte of the answer."""
    STATUS = "status"
    """HTTP `status` with `text` in place of an answer, as of a proxy; Retry-After is `seconds`, if any."""

    # The answer is wrong.
    REPLY = "reply"
    """The reply is exactly `text`, see `fill`."""
    WRONG_SCHEMA = "wrong_schema"
    """Valid JSON of another form."""
    INVALID_JSON = "invalid_json"
    """Prose where JSON was asked for, as when `format` was dropped."""
    LENGTH = "length"
    """* The reply is cut in its middle, `done_reason: "length"`."""
    IN_THINKING = "in_thinking"
    """The whole reply arrives in the field `thinking`, content stays empty."""
    DONE_REASON = "done_reason"
    """Nothing is generated, and the only line says `done: true` with `text` as the reason."""
    RAW = "raw"
    """`after` lines, then `text` as a line of its own, and a clean end."""
    NO_LINE_END = "no_line_end"
    """`after` lines, then one that goes on until the client leaves."""
    ENDLESS = "endless"
    """`text` again and again as pieces of the reply, whatever num_predict says, until the client leaves."""


@dataclass(frozen=True)
class Fault:
    """A fault for the next `times` requests that match all that is given."""

    kind: FaultKind
    times: int = 1
    """-1: until cleared."""
    path: str = ""
    """Of the request; empty: /api/chat, /api/generate and /v1/systemone; `*`: any."""
    model: str = ""
    contains: str = ""
    """A piece of the request's body as sent."""
    also: str = ""
    """Another such piece: what is asked, where `contains` is of which document."""
    after: int = 0
    """Lines that arrive before it happens."""
    seconds: float = 0.0
    text: str = ""
    status: int = 0

    def matches(self, path: str, model: str, body: str) -> bool:
        """Whether this fault is meant for such a request."""
        paths = (self.path,) if self.path else ("/api/chat", "/api/generate", "/v1/systemone")
        has_pieces = self.contains in body and self.also in body
        return (path in paths or self.path == "*") and self.model in ("", model) and has_pieces


class FaultBook:
    """The faults still to come. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[tuple[Fault, int]] = []

    def order(self, fault: Fault) -> None:
        """Add one behind those already ordered."""
        with self._lock:
            self._faults.append((fault, fault.times))

    def take(self, path: str, model: str, body: str) -> Fault | None:
        """The first fault that this request meets; it is used up by one."""
        with self._lock:
            for i, (fault, left) in enumerate(self._faults):
                if fault.matches(path, model, body):
                    self._faults[i] = (fault, left - 1)
                    if left == 1:
                        del self._faults[i]
                    return fault
        return None

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._faults.clear()

    def pending(self) -> list[dict[str, Any]]:
        """What has not happened yet."""
        with self._lock:
            return [asdict(fault) | {"times": left} for fault, left in self._faults]


def fault_from_json(values: dict[str, Any]) -> Fault:
    """The inverse of dataclasses.asdict."""
    return Fault(**{**values, "kind": FaultKind(values["kind"])})


def fill(text: str, prompt: str) -> str:
    """A scripted reply with each `<<REGEX>>` replaced by what it finds in the prompt.

    The first group if there is one, else the whole match, escaped for the inside of a JSON string; empty if
    nothing is found.
    """

    def found(place: re.Match[str]) -> str:
        match = re.search(place[1], prompt)
        if match is None:
            return ""
        return json.dumps(match[1] if match.groups() else match[0], ensure_ascii=False)[1:-1]

    return re.sub(r"<<(.+?)>>", found, text)
