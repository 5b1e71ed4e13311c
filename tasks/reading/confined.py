"""Work in a process of its own that may die: with limits of time, memory and disk, and with nothing to lose.

A file can make a parser crash, allocate without end or never return, and the parsers are native code. So each
file is read in a copy of the worker's process (fork, 10 ms) that has nothing but that file to do: whatever
happens to it costs neither the worker nor any other unit. The limit of memory is the kernel's (RLIMIT_DATA):
what is too much is refused at once instead of pushing everything else on the machine out. Other systems than
Linux do not keep it.
"""

import faulthandler
import gc
import json
import logging
import os
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn

from tasks.errors import FileError, NotFoundError, ShoeboxError
from tasks.lifeline import PR_SET_PDEATHSIG
from tasks.reading.leftovers import scratch_folder
from tasks.settings import Settings

log = logging.getLogger("shoebox.reading")

_ABORTS = {signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGSEGV, signal.SIGTRAP}
# What Rust, C++ and glibc write before they end for want of memory.
_NO_MEMORY = (
    b"memory allocation of",
    b"bad_alloc",
    b"cannot allocate memory",
    b"out of memory",
    b"os { code: 11",
)
PATIENCE = 3
"""On a machine that has other things to do, work gets so many times its seconds, or until it had enough."""
_COMPUTED_SHARE = 0.5
"""It had enough if it computed for so much of its seconds."""
_LOOK_SECONDS = 1.0
_MUCH_SHARE = 0.5
"""A process that aborts with so much of its memory in use was refused more."""
_LAST_WORDS = 64 * 1024
"""Bytes of what a process wrote before it ended that are looked at: it may have written all the time."""
_ERRORS = {error.__name__: error for error in (FileError, NotFoundError, ShoeboxError)}
_RESULT, _ERROR, _MEMORY = b"R", b"E", b"M"


@dataclass(frozen=True, slots=True)
class Limits:
    """What the work may take."""

    seconds: float
    """Of time that passes, or `PATIENCE` times as many while it hardly gets to compute."""
    megabytes: int
    """Of memory, beyond what this process has; 0: no limit."""
    file_bytes: int
    """Of any file that it writes."""


class OutOfMemoryError(Exception):
    """The work needed more memory than it may have. It would again."""


class OutOfTimeError(Exception):
    """The work took too long."""


class CrashedError(Exception):
    """The process of the work died; says how."""


def confined(work: Callable[[], bytes], limits: Limits, settings: Settings) -> bytes:
    """What `work` gives, done in a process of its own.

    It has a copy of this process' memory, and must use neither its connections nor its threads.
    Temporary files that it leaves are removed.

    Raises:
        OutOfMemoryError, OutOfTimeError, CrashedError: it was stopped.
        ShoeboxError: as `work`. Anything else that it raises comes as a plain ShoeboxError.
    """
    with scratch_folder(settings) as folder, tempfile.TemporaryFile(dir=folder) as words:
        ended = _run(work, limits, folder, words)
        words.seek(max(0, words.seek(0, os.SEEK_END) - _LAST_WORDS))
        return ended.result(words.read().lower(), limits)


@dataclass(frozen=True, slots=True)
class _Ended:
    """How the child ended."""

    said: bytes
    in_time: bool
    status: int
    kilobytes: int
    """Of memory that it had at most, beyond what it had from its parent."""

    def result(self, words: bytes, limits: Limits) -> bytes:
        """What it found, or an exception that says why not. `words` are what it wrote, in lower case."""
        if not self.in_time:
            raise OutOfTimeError
        if self.status == 0 and self.said[:1] == _RESULT:
            return self.said[1:]
        if self.status == 0 and self.said[:1] == _ERROR:
            kind, message, remedy, trace = json.loads(self.said[1:])
            if trace:
                log.error("%s", trace)
            raise _ERRORS[kind](message, remedy)
        if self._lacked_memory(words, limits):
            raise OutOfMemoryError
        by = os.WTERMSIG(self.status) if os.WIFSIGNALED(self.status) else 0
        raise CrashedError(signal.Signals(by).name if by else "it ended")

    def _lacked_memory(self, words: bytes, limits: Limits) -> bool:
        """A library that is refused memory ends in its own way: with an exception, a word, or just so."""
        if self.said == _MEMORY or any(mark in words for mark in _NO_MEMORY):
            return True
        was_abort = os.WIFSIGNALED(self.status) and os.WTERMSIG(self.status) in _ABORTS
        return was_abort and 0 < _MUCH_SHARE * limits.megabytes * 1000 <= self.kilobytes


