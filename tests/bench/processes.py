"""Processor time of the programs of a running Shoebox."""

import os
import re
from pathlib import Path

from tests.system import System

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(system: System) -> dict[str, float]:
    """Seconds by program since it started, living children included. Nothing where there is no /proc."""
    spent: dict[str, float] = {}
    for pid, command in system.processes().items():
        name = _program(command)
        if seconds := _seconds(pid):
            spent[name] = spent.get(name, 0.0) + seconds
    return spent


def _program(command: str) -> str:
    if found := re.search(r"--queues (\w+)", command):
        return f"{found[1]} worker"
    if re.search(r"redis-server|valkey", command):
        return "Redis"
    return "the rest"


def _seconds(pid: int) -> float:
    try:
        facts = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    numbers = facts.rpartition(")")[2].split()  # the name before it may hold anything
    return (int(numbers[11]) + int(numbers[12])) / _TICKS
