"""Counts in memory that a worker's main process shares with the processes of its pool since the fork.

Processes of a pool come and go: they are killed, replaced for their size, and started for more work. Each has
a place of its own in the memory, by its index in the pool, which no other has meanwhile; whoever takes that
place later counts on from there. So nothing that was counted is lost, nothing goes down, and no file is left
behind. Only the one whose place it is writes; the main process adds up.
"""

import json
import mmap
import os
import struct
import threading

from tasks.metrics.runs import Key

_NUMBER = struct.Struct("<q")
_HEAD_BYTES = 2 * _NUMBER.size
"""How many series there are; the process that is at a task now, 0 if none."""
_SERIES = 255
"""In one place. What comes beyond is not counted: somebody is making names up."""
_KEY_BYTES = 320
"""Of a name and its labels as JSON: names of models may have 200 characters."""
_RECORD_BYTES = _KEY_BYTES + 8
_PLACE_BYTES = _HEAD_BYTES + _SERIES * _RECORD_BYTES
_VALUE = struct.Struct("<d")


class SharedCounts:
    """The memory, with a place for each process.

    Args:
        places: of processes that count.
    """

    def __init__(self, places: int) -> None:
        self.places = places
        self._memory = mmap.mmap(-1, places * _PLACE_BYTES)

    def place(self, index: int) -> "Place":
        """The place of a process that begins to count.

        Raises:
            IndexError: there are not so many.
        """
        if not 0 <= index < self.places:
            raise IndexError(index)
        return Place(self._memory, index * _PLACE_BYTES)

    def totals(self) -> dict[Key, float]:
        """The sum over all places, by name and labels."""
        totals: dict[Key, float] = {}
        for index in range(self.places):
            for (name, labels), at in _series(self._memory, index * _PLACE_BYTES).items():
                (value,) = _VALUE.unpack_from(self._memory, at)
                totals[name, labels] = totals.get((name, labels), 0.0) + value
        return totals

    def at_work(self) -> list[int]:
        """The processes that are at a task now, or were when they were killed."""
        starts = (index * _PLACE_BYTES for index in range(self.places))
        pids = (_NUMBER.unpack_from(self._memory, start + _NUMBER.size)[0] for start in starts)
        return [pid for pid in pids if pid]


class Place:
    """Where one process counts."""

    def __init__(self, memory: mmap.mmap, start: int) -> None:
        self._memory = memory
        self._start = start
        self._lock = threading.Lock()
        self._known = _series(memory, start)
        self.is_at_work(working=False)

    def add(self, name: str, labels: tuple[str, ...], amount: float) -> None:
        """Let a series grow."""
        with self._lock:
            at = self._known.get((name, labels)) or self._new(name, labels)
            if at:
                (value,) = _VALUE.unpack_from(self._memory, at)
                _VALUE.pack_into(self._memory, at, value + amount)

    def is_at_work(self, *, working: bool) -> None:
        """Say whether this process is at a task now."""
        _NUMBER.pack_into(self._memory, self._start + _NUMBER.size, os.getpid() if working else 0)

    def _new(self, name: str, labels: tuple[str, ...]) -> int:
        """Where a new series stands; 0 where there is no room."""
        key = json.dumps([name, *labels]).encode()
        count: int = _NUMBER.unpack_from(self._memory, self._start)[0]
        if count >= _SERIES or len(key) > _KEY_BYTES:
            return 0
        record = self._start + _HEAD_BYTES + count * _RECORD_BYTES
        at = record + _KEY_BYTES
        self._memory[record:at] = key.ljust(_KEY_BYTES)
        # Only now is it there: a process that is killed before leaves nothing that could not be read.
        _NUMBER.pack_into(self._memory, self._start, count + 1)
        self._known[name, labels] = at
        return at


def _series(memory: mmap.mmap, start: int) -> dict[Key, int]:
    """The series of a place, and where each one's value stands."""
    (count,) = _NUMBER.unpack_from(memory, start)
    found: dict[Key, int] = {}
    for number in range(count):
        record = start + _HEAD_BYTES + number * _RECORD_BYTES
        name, *labels = json.loads(memory[record : record + _KEY_BYTES])
        found[name, tuple(labels)] = record + _KEY_BYTES
    return found
