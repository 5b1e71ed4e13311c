"""The GPU of this process, as its driver sees it: how much of its memory is free."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping

from tasks.gpu import gpus

_COMMAND = ("nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader")
_SECONDS = 5.0
_SILENT_SECONDS = 60.0
"""A driver that gave no answer is left alone for so long: each question may cost five seconds."""
_VISIBLE = "CUDA_VISIBLE_DEVICES"

Clock = Callable[[], float]


class Card:
    """The GPU that PaddleOCR calls `device`, such as `gpu:0`: the first that this process may see.

    Nothing is asked before it is needed. Without nvidia-smi (no GPU, or one of another maker) nothing is ever
    known.

    Args:
        clock: of which differences are taken, in seconds.
    """

    def __init__(self, device: str, clock: Clock = time.monotonic) -> None:
        self._name = _visible_name(device)
        self._clock = clock
        self._exists = shutil.which(_COMMAND[0]) is not None
        self._silent_until = float("-inf")
        self._index: int | None = None

    def free(self) -> Mapping[int, int] | None:
        """Free bytes of every GPU of this machine, by index; None where that, or which is ours, is not known.

        Takes some 50 ms, and five seconds where the driver hangs.
        """
        if not self._exists or self._clock() < self._silent_until:
            return None
        free = {gpu.index: gpu.memory_total - gpu.memory_used for gpu in gpus() if gpu.memory_total}
        if not free:
            self._silent_until = self._clock() + _SILENT_SECONDS
            return None
        return free if self.index in free else None

    @property
    def index(self) -> int | None:
        """The number that the driver gives to our GPU; None if it is not known, or a part of a GPU (MIG)."""
        if self._index is None:
            self._index = int(self._name) if self._name.isdecimal() else _index_of(self._name)
        return self._index


def _visible_name(device: str) -> str:
    """What CUDA_VISIBLE_DEVICES calls a device: an index or a UUID; empty if it does not name it.

    An index is taken as the driver counts, which is CUDA's own order where CUDA_DEVICE_ORDER is PCI_BUS_ID or
    the GPUs are alike.
    """
    number = device.rpartition(":")[2]
    place = int(number) if number.isdecimal() else 0
    visible = os.environ.get(_VISIBLE)
    if visible is None:
        return str(place)
    names = [name.strip() for name in visible.split(",")]
    return names[place] if place < len(names) else ""


def _index_of(uuid: str) -> int | None:
    """The index of the GPU with this UUID, or with one that begins so, which CUDA takes as well."""
    if not uuid.startswith("GPU-"):
        return None
    try:
        asked = subprocess.run(_COMMAND, capture_output=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = (line.partition(",") for line in asked.stdout.decode(errors="replace").splitlines())
    found = [index for index, _, known in lines if known.strip().startswith(uuid) and index.isdecimal()]
    return int(found[0]) if len(found) == 1 else None
