"""Extra GPU workers: when they are started and stopped, what becomes of a bad command, and no orphans."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from app.extra_workers import (
    COMING_SECONDS,
    FIRST_PAUSE_SECONDS,
    LOOKS,
    STEADY_SECONDS,
    ExtraWorkers,
    ExtraWorkersNote,
    extra_workers_note,
)
from app.services.programs import default_programs
from tasks.ledger import Ledger
from tasks.lifeline import SUPERVISED
from tasks.settings import Settings
from tests.system import ROOT
from tests.test_alerts import queue_up
from tests.test_services import eventually, is_alive
from tests.test_webhook import Clock

WORK = (sys.executable, "-m", "tests.supervised", "work")
FAIL = (sys.executable, "-m", "tests.supervised", "fail")
DEAF = (sys.executable, "-m", "tests.supervised", "deaf")


class Rule:
    """Extra workers with a clock that is set by hand."""

    def __init__(self, settings: Settings) -> None:
        self.clock = Clock()
        self.extra = ExtraWorkers(settings, clock=self.clock)

    def look(self, depth: int, times: int = 1, seconds: float = 2.0) -> int:
        """Look so often, with so much time before each; returns how many run."""
        for _ in range(times):
            self.clock.now += seconds
            self.extra.look(depth)
        return len(self.extra.workers)

    def await_end(self) -> None:
        """Until each worker's command has ended, which nobody has noted yet."""
        eventually(lambda: all(worker.status() is not None for worker in self.extra.workers))


@pytest.fixture
def rule(settings: Settings) -> Iterator[Callable[..., Rule]]:
    made: list[Rule] = []

    def make(command: tuple[str, ...] = WORK, **changes: object) -> Rule:
        update = {"extra_worker_command": command, "extra_worker_depth": 10, **changes}
        made.append(Rule(settings.model_copy(update=update)))
        return made[-1]

    yield make
    for one in made:
        one.extra.stop()


def test_it_comes_after_a_few_looks_and_goes_when_the_queue_was_empty_long_enough(
    rule: Callable[..., Rule],
) -> None:
    under_test = rule(extra_worker_idle_seconds=100)
    assert under_test.look(11, LOOKS - 1) == 0
    assert under_test.look(10) == 0, "the looks must be in a row"
    assert under_test.look(11, LOOKS) == 1
    assert under_test.look(0, 50) == 1
    assert under_test.look(1) == 1, "a single unit is work"
    assert under_test.look(0, 51) == 1
    (worker,) = under_test.extra.workers
    assert worker.is_stopping
    under_test.await_end()
    assert under_test.look(0) == 0
    assert under_test.extra.problem == ""
    assert under_test.look(11, LOOKS) == 1


def test_a_further_one_comes_later_and_never_more_than_allowed(rule: Callable[..., Rule]) -> None:
    under_test = rule(extra_workers_max=2)
    assert under_test.look(99, LOOKS) == 1
    assert under_test.look(99, 1, COMING_SECONDS - 1) == 1
    assert under_test.look(99, LOOKS) == 2
    assert under_test.look(99, 10, COMING_SECONDS) == 2


def test_a_command_that_ends_is_tried_again_with_growing_pauses_and_its_last_words_are_kept(
    rule: Callable[..., Rule], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "shoebox.scaler")
    under_test = rule(FAIL)
    under_test.look(99, LOOKS - 1)
    for pause in (FIRST_PAUSE_SECONDS, 2 * FIRST_PAUSE_SECONDS, 4 * FIRST_PAUSE_SECONDS):
        assert under_test.look(99, 1) == 1
        under_test.await_end()
        assert under_test.look(99, LOOKS, 0) == 0
        assert under_test.look(99, 1, pause - 2.1) == 0
        under_test.clock.now += 0.1
    assert under_test.extra.problem == (
        "The command of the extra worker ended with status 1. Its last words: no GPU \\x1b[31mhere"
    )
    assert any("no GPU \\x1b[31mhere" in record.message for record in caplog.records)


def test_a_command_that_is_not_there_says_so(rule: Callable[..., Rule]) -> None:
    under_test = rule(("/nowhere/shoebox", "--password=tiger"))
    under_test.look(99, LOOKS)
    under_test.await_end()
    assert under_test.look(99) == 0
    assert "'/nowhere/shoebox' cannot be run: No such file or directory" in under_test.extra.problem
    assert "tiger" not in under_test.extra.problem


def test_what_ran_for_long_is_tried_again_soon(rule: Callable[..., Rule]) -> None:
    under_test = rule()
    under_test.extra._failures = 9
    under_test.look(99, LOOKS)
    under_test.look(99, 1, STEADY_SECONDS)
    (worker,) = under_test.extra.workers
    os.kill(worker._process.pid, signal.SIGKILL)
    under_test.await_end()
    assert under_test.look(99) == 0
    assert "was killed by signal 9" in under_test.extra.problem
    assert under_test.look(99, LOOKS, FIRST_PAUSE_SECONDS) == 1
    under_test.look(99, 1, STEADY_SECONDS)
    assert under_test.extra.problem == ""


def test_a_deaf_command_is_killed_when_the_services_stop(
    rule: Callable[..., Rule], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.extra_workers._STOP_SECONDS", 0.0)
    under_test = rule(DEAF)
    under_test.look(99, LOOKS)
    (worker,) = under_test.extra.workers
    eventually(lambda: "deaf" in worker._last)
    under_test.extra.stop()
    assert worker.status() == -signal.SIGKILL


def test_the_program_runs_only_where_there_is_a_command(settings: Settings) -> None:
    assert "scaler" not in {program.name for program in default_programs(settings)}
    wanted = settings.model_copy(update={"extra_worker_command": WORK})
    assert "scaler" in {program.name for program in default_programs(wanted)}


def test_the_program_starts_one_by_the_ledger_and_leaves_no_orphan_when_it_is_killed(
    settings: Settings, ledger: Ledger, tmp_path: Path
) -> None:
    queue_up(ledger, 11)
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        SUPERVISED: str(settings.data_dir),
        "SHOEBOX_DATA_DIR": str(settings.data_dir),
        "SHOEBOX_EXTRA_WORKER_COMMAND": '["sleep", "3600"]',
        "SHOEBOX_EXTRA_WORKER_DEPTH": "10",
        "SHOEBOX_TICK_SECONDS": "0.05",
    }
    with (tmp_path / "log").open("wb") as log:
        program = subprocess.Popen([sys.executable, "-m", "app", "_scaler"], env=environment, stdout=log)
    try:
        eventually(lambda: extra_workers_note(ledger) == ExtraWorkersNote(running=1))
        (worker,) = psutil.Process(program.pid).children()
        eventually(lambda: worker.cmdline() == ["sleep", "3600"])
    finally:
        program.kill()
        program.wait()
    eventually(lambda: not is_alive(worker))
