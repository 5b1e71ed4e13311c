"""On what it was measured, without names of hosts or folders."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from shutil import which

from pydantic import BaseModel

from tasks.version import VERSION


class Machine(BaseModel):
    """What a figure depends on."""

    date: str
    cores: int
    """That this process may use."""
    ram_gb: float
    processor: str
    python: str
    system: str
    shoebox: str
    load_before: float
    """Processes that wanted to run in the minute before: well above 0, others disturbed the times."""
    gpus: list[str]


def this_machine() -> Machine:
    """The facts as they are now."""
    pages, page_bytes = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return Machine(
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        ram_gb=round(pages * page_bytes / 1e9, 1),
        processor=_processor(),
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        shoebox=VERSION,
        load_before=round(os.getloadavg()[0], 1),
        gpus=cuda_gpus(),
    )


def cuda_gpus() -> list[str]:
    """The names of the CUDA GPUs as nvidia-smi tells them; none where it is absent or finds none."""
    if which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    return asked.stdout.strip().splitlines() if asked.returncode == 0 else []


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text(encoding="utf-8", errors="replace").splitlines() if facts.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())
