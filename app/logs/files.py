"""The log files: which there are, reading them with what was put aside, following them while they grow."""

import heapq
import os
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import IO

from app.logs.entries import Entry, entries
from tasks.errors import NotFoundError
from tasks.settings import Settings

_MAX_LINE_BYTES = 64 * 1024
"""Of what native code prints; a longer line is cut, so that no file can fill the memory."""


def programs(settings: Settings) -> tuple[str, ...]:
    """The programs that have a log here, by name."""
    try:
        return tuple(sorted(file.stem for file in settings.log_dir.glob("*.log") if file.is_file()))
    except OSError:
        return ()


def chosen(settings: Settings, program: str | None) -> tuple[str, ...]:
    """The program of that name, or all.

    Raises:
        NotFoundError: there is no log of that name.
    """
    found = programs(settings)
    if program is None:
        return found
    if program not in found:
        names = ", ".join(found) or "none yet"
        raise NotFoundError(f"There is no log of {program!r} in {settings.log_dir}.", f"There are: {names}.")
    return (program,)


def files_of(settings: Settings, program: str) -> list[Path]:
    """A program's log, after what was put aside of it: oldest first."""
    log = settings.log_dir / f"{program}.log"
    aside = [path for path in settings.log_dir.glob(f"{program}.log.*") if path.suffix[1:].isdigit()]
    return [*sorted(aside, key=lambda path: -int(path.suffix[1:])), log]


def read_lines(path: Path, start: int = 0) -> Iterator[str]:
    """The whole lines of a file from a byte on; none if it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(start)
            yield from _lines(file)
    except OSError:
        return


def _lines(file: IO[bytes]) -> Iterator[str]:
    while line := file.readline(_MAX_LINE_BYTES):
        yield line.decode("utf-8", "backslashreplace").rstrip("\r\n")


def read_entries(settings: Settings, names: Sequence[str]) -> Iterator[Entry]:
    """The entries of these programs, by time, without holding more than a line of each."""
    return heapq.merge(*(_program_entries(settings, name) for name in names), key=lambda entry: entry.time)


def _program_entries(settings: Settings, program: str) -> Iterator[Entry]:
    """In the order of the file. Where processes overtook each other, the later line has the later time."""
    return entries(program, chain.from_iterable(map(read_lines, files_of(settings, program))))


class Following:
    """A log that grows. Goes on with the new file when the old one was put aside."""

    def __init__(self, settings: Settings, program: str, *, at_end: bool = True) -> None:
        self.program = program
        self._path = settings.log_dir / f"{program}.log"
        self._file: IO[bytes] | None = None
        self._rest = b""
        self._last = ""
        self._open(at_end=at_end)

    def new_entries(self) -> list[Entry]:
        """What was written since the last call."""
        found = self._read()
        if self._has_moved():
            found += self._read()  # what came between reading and looking
            self._open(at_end=False)
            found += self._read()
        return found

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self, *, at_end: bool) -> None:
        self.close()
        self._rest = b""
        try:
            self._file = self._path.open("rb")
        except OSError:
            return
        if at_end:
            self._file.seek(0, os.SEEK_END)

    def _has_moved(self) -> bool:
        if self._file is None:
            return self._path.exists()
        try:
            there = self._path.stat()
        except OSError:
            return False
        return not os.path.samestat(os.fstat(self._file.fileno()), there) or there.st_size < self._file.tell()

    def _read(self) -> list[Entry]:
        if self._file is None:
            return []
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        self._rest = self._rest[-_MAX_LINE_BYTES:]
        text = [line.decode("utf-8", "backslashreplace") for line in lines]
        found = list(entries(self.program, text, self._last))
        if found:
            self._last = found[-1].time
        return found
