"""A process of its own that may die: its limits, what becomes of them, and that nothing is left of it."""

import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.errors import FileError, NotFoundError, ShoeboxError
from tasks.reading.confined import (
    CrashedError,
    Limits,
    OutOfMemoryError,
    OutOfTimeError,
    confined,
)
from tasks.settings import Settings
from tests.system import ROOT

LIMITS = Limits(seconds=30, megabytes=300, file_bytes=1_000_000)


def _run(settings: Settings, work: Callable[[], bytes], limits: Limits = LIMITS) -> bytes:
    return confined(work, limits, settings)


def _raise(error: BaseException) -> bytes:
    raise error


def _spin() -> bytes:
    while True:
        pass


def _sleep() -> bytes:
    time.sleep(3600)
    return b""


def _abort_with_a_word() -> bytes:
    os.write(2, b"memory allocation of 5000000000 bytes failed\n")
    os.abort()


def _grow() -> bytes:
    grown = []
    while True:
        grown.append(bytes(10_000_000))


def _write_endlessly() -> bytes:
    with tempfile.TemporaryFile() as file:
        for _ in range(100):
            file.write(bytes(100_000))
    return b""


def test_what_was_found_comes_back_whole(settings: Settings) -> None:
    assert _run(settings, lambda: b"found " * 3_000_000) == b"found " * 3_000_000
    assert _run(settings, lambda: b"") == b""


def test_the_work_does_not_touch_this_process(settings: Settings) -> None:
    changed = [os.getpid()]
    inside = int(_run(settings, lambda: changed.append(0) or str(os.getpid()).encode()))
    assert inside != os.getpid()
    assert changed == [os.getpid()]
    assert resource.getrlimit(resource.RLIMIT_DATA)[0] == resource.RLIM_INFINITY


def test_what_this_process_has_open_is_closed_there(settings: Settings, tmp_path: Path) -> None:
    with (tmp_path / "ledger").open("wb") as ledger:

        def look() -> bytes:
            try:
                os.fstat(ledger.fileno())
            except OSError:
                return b"closed"
            return b"open"

        assert _run(settings, look) == b"closed"
        assert look() == b"open"


@pytest.mark.parametrize("work", [_grow, lambda: bytes(10**11), _abort_with_a_word])
def test_more_memory_than_allowed_is_refused(settings: Settings, work: Callable[[], bytes]) -> None:
    with pytest.raises(OutOfMemoryError):
        _run(settings, work)


def test_no_limit_of_memory_is_none(settings: Settings) -> None:
    limits = Limits(seconds=30, megabytes=0, file_bytes=0)
    assert _run(settings, lambda: bytes(400_000_000)[:1], limits) == b"\0"


@pytest.mark.parametrize("work", [_spin, _sleep])
def test_what_never_returns_is_stopped(settings: Settings, work: Callable[[], bytes]) -> None:
    with pytest.raises(OutOfTimeError):
        _run(settings, work, Limits(seconds=0.3, megabytes=300, file_bytes=0))


def test_work_that_hardly_gets_to_compute_gets_more_time(settings: Settings) -> None:
    # It waits for half of its seconds longer than it has, as on a machine that is busy with others.
    def work() -> bytes:
        time.sleep(1.5)
        return b"done"

    assert _run(settings, work, Limits(seconds=1, megabytes=300, file_bytes=0)) == b"done"


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGBUS])
def test_a_crash_is_told_by_its_signal(settings: Settings, number: signal.Signals) -> None:
    with pytest.raises(CrashedError, match=number.name):
        _run(settings, lambda: os.kill(os.getpid(), number) or b"")


def test_an_end_without_an_answer_is_a_crash(settings: Settings) -> None:
    with pytest.raises(CrashedError):
        _run(settings, lambda: os._exit(0))


def test_errors_come_back_as_they_are(settings: Settings) -> None:
    with pytest.raises(FileError) as damaged:
        _run(settings, lambda: _raise(FileError("“a.pdf” is damaged.", "Get it again.")))
    assert (damaged.value.message, damaged.value.remedy) == ("“a.pdf” is damaged.", "Get it again.")
    with pytest.raises(NotFoundError):
        _run(settings, lambda: _raise(NotFoundError("gone")))


def test_an_error_of_ours_is_told_and_logged(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ShoeboxError, match="KeyError: 'page'"):
        _run(settings, lambda: _raise(KeyError("page")))
    assert "Traceback" in caplog.text


def test_temporary_files_are_limited_and_removed(settings: Settings) -> None:
    def leave_a_file() -> bytes:
        left = Path(tempfile.mkdtemp()) / "attachment"
        left.write_text("private")
        return str(left).encode()

    left = Path(_run(settings, leave_a_file).decode())
    assert left.is_relative_to(settings.spool_dir)
    assert list(settings.spool_dir.iterdir()) == []
    with pytest.raises(ShoeboxError, match="File too large"):
        _run(settings, _write_endlessly)
    assert list(settings.spool_dir.iterdir()) == []


def test_files_of_a_process_that_was_killed_go_with_the_next(settings: Settings) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left = settings.spool_dir / f"reading-{ended.pid}-x"
    other = settings.spool_dir / f"reading-{os.getpid()}-x"
    left.mkdir(parents=True)
    other.mkdir()
    (left / "attachment").write_text("private")
    _run(settings, lambda: b"")
    assert list(settings.spool_dir.iterdir()) == [other]


_ORPHAN = """
import os, sys, time
from pathlib import Path
from tasks.reading.confined import Limits, confined
from tasks.settings import Settings

def work():
    print(os.getpid(), file=open(sys.argv[1], "w"), flush=True)
    time.sleep(3600)

confined(work, Limits(3600, 300, 1000000), Settings(data_dir=Path(sys.argv[2])))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_it_ends_with_the_worker_that_is_killed(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    worker = subprocess.Popen([sys.executable, "-c", _ORPHAN, told, tmp_path / "data"], cwd=ROOT)
    deadline = time.monotonic() + 60
    while not (told.exists() and told.read_text().endswith("\n")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    child = int(told.read_text())
    worker.kill()
    worker.wait()
    while _is_running(child):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
