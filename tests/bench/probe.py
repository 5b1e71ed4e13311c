"""When each unit was published, started, ended and recorded, as Redis saw it: one clock, nothing patched.

`MONITOR` makes Redis copy every command to a file, from which a unit's traces (`tasks.exchange`) are read.
"""

import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tasks.exchange import Holder

_COMMAND = re.compile(rb'^\+?(\d+\.\d+) \[[^\]]*\] "(\w+)" "((?:[^"\\]|\\.)*)"(.*)$')
_UNIT_KEY = re.compile(rb"shoebox:([^:]+):(\d+):(lease|outcome|done|payload)$")
_TASK_ID = re.compile(rb'\\"id\\": \\"([^".\\]+)\.(\d+)\.(\d+)\\"')
_FIRST_ARGUMENT = re.compile(rb'"((?:[^"\\]|\\.)*)"')


@dataclass
class UnitTimes:
    """One unit, in seconds since the epoch; 0: was not seen. Of one that was issued again, the last issue."""

    unit: int
    published: float = 0.0
    started: float = 0.0
    ended: float = 0.0
    recorded: float = 0.0
    queue: str = ""
    worker_pid: int = 0
    """Of the worker's main process."""
    pid: int = 0
    """Of the process that ran it."""

    @property
    def seconds(self) -> float:
        """From start to end."""
        return self.ended - self.started

    @property
    def is_whole(self) -> bool:
        """Whether everything was seen."""
        return bool(self.published and self.started and self.ended and self.recorded)


class Probe:
    """Listens for the time of the block; then `times` tells."""

    def __init__(self, url: str, file: Path) -> None:
        self._url = url
        self._file = file
        self._thread = threading.Thread(target=self._copy, daemon=True)

    def __enter__(self) -> Self:
        from redis.connection import parse_url

        where = parse_url(self._url)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(where["path"])
        login = f"AUTH {where['password']}\r\n" if where.get("password") else ""
        self._socket.sendall(f"{login}MONITOR\r\n".encode())
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _copy(self) -> None:
        with self._file.open("wb", buffering=0) as out:
            while piece := self._socket.recv(1 << 20):
                out.write(piece)

    def times(self) -> dict[int, UnitTimes]:
        """What was seen of each unit so far."""
        seen: dict[int, UnitTimes] = {}
        for at, command, key, rest in self._commands():
            if command == b"LPUSH":
                _note_message(seen, at, key, rest)
            elif found := _UNIT_KEY.match(key):
                _note_trace(
                    seen.setdefault(int(found[2]), UnitTimes(int(found[2]))), at, command, found[3], rest
                )
        return seen

    def commands(self, since: float) -> int:
        """How many commands Redis was given from a moment on."""
        return sum(at >= since for at, *_ in self._commands())

    def _commands(self) -> Iterator[tuple[float, bytes, bytes, bytes]]:
        with self._file.open("rb") as lines:
            for line in lines:
                if found := _COMMAND.match(line.rstrip()):
                    yield float(found[1]), found[2].upper(), found[3], found[4]


def _note_message(seen: dict[int, UnitTimes], at: float, key: bytes, rest: bytes) -> None:
    """A message of Celery; only those that hand a unit to who runs it have such an id."""
    if found := _TASK_ID.search(rest):
        times = seen.setdefault(int(found[2]), UnitTimes(int(found[2])))
        times.published, times.queue = at, key.decode("ascii", "replace").partition("\\x06")[0]


def _note_trace(times: UnitTimes, at: float, command: bytes, what: bytes, rest: bytes) -> None:
    if command != b"SET":
        return
    if what == b"lease" and b'"NX"' in rest.upper():
        token = _FIRST_ARGUMENT.search(rest)
        if token and (holder := Holder.parse(token[1].decode("ascii", "replace"))):
            times.started, times.worker_pid, times.pid = at, holder.worker_pid, holder.pid
    elif what == b"outcome":
        times.ended = at
    elif what == b"done":
        times.recorded = at
