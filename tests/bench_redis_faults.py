"""Every fault of a Redis in the middle of a batch: `python -m tests.bench_redis_faults [FAULT ...]`.

A home, its workers and a headless worker use a Redis of the user's own over a line that can be made bad;
another home has an embedded one. Each fault comes when a batch is half read and stays for some seconds, in
which a person asks for the status and adds a file. Prints what they are told, what became of the documents,
and how soon there was progress once the fault was mended. Takes some 15 minutes on two cores.
"""

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from redis import Redis

from tasks.broker_url import redis_url
from tasks.documents import FINAL_STATES, State
from tasks.ledger import DocumentRow, Ledger
from tests import samples
from tests.conftest import patient
from tests.elsewhere import HeadlessWorker
from tests.own_redis import BadLine, OwnRedis
from tests.redis_faults import EMBEDDED, OWN, Fault, Ground
from tests.system import System, running

BATCH = 12
HELD_SECONDS = 8.0


@dataclass(frozen=True)
class Row:
    """How one fault went."""

    fault: str
    told: str
    """What `status` says is wrong."""
    status_seconds: float
    add_seconds: float
    documents: int
    lost: int
    """Documents that were not taken, or not read."""
    doubled: int
    """Units that stand twice in the ledger."""
    again: int
    """Units that a worker did once more."""
    progress_seconds: float
    """From the mended fault to the next unit that was recorded."""
    log_lines: int
    """In all logs of home, while it lasted."""

    def __str__(self) -> str:
        told = self.told or "(nothing)"
        return (
            f"| {self.fault} | {told} | {self.status_seconds:.1f} | {self.add_seconds:.1f} |"
            f" {self.documents} | {self.lost} | {self.doubled} | {self.again} | {self.progress_seconds:.1f} |"
            f" {self.log_lines} |"
        )


HEADER = """\
| fault | told | status s | add s | documents | lost | doubled | again | progress s | log lines |
|---|---|---|---|---|---|---|---|---|---|"""


def main() -> None:
    """See the module."""
    names = sys.argv[1:]
    own = [one for one in OWN if not names or one.__name__ in names]
    embedded = [one for one in EMBEDDED if one.__name__ in names or (not names)]
    print(HEADER, flush=True)
    with tempfile.TemporaryDirectory(prefix="redis-faults-") as folder:
        if own:
            with_own_redis(Path(folder) / "own", own)
        if embedded:
            with_embedded_redis(Path(folder) / "embedded", embedded)


def with_own_redis(folder: Path, faults: Sequence[Fault]) -> None:
    """Try them on a home with a Redis of its user's."""
    (folder / "redis").mkdir(parents=True)
    with ExitStack() as stack:
        redis = stack.enter_context(OwnRedis(folder / "redis"))
        line = stack.enter_context(BadLine(redis.port))
        system = stack.enter_context(running(folder / "home", SHOEBOX_REDIS_URL=line.url))
        stack.enter_context(HeadlessWorker(folder / "worker", environment={"SHOEBOX_REDIS_URL": line.url}))
        try_all(faults, Ground(redis.client, folder, redis, line), system)


def with_embedded_redis(folder: Path, faults: Sequence[Fault]) -> None:
    """Try them on a home with a Redis of ours."""
    with running(folder / "home") as system:
        url = redis_url(system.settings)
        ground = Ground(lambda: Redis.from_url(url, retry=patient()), folder, system=system)
        try_all(faults, ground, system)


def try_all(faults: Sequence[Fault], ground: Ground, system: System) -> None:
    """Print a row for each."""
    for number, fault in enumerate(faults):
        print(try_out(fault, ground, system, number), flush=True)


def try_out(fault: Fault, ground: Ground, system: System, number: int) -> Row:
    """One fault in the middle of a batch."""
    paths = samples.make_corpus(ground.folder / str(number), BATCH + 1, seed=1000 + number)
    before = {document.id for document in system.documents()}

    def batch() -> list[DocumentRow]:
        return [document for document in system.documents() if document.id not in before]

    def ended() -> int:
        return sum(document.state in FINAL_STATES for document in batch())

    system.run("add", *paths[1:])
    system.await_true(lambda: ended() >= 2, what="two are read")
    lines, course, began = log_lines(system), fault(ground), time.monotonic()
    next(course)
    told, status_seconds = what_status_says(system)
    asked = time.monotonic()
    system.run("add", paths[0], check=False)
    add_seconds = time.monotonic() - asked
    time.sleep(max(0.0, HELD_SECONDS - (time.monotonic() - began)))
    lines, done = log_lines(system) - lines, done_units(system)
    next(course, None)
    mended = time.monotonic()
    system.await_true(lambda: done_units(system) > done or ended() == len(batch()), what="progress")
    progress_seconds = time.monotonic() - mended
    system.await_true(lambda: ended() == len(batch()), 300, "all are read")
    return Row(
        fault.__name__.replace("_", " "),
        told,
        status_seconds,
        add_seconds,
        len(batch()),
        BATCH + 1 - sum(document.state in {State.DONE, State.REVIEW} for document in batch()),
        doubled_units(system),
        done_again(system),
        progress_seconds,
        lines,
    )


def what_status_says(system: System) -> tuple[str, float]:
    """The first problem that `status` names, and how many seconds it took."""
    asked = time.monotonic()
    said = system.run("status", check=False).stderr.splitlines()
    problems = [line.removeprefix("Problem: ") for line in said if line.startswith("Problem: ")]
    return (problems or [""])[0], time.monotonic() - asked


def done_units(system: System) -> int:
    """Units that are recorded as done."""
    with Ledger.open(system.settings) as ledger:
        return int(ledger.db.execute("SELECT count(*) FROM units WHERE state = 'done'").fetchone()[0])


def doubled_units(system: System) -> int:
    """Units of the same document that have the same to do."""
    query = "SELECT count(*) - count(DISTINCT document || stage || params) FROM units"
    with Ledger.open(system.settings) as ledger:
        return int(ledger.db.execute(query).fetchone()[0])


def log_lines(system: System) -> int:
    """Lines in all logs of home."""
    return sum(log.read_bytes().count(b"\n") for log in system.settings.log_dir.glob("*.log"))


def done_again(system: System) -> int:
    """Units that were done more than once by home's workers, as their logs say."""
    counts: Counter[str] = Counter()
    for log in system.settings.log_dir.glob("*.log"):
        for line in log.read_text(errors="replace").splitlines():
            if ": done in " in line:
                task = next(word for word in line.split() if word.count(".") == 2 and word.endswith(":"))
                counts[task.rsplit(".", 1)[0]] += 1
    return sum(number > 1 for number in counts.values())


if __name__ == "__main__":
    main()
