"""The terminal UI in a terminal that somebody looks at: all that it writes is read."""

import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tests.elsewhere import children_of
from tests.terminal import Terminal

_PASTE = "\x1b[200~{}\x1b[201~"


def process_state(pid: int) -> str:
    """The state letter of a process, as in proc(5); empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1]
    except (FileNotFoundError, ProcessLookupError):
        return ""


class Window:
    """Runs the UI, and reads from it in a thread until it is closed."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._terminal = Terminal(command, environment)
        try:
            self._terminal.await_text("Drop files", 60)
        except AssertionError:
            self._terminal.close()
            raise
        self._is_closing = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True, name="window")
        self._reader.start()

    def _read(self) -> None:
        while not self._is_closing.is_set():
            if not self._terminal.read(0.2) and self._terminal.process.poll() is not None:
                return
            self._terminal.output = self._terminal.output[-10_000:]

    @property
    def pid(self) -> int:
        """Of the UI."""
        return self._terminal.process.pid

    @property
    def is_open(self) -> bool:
        """Whether the UI runs."""
        return self._terminal.process.poll() is None

    @property
    def is_stopped(self) -> bool:
        """Whether it is stopped by a signal."""
        return process_state(self.pid) == "T"

    def clerk(self) -> int:
        """Its clerk's process; 0 if there is none just now."""
        for child in children_of(self.pid):
            try:
                if b"_clerk" in Path(f"/proc/{child}/cmdline").read_bytes():
                    return child
            except FileNotFoundError:
                continue
        return 0

    def drop(self, paths: Iterable[Path]) -> None:
        """Drop files on it."""
        self._terminal.send(_PASTE.format(" ".join(f"'{path}'" for path in paths)))

    def close(self) -> None:
        """End it."""
        self._is_closing.set()
        if self.is_open:
            self._terminal.process.kill()
        self._reader.join()
        self._terminal.close()
