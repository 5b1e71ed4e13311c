"""How many processes a worker of the cpu queue has: as many as have work, within what the machine can bear.

Celery's own autoscaler grows at once and loses nothing, but was seen to fail three ways (Celery 5.7, Redis):
after a lost connection it fetches no more messages than it has processes, so it never grows again; it never
shrinks while a unit comes now and then; and it looks at neither memory nor load. It also ends a child whose
unit has been sent but not begun (celery#7266). So its class is kept, and its decisions are made here.
"""

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil  # type: ignore[import-untyped]
from celery.worker import state
from celery.worker.autoscale import Autoscaler

from tasks.settings import Settings, get_settings

if TYPE_CHECKING:
    from celery import Celery

log = logging.getLogger("shoebox.worker")

_LOOK_SECONDS = 2.0
"""How often it is looked whether to shrink. Whether to grow is asked at each message as well."""
_CGROUP = Path("/sys/fs/cgroup")


def scaling(app: "Celery", settings: Settings) -> tuple[int, int] | None:
    """Most and fewest processes of a pool, and the application prepared for it; None if it does not scale."""
    least, most = min(settings.cpu_concurrency_min, settings.cpu_concurrency), settings.cpu_concurrency
    if least == most:
        return None
    app.conf.update(
        worker_autoscaler=f"{__name__}:{LoadScaler.__name__}",
        # No more messages than `LoadScaler` lets the worker have. What waits is left to others, and to urgent
        # units that come later.
        worker_disable_prefetch=True,
        # After a lost connection Celery would count the processes that there are, not those that may be.
        worker_enable_prefetch_count_reduction=False,
    )
    return most, least


class PoolSize:
    """Decides how many processes there should be. Knows neither Celery nor the machine."""

    def __init__(self, least: int, most: int, idle_seconds: float) -> None:
        self.least = least
        self.most = most
        self.idle_seconds = idle_seconds
        self._needed_at = [float("-inf")] * most
        """When so many processes, and one more, had work the last time."""

    def wanted(self, busy: int, processes: int, now: float, may_grow: Callable[[], bool]) -> int:
        """How many there should be, with so many units in hand; `may_grow` is only asked where it matters."""
        self._needed_at[:busy] = [now] * min(busy, self.most)
        if busy > processes:
            return min(busy, self.most) if processes < self.most and may_grow() else processes
        recently = sum(now - at < self.idle_seconds for at in self._needed_at)
        return max(self.least, min(processes, recently))


def shortage(settings: Settings) -> str:
    """Why this machine cannot bear one process more, in words; empty if it can."""
    if available_memory() < settings.cpu_free_memory_bytes:
        return "memory is short"
    most = settings.cpu_load_per_core
    if most and os.getloadavg()[0] > most * (os.cpu_count() or 1):
        return "the processor is overloaded"
    return ""


def available_memory(cgroup: Path = _CGROUP) -> int:
    """Bytes that programs can have without swapping: of the machine, or of the container that we are in."""
    available = int(psutil.virtual_memory().available)
    try:  # version 2 of control groups, as containers see their own
        limit = (cgroup / "memory.max").read_text().strip()
        used = int((cgroup / "memory.current").read_text())
        cached = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
        if limit == "max":
            return available
        return min(available, int(limit) - used + int(cached["inactive_file"]))
    except (OSError, ValueError, KeyError):
        return available


class LoadScaler(Autoscaler):  # type: ignore[misc] # Celery has no types
    """Celery's autoscaler, deciding by `PoolSize` and `shortage`, in the worker's main thread."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named, keepalive=_LOOK_SECONDS)
        self.settings = get_settings()
        self.size = PoolSize(self.min_concurrency, self.max_concurrency, self.settings.cpu_idle_seconds)
        self._said = ""

    def maybe_scale(self, req: Any = None) -> None:  # noqa: ARG002 - as Celery calls it
        """Grow or shrink by what is needed now, and say how many messages the worker may have."""
        busy, processes = len(state.reserved_requests), self.processes
        wanted = self.size.wanted(busy, processes, time.monotonic(), lambda: not shortage(self.settings))
        if wanted > processes:
            self.scale_up(wanted - processes)
            self.pool.maintain_pool()
        elif wanted < processes and self._is_every_unit_begun():
            self._shrink(processes - wanted)
            self.pool.maintain_pool()
        self._limit_messages(busy)

    def _limit_messages(self, busy: int) -> None:
        """Let the worker have a message more than it has processes only where it can grow for it."""
        short = shortage(self.settings) if self.processes < self.max_concurrency else ""
        # What `worker_disable_prefetch` goes by (celery/worker/consumer/tasks.py).
        self.worker.max_concurrency = self.processes if short else self.max_concurrency
        if short != self._said and (not short or busy >= self.processes):
            if short:
                log.info("No further process is started: %s.", short)
            else:
                log.info("Processes can be started again.")
            self._said = short

    def _is_every_unit_begun(self) -> bool:
        """Whether each unit is known to have begun: the child of one that was only sent looks idle."""
        jobs = self.pool._pool._cache.values()
        return all(job.worker_pids() for job in list(jobs))
