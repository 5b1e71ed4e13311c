"""What each poison file does to a running system: `python -m tests.bench_poison [NAME ...]`.

Each file is added in the middle of a batch of good ones. The table says how it ended, after how many seconds,
how much memory the largest process of the workers had meanwhile, and whether the good ones were read.
"""

import random
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tasks.documents import FINAL_STATES, State
from tasks.ledger import DocumentRow
from tests.poison import POISONS
from tests.samples.invoices import random_invoice
from tests.system import System, running

GOOD_FILES = 4
_READ = {State.DONE, State.REVIEW}
_MAX_WORDS = 150


@dataclass
class MemoryWatch:
    """Looks again and again at the processes of a system, and keeps the largest."""

    root: psutil.Process
    peak: int = 0
    """Bytes in memory of the largest process since the last look at this."""
    ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Until `ended` is set."""
        while not self.ended.wait(0.05):
            for process in self.root.children(recursive=True):
                try:
                    self.peak = max(self.peak, process.memory_info().rss)
                except psutil.NoSuchProcess:
                    continue

    def taken(self) -> int:
        """The peak, which begins anew."""
        peak, self.peak = self.peak, 0
        return peak


def main() -> None:
    """See the module."""
    names = [name for name in POISONS if not sys.argv[1:] or any(part in name for part in sys.argv[1:])]
    print("| file | kB | ended as | why | seconds | peak MB | batch |", flush=True)
    print("|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), SHOEBOX_ENGINE="offline") as system:
        watch = MemoryWatch(psutil.Process(_supervisor(system)))
        watching = threading.Thread(target=watch.run)
        watching.start()
        try:
            for number, name in enumerate(names):
                print(_row(system, watch, name, number), flush=True)
        finally:
            watch.ended.set()
            watching.join()


def _supervisor(system: System) -> int:
    parent = psutil.Process(system.program_pid("redis")).parent()
    assert parent is not None
    return parent.pid


def _row(system: System, watch: MemoryWatch, name: str, number: int) -> str:
    """Add the poison among good files, wait for all of them, and say how it went."""
    folder = system.folder / f"batch-{number}"
    folder.mkdir()
    good = []
    for index in range(GOOD_FILES):
        path = folder / f"good-{number}-{index}.pdf"
        path.write_bytes(random_invoice(random.Random(number * GOOD_FILES + index), index).pdf())
        good.append(path)
    poison = folder / name
    poison.write_bytes(POISONS[name]())
    size = poison.stat().st_size
    watch.taken()
    system.run("add", *good[: GOOD_FILES // 2], poison, *good[GOOD_FILES // 2 :])
    names = {path.name for path in good}

    def documents() -> dict[str, DocumentRow]:
        return {row.name: row for row in system.documents() if row.name in {*names, name}}

    system.await_true(lambda: all(row.state in FINAL_STATES for row in documents().values()), 900, name)
    rows = documents()
    poison.unlink()
    ended = rows[name]
    seconds = (ended.finished_at or 0) - ended.added_at
    read = sum(rows[other].state in _READ for other in names)
    why = (ended.message or "read").replace("|", "\\|").replace(name, "…")
    why = why if len(why) <= _MAX_WORDS else why[: _MAX_WORDS - 1] + "…"
    shown = name if len(name) < 40 else f"{name[:6]}… ({len(name)} letters)"
    return (
        f"| `{shown}` | {size / 1e3:,.0f} | {ended.state} | {why} | {seconds:.1f} |"
        f" {watch.taken() / 1e6:,.0f} | {read} of {len(names)} |"
    )


if __name__ == "__main__":
    main()
