"""Ending a process of a worker's pool that hangs so hard that not even its threads run.

Such a process, stopped or stuck in native code, renews no lease: its unit is issued again. But to its worker
it is a process at work, so that units wait behind it until the time limit of the one that it hangs in, which
may be an hour. Each process of the pool therefore counts in a page of memory that it shares with the
worker's main process since the fork; one that counts no more is killed, and the pool replaces it.
"""

import logging
import mmap
import os
import signal
import struct
import threading
import time
from contextlib import suppress

log = logging.getLogger("shoebox.worker")

BEAT_SECONDS = 1.0
_AT_WORK = 10
"""A process that is not stopped has so many times the patience: native code that loads a model or a library
from a slow disk may keep Python from running anything else, and would do so again."""
_STOPPED = "stopped"
"""As psutil calls it."""
_SLOT = struct.Struct("<qq")
_SLOTS = mmap.PAGESIZE // _SLOT.size
_page = mmap.mmap(-1, mmap.PAGESIZE)


def start_pulse(index: int) -> None:
    """Begin to count, in a process of the pool. `index` is its place there, which no other has meanwhile."""
    if index < _SLOTS:  # of more processes than have room, the further ones are not watched
        threading.Thread(target=_beat, args=(index,), daemon=True, name="pulse").start()


def _beat(index: int) -> None:
    count, pause = 0, threading.Event()
    while True:
        count += 1
        _SLOT.pack_into(_page, index * _SLOT.size, os.getpid(), count)
        pause.wait(BEAT_SECONDS)


class PulseWatch:
    """The main process' eye on its pool.

    Args:
        patience: seconds without a beat after which a process that was stopped counts as hung.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._looked_at = 0.0
        self._since: dict[tuple[int, int, int], float] = {}
        """When each beat, as slot, process and count, was first seen."""

    def hung(self, now: float) -> list[int]:
        """The processes that have not counted for too long; `now` is by the monotonic clock.

        After a pause of this process itself, which may have been stopped with all others, all have their
        patience anew.
        """
        if now - self._looked_at > 5 * BEAT_SECONDS:
            self._since = {}
        self._looked_at = now
        beats = [(slot, *_SLOT.unpack_from(_page, slot * _SLOT.size)) for slot in range(_SLOTS)]
        self._since = {beat: self._since.get(beat, now) for beat in beats if beat[1]}
        silent = [(slot, pid, now - since) for (slot, pid, _), since in self._since.items()]
        return [
            pid
            for slot, pid, seconds in silent
            if seconds > self._patience and self._ends(slot, pid, seconds)
        ]

    def _ends(self, slot: int, pid: int, seconds: float) -> bool:
        """Whether a process that has been silent for so long is to be ended."""
        status = _status_of_child(pid)
        if not status:  # it ended, and nobody took its place
            _SLOT.pack_into(_page, slot * _SLOT.size, 0, 0)
            return False
        return status == _STOPPED or seconds > _AT_WORK * self._patience


def _status_of_child(pid: int) -> str:
    """As psutil calls it; empty for what is no child of this process, or has ended."""
    import psutil  # type: ignore[import-untyped]

    try:
        child = psutil.Process(pid)
        status = str(child.status())
        return status if child.ppid() == os.getpid() and status != psutil.STATUS_ZOMBIE else ""
    except psutil.Error:
        return ""


def end_hung_children(patience: float) -> None:
    """Kill what hangs, from a thread of the main process, for as long as that lives."""
    threading.Thread(target=_watch, args=(patience,), daemon=True, name="pulse watch").start()


def _watch(patience: float) -> None:
    watch, pause = PulseWatch(patience), threading.Event()
    while True:
        for pid in watch.hung(time.monotonic()):
            log.warning("process %d has hung and is killed; its unit is issued again", pid)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        pause.wait(BEAT_SECONDS)
