"""A terminal of a test's own: a program on a pseudo-terminal, what it writes, and keys for it."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path


class Terminal:
    """Runs a program as a terminal does, and reads all that it writes."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        columns: int = 120,
        rows: int = 36,
        controls: bool = True,
    ) -> None:
        self.started = time.monotonic()
        self._parent, child = pty.openpty()
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        # A session of its own, with this terminal as the one that controls it, as a terminal emulator does.
        take_control = partial(fcntl.ioctl, child, termios.TIOCSCTTY, 0)
        self.process = subprocess.Popen(
            list(command),
            stdin=child,
            stdout=child,
            stderr=child,
            start_new_session=True,
            env={**environment, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
            preexec_fn=take_control if controls else None,  # noqa: PLW1509 - one call, no locks
            cwd=environment.get("HOME", str(Path.cwd())),
        )
        os.close(child)
        self.output = b""

    def read(self, seconds: float) -> bytes:
        """What the program writes next, within `seconds`. Empty at its end and if nothing comes."""
        if not select.select([self._parent], [], [], seconds)[0]:
            return b""
        try:
            piece = os.read(self._parent, 1 << 16)
        except OSError:  # Linux says EIO when the last writer has gone
            return b""
        self.output += piece
        return piece

    def read_until(self, condition: Callable[[bytes], bool], seconds: float = 30) -> float:
        """Read until the output so far fulfils the condition; returns how many seconds that took.

        Raises:
            AssertionError: it did not come.
        """
        began = time.monotonic()
        while not condition(self.output):
            if time.monotonic() - began > seconds:
                raise AssertionError(f"did not come in {seconds} s; the last output: {self.output[-2000:]!r}")
            self.read(0.1)
        return time.monotonic() - began

    def await_text(self, text: str, seconds: float = 30) -> float:
        """Read until this text has been written after the last `forget`."""
        return self.read_until(lambda output: text.encode() in output, seconds)

    def forget(self) -> None:
        """What was written so far counts no more."""
        self.output = b""

    def send(self, keys: str | bytes) -> None:
        """Type."""
        os.write(self._parent, keys.encode() if isinstance(keys, str) else keys)

    def hang_up(self) -> None:
        """Close the terminal, as by the cross on its window."""
        os.close(self._parent)
        self._parent = -1

    def await_end(self, seconds: float = 30) -> int:
        """Read until the program has ended; returns its exit status."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < deadline:
            if self._parent >= 0:
                self.read(0.05)
            else:
                try:
                    self.process.wait(0.05)
                except subprocess.TimeoutExpired:
                    continue
        if self.process.poll() is None:
            raise AssertionError(f"still runs after {seconds} s")
        return self.process.returncode

    def close(self) -> None:
        """Kill what is left."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self._parent >= 0:
            os.close(self._parent)
