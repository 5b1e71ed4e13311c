"""What Shoebox itself costs: per unit and document with the offline engine, and for 10,000 documents."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tasks.broker_url import redis_url
from tasks.exchange import connect
from tests.bench.house import House, house
from tests.bench.idle import gaps_of
from tests.bench.numbers import middle, p99
from tests.bench.papers import write_papers
from tests.bench.probe import UnitTimes
from tests.bench.processes import cpu_seconds
from tests.bench.result import BenchResult
from tests.system import System

DOCUMENTS = 300
SUBMITTED = 10_000
CHARACTERS = 300


def run(scale: float) -> BenchResult:
    """A batch, then many documents at once."""
    result = BenchResult(name="overhead")
    with tempfile.TemporaryDirectory(prefix="shoebox-bench-") as name:
        folder = Path(name)
        papers = write_papers(folder / "papers", max(5, round(DOCUMENTS * scale)), CHARACTERS)
        write_papers(folder / "many", max(50, round(SUBMITTED * scale)), 100, first=len(papers))
        with house(folder / "house", None, SHOEBOX_ENGINE="offline") as at_home:
            measure_batch(result, at_home, papers)
            _submit(result, at_home, folder / "many")
    return result


def measure_batch(result: BenchResult, at_home: House, papers: Sequence[Path]) -> None:
    """Have papers read and enter what it took. The first only makes the workers load what they need."""
    warming, papers = papers[0], papers[1:]
    at_home.system.run("add", warming, "--wait")
    before, begun = cpu_seconds(at_home.system), time.time()
    at_home.system.run("add", *papers)
    rows = at_home.await_ended(len(papers) + 1)
    after = cpu_seconds(at_home.system)
    times = [one for one in at_home.probe.times().values() if one.is_whole and one.published > begun]
    wall = max(row.finished_at or 0.0 for row in rows) - begun
    result.figures |= {"documents": len(papers), "documents a second": len(papers) / wall}
    for what, samples in _latencies(times).items():
        result.figures[f"{what}, ms, median"] = middle(samples) * 1000
        result.figures[f"{what}, ms, p99"] = p99(samples) * 1000
    for program, seconds in sorted(after.items()):
        spent = seconds - before.get(program, 0.0)
        result.figures[f"processor time of {program}, ms a unit"] = spent * 1000 / max(1, len(times))
    result.figures["commands to Redis a unit"] = at_home.probe.commands(begun) / max(1, len(times))
    result.notes += [
        "Publish to start: of units that were published while the process that took them was free.",
        "Times by Redis' clock. The probe makes Redis copy every command, which costs it some time.",
    ]


def _latencies(times: Sequence[UnitTimes]) -> dict[str, list[float]]:
    return {
        "publish to start": _to_start(times),
        "a unit": [one.seconds for one in times],
        "end to recorded": [one.recorded - one.ended for one in times],
        "end to the next start in the same process": gaps_of(times),
    }


def _to_start(times: Sequence[UnitTimes]) -> list[float]:
    """Of units that found their process free: nothing else kept them waiting."""
    last: dict[int, float] = {}
    waits = []
    for one in sorted(times, key=lambda each: each.started):
        if last.get(one.pid, 0.0) < one.published:
            waits.append(one.started - one.published)
        last[one.pid] = one.ended
    return waits


def _submit(result: BenchResult, at_home: House, folder: Path) -> None:
    """Add a folder with many small files while the services run."""
    settings, before = at_home.system.settings, len(at_home.documents())
    seconds, peak = _add(at_home.system, folder)
    redis = connect(redis_url(settings))
    try:
        memory = redis.info("memory")["used_memory"]  # type: ignore[index]
    finally:
        redis.close()
    entered = len(at_home.documents()) - before
    result.figures |= {
        "documents submitted": entered,
        "submitting: seconds": seconds,
        "submitting: ms a document": seconds * 1000 / max(1, entered),
        "submitting: memory of the command, MB": peak,
        "submitting: ledger, MB": _size(settings.data_dir, "ledger.sqlite3*"),
        "submitting: spool, MB": _size(settings.spool_dir, "**/*"),
        "submitting: Redis, MB": memory / 1e6,
    }


def _add(system: System, folder: Path) -> tuple[float, float]:
    """Seconds of the command, and the memory in MB that it had at most."""
    begun = time.monotonic()
    command = subprocess.Popen(
        [sys.executable, "-m", "app", "add", str(folder)],
        env=system.environment,
        cwd=system.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(command.pid, 0)
    command.returncode = os.waitstatus_to_exitcode(status)
    if command.returncode:
        raise RuntimeError(f"add ended with {command.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in kilobytes elsewhere
    return time.monotonic() - begun, usage.ru_maxrss * unit / 1e6


def _size(folder: Path, pattern: str) -> float:
    """Megabytes of files, some of which may vanish meanwhile."""
    total = 0
    for path in folder.glob(pattern):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total / 1e6
