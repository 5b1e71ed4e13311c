"""Workers without a home: a process for each, restarted when it dies, and all stopped together."""

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import FrameType

from app.joining import say
from app.worker_identity import Identity
from app.worker_plan import PlannedWorker
from tasks.lifeline import SUPERVISED

_LOOK_SECONDS = 0.2
_SHORTEST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0
_STEADY_SECONDS = 60.0
"""A worker that has lived for so long begins with the shortest pause again when it dies."""


def serve_all(
    planned: Sequence[PlannedWorker], identity: Identity, drain_seconds: float | None = None
) -> int:
    """Run these workers until SIGTERM, SIGINT or SIGHUP, then let each finish its units.

    A second SIGTERM or SIGINT has the units given back, and so has `drain_seconds` after the first; a third
    kills. Returns the exit status: 0.
    """
    stop = _Stop()
    crew = [_Member(worker.name(identity.id), worker, identity.lock) for worker in planned]
    while not stop.urgency:
        for member in crew:
            member.keep_up()
        time.sleep(_LOOK_SECONDS)
    asked = 0
    patience = time.monotonic() + (math.inf if drain_seconds is None else drain_seconds)
    while any(member.is_running for member in crew):
        if stop.urgency > asked:
            asked += 1
            say(_STOPPING[asked])
            for member in crew:
                member.stop(asked)
        if time.monotonic() >= patience:
            stop.hurry()
        time.sleep(_LOOK_SECONDS)
    return 0


_STOPPING = {
    1: "stopping. The units in hand are finished first; stop again to give them back.",
    2: "giving the units in hand back.",
    3: "killing the workers. Home notices, and issues their units again.",
}
_SIGNALS = {1: signal.SIGTERM, 2: signal.SIGQUIT, 3: signal.SIGKILL}


class _Stop:
    """What the signals have asked for so far."""

    def __init__(self) -> None:
        self.urgency = 0
        """1: to stop, 2: to hurry, 3: to kill."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._more)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
            signal.signal(signal.SIGHUP, self._stop)

    def hurry(self) -> None:
        """As a second signal does; one that kills is never undone."""
        self.urgency = max(2, self.urgency)

    def _more(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a signal handler's form
        self.urgency = min(3, self.urgency + 1)

    def _stop(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """A terminal that is closed may say so more than once, and never means hurry."""
        self.urgency = max(1, self.urgency)


@dataclass
class _Member:
    """A worker and the process that it runs in."""

    name: str
    planned: PlannedWorker
    lock: int
    process: subprocess.Popen[bytes] | None = None
    started_at: float = field(default=0.0)
    start_at: float = 0.0
    """Not before this, by the monotonic clock."""
    pause: float = _SHORTEST_PAUSE_SECONDS

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def keep_up(self) -> None:
        """Start the process, or start it again once its pause is over."""
        if self.is_running:
            return
        now = time.monotonic()
        if self.process is not None:
            if now - self.started_at > _STEADY_SECONDS:
                self.pause = _SHORTEST_PAUSE_SECONDS
            status = _words(self.process.returncode)
            say(f"the worker {self.name} {status}; it is started again in {self.pause:.0f} s.")
            self.process = None
            self.start_at = now + self.pause
            self.pause = min(_LONGEST_PAUSE_SECONDS, 2 * self.pause)
        if now >= self.start_at:
            self._start()

    def _start(self) -> None:
        self.started_at = time.monotonic()
        command = [sys.executable, "-m", "app", "worker", "--queues", self.planned.queue, "--name", self.name]
        # SUPERVISED: it ends when this process is killed. A session of its own, so that Ctrl-C in the
        # terminal reaches only us, and each worker is told once.
        self.process = subprocess.Popen(
            command,
            env={**os.environ, **self.planned.environment, SUPERVISED: "headless"},
            start_new_session=True,
            pass_fds=(self.lock,),
        )

    def stop(self, urgency: int) -> None:
        """Ask the process to end: in good time, at once, or not at all."""
        if self.process is None or not self.is_running:
            return
        if urgency < 3:
            self.process.send_signal(_SIGNALS[urgency])
        else:
            os.killpg(self.process.pid, _SIGNALS[urgency])


def _words(status: int) -> str:
    return f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
