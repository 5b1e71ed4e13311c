"""Keeping the workers of `./run.sh worker` up, and what its signals ask for."""

import signal
from collections.abc import Iterator

import pytest

from app import headless
from app.worker_identity import Identity
from app.worker_plan import plan_workers
from tasks.gpu import Gpu

CARDS = [Gpu(index=n, name="L4", memory_total=1, memory_used=0, uuid=f"GPU-{n}") for n in (0, 1)]


class Process:
    """A worker process that ends when it is told, by the status that a test wants."""

    def __init__(self, command: list[str], env: dict[str, str], **options: object) -> None:
        self.name = command[command.index("--name") + 1]
        self.env = env
        self.options = options
        self.pid = 1
        self.returncode: int | None = None
        self.signals: list[int] = []

    def poll(self) -> int | None:
        return self.returncode

    def send_signal(self, number: int) -> None:
        self.signals.append(number)
        if number == signal.SIGQUIT:
            self.returncode = 0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in its only item."""
    now = [1000.0]
    monkeypatch.setattr(headless.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Process]:
    """The processes that were started, in order."""
    processes: list[Process] = []

    def start(command: list[str], **options: object) -> Process:
        processes.append(Process(command, **options))  # type: ignore[arg-type]
        return processes[-1]

    monkeypatch.setattr(headless.subprocess, "Popen", start)
    return processes


@pytest.fixture(autouse=True)
def _own_handlers() -> Iterator[None]:
    """Handlers of signals are put back."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    kept = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def test_a_worker_that_dies_is_started_again_after_longer_and_longer_pauses(
    clock: list[float], started: list[Process], capsys: pytest.CaptureFixture[str]
) -> None:
    (planned,) = plan_workers(["cpu"])
    member = headless._Member("cpu-1", planned, lock=9)
    pauses = []
    for _ in range(8):
        member.keep_up()
        count = len(started)
        started[-1].returncode = -9
        member.keep_up()
        died_at = clock[0]
        while len(started) == count:
            clock[0] += 1
            member.keep_up()
        pauses.append(clock[0] - died_at)

    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    assert "cpu-1 was killed by signal 9; it is started again in 1 s" in capsys.readouterr().err
    clock[0] += 61
    started[-1].returncode = 6
    member.keep_up()
    assert "ended with status 6; it is started again in 1 s" in capsys.readouterr().err


def test_each_is_told_once_and_hurried_by_the_second_signal(
    monkeypatch: pytest.MonkeyPatch, started: list[Process], capsys: pytest.CaptureFixture[str]
) -> None:
    signals = [signal.SIGTERM, signal.SIGHUP, signal.SIGHUP, None, signal.SIGINT]
    pauses = 0

    def pause(seconds: float) -> None:
        nonlocal pauses
        pauses += 1
        if pauses > 2 and signals and (number := signals.pop(0)):
            signal.raise_signal(number)

    monkeypatch.setattr(headless.time, "sleep", pause)

    assert headless.serve_all(plan_workers(["gpu"], CARDS), Identity("3f9a1c07", 9)) == 0

    assert [one.name for one in started] == ["gpu-3f9a1c07-0", "gpu-3f9a1c07-1"]
    assert [one.env["CUDA_VISIBLE_DEVICES"] for one in started] == ["GPU-0", "GPU-1"]
    assert all(one.options == {"start_new_session": True, "pass_fds": (9,)} for one in started)
    assert [one.signals for one in started] == [[signal.SIGTERM, signal.SIGQUIT]] * 2
    assert [line.partition(".")[0] for line in capsys.readouterr().err.splitlines()] == [
        "shoebox: stopping",
        "shoebox: giving the units in hand back",
    ]


def test_units_that_take_too_long_are_given_back_without_being_asked_twice(
    monkeypatch: pytest.MonkeyPatch, clock: list[float], started: list[Process]
) -> None:
    def pause(seconds: float) -> None:
        if not started[0].signals:
            signal.raise_signal(signal.SIGTERM)
        told.append((clock[0], list(started[0].signals)))
        clock[0] += 10

    told: list[tuple[float, list[int]]] = []
    monkeypatch.setattr(headless.time, "sleep", pause)
    planned = plan_workers(["cpu"])
    assert headless.serve_all(planned, Identity("3f9a1c07", 9), drain_seconds=60) == 0
    assert told[-2] == (1070, [signal.SIGTERM])  # it was told of the signal at 1010
    assert told[-1] == (1080, [signal.SIGTERM, signal.SIGQUIT])


def test_a_closed_terminal_stops_but_not_under_nohup() -> None:
    stop = headless._Stop()
    signal.raise_signal(signal.SIGHUP)
    assert stop.urgency == 1

    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stop = headless._Stop()
    signal.raise_signal(signal.SIGHUP)
    assert stop.urgency == 0
