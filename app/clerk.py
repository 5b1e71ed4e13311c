"""The clerk: carries out what the terminal UI asks for, in a process of its own.

Requests come as lines on standard input, answers go as lines to standard output (`app.requests`). When the
input ends the clerk finishes what it was asked and ends; that nobody reads the answers changes nothing.
"""

import logging
import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Protocol

from app.requests import (
    AddFiles,
    ApplyPlan,
    AskQuestion,
    Export,
    MakePlan,
    MakeQueryVector,
    Note,
    Reply,
    Request,
    StartServices,
    StopAdding,
    UndoPlan,
    WatchFolder,
    answer_line,
    clerk_log,
    parse_request,
)
from tasks import logs
from tasks.errors import ShoeboxError
from tasks.settings import Settings

log = logging.getLogger("shoebox.clerk")

_LANES: dict[type[Request], str] = {
    AddFiles: "adding",
    StartServices: "services",
    WatchFolder: "services",
    Export: "exporting",
    AskQuestion: "asking",
    MakeQueryVector: "searching",
    MakePlan: "tidying",
    ApplyPlan: "tidying",
    UndoPlan: "tidying",
}
"""What takes long has a thread of its own, so that what a person decides never waits for it."""
_DECISIONS = "decisions"


class Answers:
    """The way back to the UI. Safe to use from several threads; quiet once nobody listens."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()
        self._is_heard = True

    def send(self, answer: Note | Reply) -> None:
        """Send an answer. A note is left out where it would have to wait for a UI that is held up."""
        line = answer_line(answer).encode("ascii")
        with self._lock:
            if not self._is_heard or (isinstance(answer, Note) and not self._has_room()):
                return
            try:
                while line:
                    line = line[os.write(self._pipe, line) :]
            except OSError:
                self._is_heard = False

    def _has_room(self) -> bool:
        # A pipe that is ready takes at least 4,096 bytes (PIPE_BUF) at once: more than a note.
        return bool(select.select([], [self._pipe], [], 0)[1])


class Job:
    """A request under way: what it needs to know of the world around it."""

    def __init__(self, number: int, request: Request, answers: Answers) -> None:
        self.number = number
        self.request = request
        self.stopped = threading.Event()
        """Do no more than the present file or document."""
        self._answers = answers

    def note(self, done: int) -> None:
        """Tell how far it has come."""
        self._answers.send(Note(self.number, done))

    def reply(self, reply: Reply) -> None:
        """Tell how it ended."""
        self._answers.send(reply)


class Work(Protocol):
    """Carries out a request. May raise anything."""

    def __call__(self, settings: Settings, job: Job) -> Reply: ...


class Clerk:
    """Hands requests to their lanes, and looks after stopping."""

    def __init__(self, settings: Settings, answers: Answers, work: Work) -> None:
        self._settings = settings
        self._answers = answers
        self._work = work
        self._is_ending = threading.Event()
        self._jobs: list[Job] = []
        self._queues: dict[str, SimpleQueue[Job | None]] = {
            lane: SimpleQueue() for lane in {*_LANES.values(), _DECISIONS}
        }
        self._threads = [
            threading.Thread(target=self._serve, args=(queue,), name=lane)
            for lane, queue in self._queues.items()
        ]

    def start(self) -> None:
        """Begin to serve."""
        for thread in self._threads:
            thread.start()

    def take(self, line: bytes) -> None:
        """Take a request. Returns at once."""
        try:
            number, request = parse_request(line.decode("ascii"))
        except (ValueError, KeyError, TypeError):
            log.exception("not a request: %d bytes", len(line))
            return
        job = Job(number, request, self._answers)
        if isinstance(request, StopAdding):
            job.reply(self._stop_adding(number))
            return
        self._jobs.append(job)
        self._queues[_LANES.get(type(request), _DECISIONS)].put(job)

    def _stop_adding(self, number: int) -> Reply:
        adding = [job for job in self._jobs if isinstance(job.request, AddFiles)]
        for job in adding:
            job.stopped.set()
        return Reply(number, ok=True, message="Adding stops." if adding else "Nothing is being added.")

    def finish(self) -> None:
        """No more requests come: let every lane end after its last."""
        for queue in self._queues.values():
            queue.put(None)

    def end(self) -> None:
        """End after the present file or document."""
        self._is_ending.set()
        for job in list(self._jobs):
            job.stopped.set()
        self.finish()

    def join(self) -> None:
        """Wait until all lanes have ended."""
        for thread in self._threads:
            thread.join()

    def _serve(self, queue: "SimpleQueue[Job | None]") -> None:
        while (job := queue.get()) is not None:
            if self._is_ending.is_set():
                job.reply(Reply(job.number, ok=False, message="Nothing was done: the clerk was told to end."))
            else:
                job.reply(self._carried_out(job))
            self._jobs.remove(job)

    def _carried_out(self, job: Job) -> Reply:
        """The reply, whatever happens: a lane must never die."""
        try:
            return self._work(self._settings, job)
        except ShoeboxError as error:
            return Reply(job.number, ok=False, message=error.message, remedy=error.remedy)
        except Exception as error:
            log.exception("%s failed", type(job.request).__name__)
            text = f"{type(error).__name__}: {error}"[:300]
            return Reply(
                job.number,
                ok=False,
                message=f"Something unexpected happened ({text}).",
                remedy=f"More about it is in {clerk_log(self._settings)}.",
            )


def serve(settings: Settings) -> None:
    """Be the clerk, until standard input ends and everything is done, or until SIGTERM."""
    from app.clerk_work import carry_out

    logs.configure("clerk", settings, file=clerk_log(settings))
    requests, answers = _take_pipes()
    clerk = Clerk(settings, Answers(answers), carry_out)
    # Handlers, because what is ignored would stay ignored in the services that are started from here.
    for nothing in (signal.SIGHUP, signal.SIGINT):
        signal.signal(nothing, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: clerk.end())
    clerk.start()
    # In a thread that may be left in the middle of a read, because SIGTERM ends only what is decided here.
    threading.Thread(target=_listen, args=(requests, clerk), name="listening", daemon=True).start()
    clerk.join()


def _listen(pipe: int, clerk: Clerk) -> None:
    for line in _lines(pipe):
        clerk.take(line)
    clerk.finish()


def _lines(pipe: int) -> Iterator[bytes]:
    """Whole lines as they come; half a line at the end is none, because its sender died over it."""
    rest = b""
    while chunk := os.read(pipe, 1 << 16):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines


def _take_pipes() -> tuple[int, int]:
    """The two pipes to the UI, out of the reach of everything else that reads or prints here."""
    requests, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    sys.stdout.flush()
    os.dup2(2, 1)
    return requests, answers
