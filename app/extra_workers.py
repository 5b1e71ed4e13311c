"""Further GPU workers, started by the user's own command while the gpu queue is long. A program of its own.

The command is an argument list and never goes through a shell; nothing that a document or a model says gets
into it. It must stay in the foreground: its end is the worker's end.
"""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from app.plain_text import visible
from app.private_files import users_umask
from tasks import logs
from tasks.documents import Value
from tasks.ledger import Ledger
from tasks.logs.lines import message, parse
from tasks.planning import GPU_QUEUE
from tasks.settings import Settings
from tasks.throughput import Depth, depths

log = logging.getLogger("shoebox.scaler")

_NOTE = "extra workers"
LOOKS = 3
"""How often in a row the queue must be too long before a worker is started."""
COMING_SECONDS = 60.0
"""A worker may take so long from its start to its first unit; no further one is started before."""
STEADY_SECONDS = 60.0
"""A command that ran for so long was right; what ended it may have passed."""
FIRST_PAUSE_SECONDS = 5.0
LAST_PAUSE_SECONDS = 600.0
_LAST_LINES = 5
_LINE_BYTES = 2000
_STOP_SECONDS = 8.0
"""From SIGTERM to SIGKILL when the services stop; less than the supervisor gives this program."""
_READ_SECONDS = 1.0


class ExtraWorkersNote(Value):
    """How the extra workers are, as a note in the ledger for `status`."""

    running: int = 0
    problem: str = ""
    """Why the command does not keep running, with its last words; untrusted."""


def extra_workers_note(ledger: Ledger) -> ExtraWorkersNote:
    """How the extra workers were when their program looked last."""
    note = ledger.meta(_NOTE)
    return ExtraWorkersNote.model_validate_json(note) if note else ExtraWorkersNote()


class ExtraWorker:
    """A running command. What it prints goes into the log, line by line."""

    def __init__(self, command: tuple[str, ...]) -> None:
        # Through `tasks.lifeline`, so that it is told to end when this program is killed.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tasks.lifeline", str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            umask=users_umask(),
        )
        # Arguments may hold a password: only the program is named.
        self.name = f"{visible(Path(command[0]).name)} ({self._process.pid})"
        self.is_stopping = False
        self._last: deque[str] = deque(maxlen=_LAST_LINES)
        self._reading = threading.Thread(target=self._follow, daemon=True)
        self._reading.start()

    def _follow(self) -> None:
        if self._process.stdout is None:  # it is a pipe
            return
        with self._process.stdout as output:
            while line := output.readline(_LINE_BYTES):
                said = line.decode(errors="replace").rstrip()
                fields = parse(said)  # of a worker of ours
                self._last.append(visible(message(fields) if fields else said))
                log.info("%s: %s", self.name, self._last[-1])

    def status(self) -> int | None:
        """With which status it ended, negative for a signal; None while it runs."""
        return self._process.poll()

    def last_words(self) -> str:
        """The last lines that it printed; what it started may keep its output open after its end."""
        self._reading.join(_READ_SECONDS)
        return " | ".join(self._last)

    def stop(self) -> None:
        """Tell it to finish what it has in hand and to end."""
        if not self.is_stopping:
            log.info("%s: told to end.", self.name)
            self.is_stopping = True
            self._process.terminate()

    def end(self, seconds: float) -> None:
        """Wait for its end; kill it if that takes longer."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            log.warning("%s: did not end in time and is killed.", self.name)
            self._process.kill()
            self._process.wait()
        self._reading.join(_READ_SECONDS)


class ExtraWorkers:
    """The rule: when to start one, when to stop them, when to try again."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self.settings = settings
        self.workers: dict[ExtraWorker, float] = {}
        """Those that run, with the time of their start."""
        self.problem = ""
        self._clock = clock
        self._too_long = 0
        """How often in a row the queue was too long."""
        self._empty_since: float | None = None
        self._failures = 0
        self._next_start = float("-inf")

    @property
    def limit(self) -> int:
        """A queue with more units than this needs help."""
        return self.settings.extra_worker_depth or self.settings.alert_depth or 1000

    @property
    def note(self) -> ExtraWorkersNote:
        """How things stand."""
        return ExtraWorkersNote(running=len(self.workers), problem=self.problem)

    def look(self, depth: int) -> None:
        """Do what the number of units that have not ended calls for. To be called every few seconds."""
        now = self._clock()
        self._look_after(now)
        self._too_long = self._too_long + 1 if depth > self.limit else 0
        if depth:
            self._empty_since = None
        elif self._empty_since is None:
            self._empty_since = now
        elif now - self._empty_since >= self.settings.extra_worker_idle_seconds:
            for worker in self.workers:
                worker.stop()
        has_room = len(self.workers) < self.settings.extra_workers_max
        if has_room and self._too_long >= LOOKS and now >= self._next_start:
            self._start_one(depth, now)

    def stop(self) -> None:
        """Let all end, in the time that the supervisor gives."""
        deadline = self._clock() + _STOP_SECONDS
        for worker in self.workers:
            worker.stop()
        for worker in self.workers:
            worker.end(max(0.0, deadline - self._clock()))
        self.workers.clear()

    def _start_one(self, depth: int, now: float) -> None:
        worker = ExtraWorker(self.settings.extra_worker_command)
        log.info("The gpu queue has %d units to do: %s is started.", depth, worker.name)
        self.workers[worker] = now
        self._next_start = now + COMING_SECONDS
        self._too_long = 0

    def _look_after(self, now: float) -> None:
        for worker, since in list(self.workers.items()):
            status = worker.status()
            if status is not None:
                del self.workers[worker]
                self._ended(worker, status, now, lasted=now - since)
            elif now - since >= STEADY_SECONDS:
                self.problem, self._failures = "", 0

    def _ended(self, worker: ExtraWorker, status: int, now: float, lasted: float) -> None:
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        if worker.is_stopping:
            log.info("%s %s.", worker.name, how)
            self.problem, self._failures, self._next_start = "", 0, now
            return
        self._failures = 1 if lasted >= STEADY_SECONDS else self._failures + 1
        # Also after status 0: a command that puts a worker into the background would start many of them.
        pause = min(LAST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(self._failures - 1, 30))
        self._next_start = now + pause
        words = worker.last_words() or "(none)"
        self.problem = f"The command of the extra worker {how}. Its last words: {words}"
        log.warning("%s %s by itself; tried again in %.0f s at the earliest.", worker.name, how, pause)


def serve(settings: Settings) -> None:
    """Look after the extra workers until SIGTERM or SIGINT, then let them end.

    Raises:
        ServiceError: the ledger cannot be opened.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    logs.configure("scaler", settings)
    extra = ExtraWorkers(settings)
    with Ledger.open(settings) as ledger:
        try:
            while True:
                _note(ledger, extra.note)
                if stop.wait(settings.tick_seconds):
                    return
                extra.look(depths(ledger).get(GPU_QUEUE, Depth()).total)
        finally:
            extra.stop()
            _note(ledger, extra.note)


def _note(ledger: Ledger, note: ExtraWorkersNote) -> None:
    if note != extra_workers_note(ledger):
        ledger.set_meta(_NOTE, note.model_dump_json())
