"""A worker's own numbers: counted by the processes of its pool, put together by its main process.

Off until `switch_on`, which must be called before the pool is forked; then everything here does nothing.
"""

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress

from tasks.engines import OFFLINE, llm_engine_name
from tasks.engines.llm.base import CallTrace
from tasks.metrics.declared import WORKER_PREFIX
from tasks.metrics.runs import Key, call_increments, run_increments
from tasks.metrics.shared import Place, SharedCounts
from tasks.orders import Order, Outcome, Presence
from tasks.planning import HOME_QUEUE
from tasks.settings import get_settings

_ACCRUE_SECONDS = 1.0
_HEARD_SECONDS = 10.0


class BusyClock:
    """Counts the seconds that a process is at tasks, while it is at them too. Times are monotonic."""

    def __init__(self, place: Place, queue: str) -> None:
        self._place = place
        self._queue = queue
        self._since: float | None = None
        self._lock = threading.Lock()

    def begin(self, now: float) -> None:
        """A task begins."""
        with self._lock:
            self._since = now
            self._place.is_at_work(working=True)

    def accrue(self, now: float) -> None:
        """Count what has passed of the task of now, if there is one."""
        with self._lock:
            if self._since is not None:
                self._place.add("busy_seconds_total", (self._queue,), now - self._since)
                self._since = now

    def end(self, now: float) -> None:
        """The task has ended."""
        self.accrue(now)
        with self._lock:
            self._since = None
            self._place.is_at_work(working=False)


class WorkerNumbers:
    """Those of one worker, as its main process sees them.

    Args:
        queue: that it serves.
        processes: of its pool at most.
        asks_models: whether its units may need a language model.
    """

    def __init__(self, queue: str, processes: int, *, asks_models: bool = True) -> None:
        self.queue = queue
        self._asks_models = asks_models
        self.counts = SharedCounts(processes + 1)
        self.mine = self.counts.place(processes)
        """Where the main process counts."""
        self._seen: Presence | None = None
        self._heard_at = float("-inf")

    def note_presence(self, presence: Presence, now: float) -> None:
        """Redis has taken what this worker says of itself."""
        self._seen, self._heard_at = presence, now

    def values(self, now: float) -> dict[Key, float]:
        """All numbers, by full name and labels; `now` is monotonic."""
        found: dict[Key, float] = {("busy_seconds_total", (self.queue,)): 0.0}
        found.update(self.counts.totals())
        found["busy_processes", ()] = sum(map(_is_child, self.counts.at_work()))
        found["redis_up", ()] = now - self._heard_at < _HEARD_SECONDS
        found.update(self._of_presence())
        return {(WORKER_PREFIX + name, labels): float(value) for (name, labels), value in found.items()}

    def _of_presence(self) -> Iterator[tuple[Key, float]]:
        seen = self._seen
        if seen is None:
            return
        yield ("info", (self.queue, seen.version)), 1
        yield ("slots", ()), seen.slots
        yield ("version_fits", ()), not seen.version_problem
        if self._asks_models:
            yield ("model_server_up", ()), not seen.llm_problem
        for number, gpu in enumerate(seen.gpus):
            label = (str(number),)
            if gpu.utilisation is not None:
                yield ("gpu_utilisation_ratio", label), gpu.utilisation / 100
            if gpu.memory_total:
                yield ("gpu_memory_bytes", label), gpu.memory_total
                yield ("gpu_memory_used_bytes", label), gpu.memory_used


_numbers: WorkerNumbers | None = None
_place: Place | None = None
"""Of this process."""
_served_at = ""


def switch_on(queue: str, processes: int) -> WorkerNumbers:
    """Begin to count, in the main process, before the pool is forked."""
    global _numbers, _place  # noqa: PLW0603 - what a fork shares with its parent can only be a module's
    asks_models = queue != HOME_QUEUE and get_settings().engine != OFFLINE
    _numbers = WorkerNumbers(queue, processes, asks_models=asks_models)
    _place = _numbers.mine
    return _numbers


def begin_in_child(index: int) -> None:
    """Count in a process of the pool; `index` is its place there, which no other has meanwhile."""
    global _place  # noqa: PLW0603 - as above
    if _numbers is None:
        return
    _place = None
    with suppress(IndexError):  # more processes than the worker said it would have
        _place = _numbers.counts.place(index)
        _watch_tasks(BusyClock(_place, _numbers.queue))


def _watch_tasks(clock: BusyClock) -> None:
    from celery.signals import task_postrun, task_prerun

    def begin(**_: object) -> None:
        clock.begin(time.monotonic())

    def end(**_: object) -> None:
        clock.end(time.monotonic())

    task_prerun.connect(begin, weak=False)
    task_postrun.connect(end, weak=False)
    threading.Thread(target=_accrue, args=(clock,), daemon=True, name="busy").start()


def _accrue(clock: BusyClock) -> None:
    pause = threading.Event()
    while not pause.wait(_ACCRUE_SECONDS):
        clock.accrue(time.monotonic())


def note_run(order: Order, outcome: Outcome) -> None:
    """A unit was run by this process, or, in the main process, one of the pool was lost with it.

    A batch of texts for vectors is no unit: its order names no model.
    """
    if _place is not None and order.model:
        engine = llm_engine_name(get_settings())
        for name, labels, amount in run_increments(
            order.stage, order.model, outcome, outcome.failure, engine
        ):
            _place.add(name, labels, amount)


def note_calls(model: str, calls: Sequence[CallTrace]) -> None:
    """A model was called for a question, which is no unit: home does not count these."""
    if _place is not None and calls:
        for name, labels, amount in call_increments(model, calls):
            _place.add(name, labels, amount)


def note_presence(presence: Presence) -> None:
    """Redis has taken what this worker says of itself."""
    if _numbers is not None:
        _numbers.note_presence(presence, time.monotonic())


def note_served_at(address: str) -> None:
    """The numbers are served at this host and port."""
    global _served_at  # noqa: PLW0603 - as above
    _served_at = address


def served_at() -> str:
    """Where the numbers of this worker are served, as host and port; empty if they are not."""
    return _served_at


def _is_child(pid: int) -> bool:
    """Whether a process of the pool that said to be at work still lives."""
    import psutil  # type: ignore[import-untyped]

    try:
        child = psutil.Process(pid)
        return bool(child.ppid() == os.getpid() and child.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
