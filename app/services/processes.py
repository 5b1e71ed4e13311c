"""Which processes belong to a data directory, and ending them.

They are known by the SUPERVISED mark in their environment, never by a stored process number: a number may by
now belong to a stranger, and it says nothing about the orphans of a killed supervisor.
"""

import os
import time
from typing import TYPE_CHECKING

from tasks.lifeline import SUPERVISED
from tasks.settings import Settings

if TYPE_CHECKING:
    import psutil  # type: ignore[import-untyped]

POLL_SECONDS = 0.05


def service_processes(settings: Settings) -> "list[psutil.Process]":
    """Every living process that the supervisor of this data directory started, and itself."""
    import psutil

    mark = str(settings.data_dir.absolute())
    found = []
    for process in psutil.process_iter():
        try:
            if process.uids().real != os.getuid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            if process.environ().get(SUPERVISED) == mark:
                found.append(process)
        except (psutil.Error, OSError):  # ended meanwhile, or not ours to look at
            continue
    return found


def supervisors(processes: "list[psutil.Process]") -> "list[psutil.Process]":
    """Those among them that are a supervisor."""
    import psutil

    found = []
    for process in processes:
        try:
            if "supervisor.supervisord" in process.cmdline():
                found.append(process)
        except psutil.Error:
            continue
    return found


def wait_until_gone(settings: Settings, seconds: float) -> bool:
    """Wait for every service process to end; tell whether they did."""
    deadline = time.monotonic() + seconds
    while found := service_processes(settings):
        while any(map(_lives, found)):  # to look through all processes each time costs ten times as much
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
    return True


def _lives(process: "psutil.Process") -> bool:
    import psutil

    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def end_processes(settings: Settings, patience: float) -> int:
    """End every service process: ask the topmost ones, wait `patience` seconds, kill what is left.

    Only the topmost are asked, because a worker that loses its children to a signal takes them for crashed.

    Returns:
        How many had to be killed.
    """
    import psutil

    processes = service_processes(settings)
    numbers = {process.pid for process in processes}
    for process in processes:
        try:
            if process.ppid() not in numbers:
                process.terminate()
        except psutil.NoSuchProcess:
            continue
    killed = 0
    gone = wait_until_gone(settings, patience)
    while not gone:  # again, for what was forked between looking and killing
        for process in service_processes(settings):
            try:
                process.kill()
                killed += 1
            except psutil.NoSuchProcess:
                continue
        gone = wait_until_gone(settings, 1.0)
    return killed