def _run(work: Callable[[], bytes], limits: Limits, folder: Path, words: IO[bytes]) -> _Ended:
    """Have the work done in a child, which has ended on return, whatever happens here."""
    reading, writing = os.pipe()
    inherited = _resident_kilobytes()
    with os.fdopen(reading, "rb", buffering=0) as answer:
        try:
            child = _fork(work, limits, folder, words, writing)
        finally:
            os.close(writing)
        in_time = False
        try:
            said, in_time = _listen(answer, child, limits.seconds)
        finally:
            if not in_time:
                os.kill(child, signal.SIGKILL)
            _, status, used = os.wait4(child, 0)
    return _Ended(said, in_time, status, used.ru_maxrss - inherited)


def _resident_kilobytes() -> int:
    """Of this process, which a child begins with and which count as its own."""
    import psutil  # type: ignore[import-untyped]

    return int(psutil.Process().memory_info().rss) // 1024


def _fork(work: Callable[[], bytes], limits: Limits, folder: Path, words: IO[bytes], answer: int) -> int:
    parent = os.getpid()
    with warnings.catch_warnings():
        # Python 3.12 warns where there are threads: the child takes none of their locks.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        _live(parent, work, limits, folder, words, answer)
    return child


def _live(
    parent: int, work: Callable[[], bytes], limits: Limits, folder: Path, words: IO[bytes], answer: int
) -> NoReturn:
    """The life of the child. It never returns to what the parent was doing."""
    try:
        _settle(parent, limits, folder, words.fileno(), answer)
        said = _done(work)
        view = memoryview(said)
        while view:
            view = view[os.write(answer, view) :]
        os._exit(0)
    finally:
        os._exit(1)


def _done(work: Callable[[], bytes]) -> bytes:
    try:
        return _RESULT + work()
    except ShoeboxError as error:
        kind = next(name for name in _ERRORS if isinstance(error, _ERRORS[name]))
        return _error(kind, error.message, error.remedy)
    except MemoryError:
        return _MEMORY
    except BaseException as error:  # a panic in Rust is no Exception
        text = f"{type(error).__name__}: {error}"
        if any(mark in text.lower().encode() for mark in _NO_MEMORY):
            return _MEMORY
        return _error(ShoeboxError.__name__, text[:300], "", traceback.format_exc())


def _error(kind: str, message: str, remedy: str, trace: str = "") -> bytes:
    return _ERROR + json.dumps([kind, message, remedy, trace]).encode()


def _settle(parent: int, limits: Limits, folder: Path, words: int, answer: int) -> None:
    """Make this process one that may die."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    faulthandler.disable()  # a crash is told by its signal
    gc.freeze()  # nothing that came from the parent is to be finalised here
    os.dup2(words, 1)
    os.dup2(words, 2)
    # The ledger, Redis and the worker's own pipes are nothing for a process that reads strangers' files.
    os.closerange(3, answer)
    os.closerange(answer + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    tempfile.tempdir = str(folder)
    for limit, value in (
        (resource.RLIMIT_CORE, 0),  # a dump would hold the document
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        # If nobody is left to count the seconds.
        (resource.RLIMIT_CPU, PATIENCE * int(limits.seconds) * (os.cpu_count() or 1) + 10),
    ):
        _lower(limit, value)
    if sys.platform == "linux":
        _settle_on_linux(parent, limits)


def _settle_on_linux(parent: int, limits: Limits) -> None:
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
    # If memory runs out all the same, this process goes first, not Redis or the language model.
    Path("/proc/self/oom_score_adj").write_text("1000")
    if limits.megabytes:
        pages = int(Path("/proc/self/statm").read_text().split()[5])
        _lower(resource.RLIMIT_DATA, pages * resource.getpagesize() + limits.megabytes * 1_000_000)


def _lower(limit: int, value: int) -> None:
    _, hard = resource.getrlimit(limit)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(limit, (value, value))


def _listen(answer: IO[bytes], child: int, seconds: float) -> tuple[bytes, bool]:
    """What the child says until it closes its end; False if it does not in time."""
    said: list[bytes] = []
    waiting = select.poll()
    waiting.register(answer, select.POLLIN)
    started = time.monotonic()
    while True:
        passed = time.monotonic() - started
        if passed >= seconds and _had_its_share(child, passed, seconds):
            return b"", False
        pause = seconds - passed if passed < seconds else min(_LOOK_SECONDS, seconds)
        if not waiting.poll(pause * 1000):
            continue
        if not (piece := answer.read(1 << 20)):
            return b"".join(said), True
        said.append(piece)


def _had_its_share(child: int, passed: float, seconds: float) -> bool:
    if passed >= PATIENCE * seconds:
        return True
    import psutil

    with suppress(psutil.NoSuchProcess):
        used = psutil.Process(child).cpu_times()
        return bool(used.user + used.system >= _COMPUTED_SHARE * seconds)
    return False
