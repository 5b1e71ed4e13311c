"""The GPU of this process, as its driver sees it: how much of its memory is free."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping

# Not `tasks.gpu.gpus`: total less used is more than what is free, because the driver keeps some for itself.
_COMMAND = ("nvidia-smi", "--query-gpu=index,uuid,memory.free", "--format=csv,noheader,nounits")
_SECONDS = 5.0
_SILENT_SECONDS = 60.0
"""A driver that gave no answer is left alone for so long: each question may cost five seconds."""
_VISIBLE = "CUDA_VISIBLE_DEVICES"
_MIB = 2**20

Clock = Callable[[], float]
_Row = tuple[int, str, int]
"""Index, UUID and free bytes of a GPU."""


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

    @property
    def index(self) -> int | None:
        """The number that the driver gives to our GPU; None as long as `free` has not found it."""
        return self._index

    def free(self) -> Mapping[int, int] | None:
        """Free bytes of every GPU of this machine, by index; None where that, or which is ours, is not known.

        Takes some 50 ms, and five seconds where the driver hangs.
        """
        if not self._exists or self._clock() < self._silent_until:
            return None
        rows = list(_rows())
        if not rows:
            self._silent_until = self._clock() + _SILENT_SECONDS
            return None
        if self._index is None:
            self._index = _named(self._name, rows)
        free = {index: size for index, _, size in rows}
        return free if self._index in free else None


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


def _named(name: str, rows: list[_Row]) -> int | None:
    """The index of the GPU of this name, or of which it begins the UUID; None for a part of one (MIG)."""
    if name.isdecimal():
        return int(name)
    found = [index for index, uuid, _ in rows if name.startswith("GPU-") and uuid.startswith(name)]
    return found[0] if len(found) == 1 else None


def _rows() -> Iterator[_Row]:
    """What the driver says. Lines of another form are what one in trouble prints instead."""
    try:
        asked = subprocess.run(_COMMAND, capture_output=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return
    for line in asked.stdout.decode(errors="replace").splitlines():
        match [word.strip() for word in line.split(",")]:
            case [index, uuid, free] if index.isdecimal() and free.isdecimal():
                yield int(index), uuid, int(free) * _MIB
