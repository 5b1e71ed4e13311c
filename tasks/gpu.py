"""Which GPUs of NVIDIA's this machine has, how much of their memory is in use, and which of them are ours."""

import csv
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Sequence

from tasks.documents import Value

VISIBLE_DEVICES = "CUDA_VISIBLE_DEVICES"
"""The environment variable by which CUDA is told which GPUs a process may see, and in which order."""
_COMMAND = (
    "nvidia-smi",
    "--query-gpu=index,name,memory.total,memory.used,utilization.gpu,uuid",
    "--format=csv,noheader,nounits",
)
_LIST_COMMAND = ("nvidia-smi", "-L")
_LISTED_GPU = re.compile(r"GPU (\d+): ")
_LISTED_MIG = re.compile(r"\s+MIG (\S+)\s+Device\s+\d+: \(UUID: (MIG-[\w/-]+)\)")
_UUID = re.compile(r"GPU-[\w-]+")
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
    uuid: str = ""
    """What names it for CUDA, `GPU-...` or, for an instance of a divided GPU, `MIG-...`."""


def gpus() -> tuple[Gpu, ...]:
    """The GPUs, in the driver's order; none where there is no driver or it does not answer in time.

    Blocks for up to five seconds.
    """
    rows = csv.reader(_asked(_COMMAND), skipinitialspace=True)
    return tuple(gpu for row in rows if (gpu := _gpu(row)) is not None)


def visible_gpus() -> tuple[Gpu, ...]:
    """The GPUs that programs started here may use: all, or those that CUDA_VISIBLE_DEVICES names.

    A GPU that is divided (MIG) counts as its instances, of whose memory the driver's summary says nothing.
    Blocks for up to ten seconds.
    """
    found = gpus()
    wanted = os.environ.get(VISIBLE_DEVICES)
    if wanted is not None:
        divided = _instances(found) if "MIG-" in wanted else ()
        return named_gpus(wanted, (*found, *divided))
    divided = _instances(found) if found else ()
    whole = [gpu for gpu in found if gpu.index not in {instance.index for instance in divided}]
    return tuple(sorted((*whole, *divided), key=lambda gpu: gpu.index))


def named_gpus(names: str, found: Sequence[Gpu]) -> tuple[Gpu, ...]:
    """The GPUs that a value of CUDA_VISIBLE_DEVICES names, in its order.

    As CUDA reads it, names are indices or the beginnings of UUIDs, and what comes after a name of nothing is
    not seen (CUDA C++ Programming Guide, "CUDA Environment Variables"). An index counts as nvidia-smi counts,
    which is CUDA's own order where CUDA_DEVICE_ORDER is PCI_BUS_ID or all GPUs are alike.
    """
    seen: list[Gpu] = []
    for name in (part.strip() for part in names.split(",")):
        named = [gpu for gpu in found if _is_named(gpu, name)]
        if len(named) != 1:
            break
        seen += [gpu for gpu in named if gpu not in seen]
    return tuple(seen)


def _is_named(gpu: Gpu, name: str) -> bool:
    if name.isdecimal():
        return gpu.index == int(name) and not gpu.uuid.startswith("MIG-")
    return name.startswith(("GPU-", "MIG-")) and gpu.uuid.startswith(name)


def _instances(found: Sequence[Gpu]) -> tuple[Gpu, ...]:
    """The instances of divided GPUs: `nvidia-smi -L` lists them below their GPU."""
    names = {gpu.index: gpu.name for gpu in found}
    instances: list[Gpu] = []
    index = -1
    for line in _asked(_LIST_COMMAND):
        if listed := _LISTED_GPU.match(line):
            index = int(listed[1])
        elif (listed := _LISTED_MIG.match(line)) and index in names:
            name = f"{names[index]} MIG {listed[1]}"
            instances.append(Gpu(index=index, name=name, memory_total=0, memory_used=0, uuid=listed[2]))
    return tuple(instances)


def _asked(command: Sequence[str]) -> list[str]:
    try:
        asked = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return asked.stdout.decode(errors="replace").splitlines()


def _gpu(row: list[str]) -> Gpu | None:
    """What a line says. Lines of another form are what a driver in trouble prints instead."""
    if len(row) != len(_COMMAND[1].split(",")) or (index := _number(row[0])) is None:
        return None
    _, name, total, used, utilisation, uuid = row
    return Gpu(
        index=index,
        name=name.strip(),
        memory_total=(_number(total) or 0) * _MIB,
        memory_used=(_number(used) or 0) * _MIB,
        utilisation=_number(utilisation),
        uuid=uuid.strip() if _UUID.fullmatch(uuid.strip()) else "",
    )


def _number(text: str) -> int | None:
    """A count; None for `[N/A]`, `[Not Supported]`, `[Unknown Error]` and the like."""
    return int(text) if text.strip().isdecimal() else None


class GpuWatch:
    """Looks at the GPUs that this process may use every few seconds.

    From a thread of its own, because the driver may be slow to answer.
    """

    def __init__(self, leaving: threading.Event) -> None:
        self.seen: tuple[Gpu, ...] = ()
        self._leaving = leaving
        if shutil.which(_COMMAND[0]):
            threading.Thread(target=self._watch, daemon=True, name="gpus").start()

    def _watch(self) -> None:
        while not self._leaving.is_set():
            self.seen = visible_gpus()
            self._leaving.wait(_WATCH_SECONDS)
