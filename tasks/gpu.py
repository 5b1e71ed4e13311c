"""Which GPUs of NVIDIA's this machine has, and how much of their memory is in use."""

import csv
import shutil
import subprocess
import threading

from tasks.documents import Value

_COMMAND = (
    "nvidia-smi",
    "--query-gpu=index,name,memory.total,memory.used,utilization.gpu",
    "--format=csv,noheader,nounits",
)
_SECONDS = 5.0
"""How long it may take: about 0.05 s usually, seconds where no process keeps the driver loaded."""
_MIB = 2**20
_WATCH_SECONDS = 3.0


class Gpu(Value):
    """A GPU as its driver describes it."""

    index: int
    name: str
    memory_total: int
    """Bytes; 0 where the driver does not say, as for GPUs that share the machine's memory."""
    memory_used: int
    """Bytes, of all processes."""
    utilisation: int | None = None
    """Percent of the last moment in which it worked; None where the driver does not say."""


def gpus() -> tuple[Gpu, ...]:
    """The GPUs, in the driver's order; none where there is no driver or it does not answer in time.

    Blocks for up to five seconds.
    """
    try:
        asked = subprocess.run(_COMMAND, capture_output=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    rows = csv.reader(asked.stdout.decode(errors="replace").splitlines(), skipinitialspace=True)
    return tuple(gpu for row in rows if (gpu := _gpu(row)) is not None)


def _gpu(row: list[str]) -> Gpu | None:
    """What a line says. Lines of another form are what a driver in trouble prints instead."""
    if len(row) != len(_COMMAND[1].split(",")) or (index := _number(row[0])) is None:
        return None
    _, name, total, used, utilisation = row
    return Gpu(
        index=index,
        name=name.strip(),
        memory_total=(_number(total) or 0) * _MIB,
        memory_used=(_number(used) or 0) * _MIB,
        utilisation=_number(utilisation),
    )


def _number(text: str) -> int | None:
    """A count; None for `[N/A]`, `[Not Supported]`, `[Unknown Error]` and the like."""
    return int(text) if text.strip().isdecimal() else None


class GpuWatch:
    """Asks the driver every few seconds, from a thread of its own, because it may be slow to answer."""

    def __init__(self, leaving: threading.Event) -> None:
        self.seen: tuple[Gpu, ...] = ()
        self._leaving = leaving
        if shutil.which(_COMMAND[0]):
            threading.Thread(target=self._watch, daemon=True, name="gpus").start()

    def _watch(self) -> None:
        while not self._leaving.is_set():
            self.seen = gpus()
            self._leaving.wait(_WATCH_SECONDS)
