"""How much there is to do, how fast it goes, and how long the rest will take. Read only.

The estimate is made from what each stage took for documents that have just been read, so it holds for papers
like those. Each question to the ledger costs a few milliseconds with 10,000 documents.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from tasks.documents import FINAL_STATES, Stage
from tasks.ledger import Ledger
from tasks.planning import HOME_QUEUE

WINDOW_SECONDS = 300.0
"""How far back "recently" reaches."""
_SHORTEST_SPAN_SECONDS = 30.0
"""A document that has just been dropped and read within a second does not make 60 a minute."""
_SAMPLE = 50
"""Documents of each state whose units are looked at."""
_STAGES = tuple(Stage)


@dataclass(frozen=True, slots=True)
class Throughput:
    """What ended recently, each minute."""

    documents_per_minute: float = 0.0
    pages_per_minute: float = 0.0


def throughput(ledger: Ledger, now: float) -> Throughput:
    """Documents that were read, or could not be, in the last five minutes; cancelled ones do not count.

    Where the work began later, only the time since counts. An end that lies in the future, because the clock
    was set back, is not recent.
    """
    documents, pages, begun_at = ledger.db.execute(
        "SELECT count(*), coalesce(sum(page_count), 0), coalesce(min(added_at), 0) FROM documents"
        " WHERE finished_at > ? AND finished_at <= ? AND +state != 'cancelled'",
        (now - WINDOW_SECONDS, now),
    ).fetchone()
    minutes = min(max(now - begun_at, _SHORTEST_SPAN_SECONDS), WINDOW_SECONDS) / 60
    return Throughput(documents / minutes, pages / minutes)


@dataclass(frozen=True, slots=True)
class Depth:
    """Units of a queue that have not ended."""

    waiting: int = 0
    """In the ledger."""
    out: int = 0
    """On the road, or with a worker."""

    @property
    def total(self) -> int:
        """All of them."""
        return self.waiting + self.out


def depths(ledger: Ledger) -> dict[str, Depth]:
    """How much there is to do on each queue that has something."""
    counts = {
        column: {
            row[0]: row[1]
            for row in ledger.db.execute(f"SELECT queue, count(*) FROM units WHERE {which} GROUP BY queue")
        }
        for column, which in (("waiting", "state = 'waiting'"), ("out", "state IN ('queued', 'running')"))
    }
    return {
        queue: Depth(counts["waiting"].get(queue, 0), counts["out"].get(queue, 0))
        for queue in counts["waiting"].keys() | counts["out"].keys()
    }


def seconds_left(ledger: Ledger, slots: Mapping[str, int], depth: Mapping[str, Depth]) -> float | None:
    """How long until all documents have been read, if nothing is added; 0.0 if there is nothing to do.

    The queue with the most work for its slots decides. Work that is not planned yet counts as well: a
    document that waits to be extracted will need the later stages too.

    Returns None where it cannot be said: a stage that is needed was not measured yet, or nobody serves a
    queue that has work.
    """
    in_stage = _documents_by_stage(ledger)
    if not in_stage:
        return 0.0
    costs = _costs(ledger)
    work: dict[str, float] = defaultdict(float)
    for stage, documents in in_stage.items():
        rest = costs.rest(stage)
        if rest is None:
            return None
        for queue, seconds in rest.items():
            work[queue] += documents * seconds
    # A single document of a thousand pages is more work than its like in the sample: its units are planned.
    for queue, units in depth.items():
        work[queue] = max(work[queue], units.total * costs.of_unit(queue))
    if any(seconds and not slots.get(queue) for queue, seconds in work.items()):
        return None
    return max((seconds / _reading(queue, slots) for queue, seconds in work.items() if seconds), default=0.0)


def _reading(queue: str, slots: Mapping[str, int]) -> int:
    """Slots that read. At home one is always kept free for recording."""
    return max(1, slots[queue] - 1) if queue == HOME_QUEUE else slots[queue]


def _documents_by_stage(ledger: Ledger) -> dict[Stage, int]:
    rows = ledger.db.execute(
        "SELECT stage, count(*) FROM documents WHERE state IN ('waiting', 'running') GROUP BY stage"
    )
    return {Stage(stage): number for stage, number in rows}


@dataclass(slots=True)
class _Cost:
    """What a stage took in a sample of documents."""

    documents: int = 0
    """That are through it."""
    took_part: int = 0
    """That had units in it."""
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Of all units together, by queue."""


class _Costs:
    """What the stages took in a sample of documents."""

    def __init__(self) -> None:
        self.stages = {stage: _Cost() for stage in _STAGES}
        self.units: dict[str, list[float]] = defaultdict(list)
        """By queue: the mean of each document's units in a stage."""

    def of_unit(self, queue: str) -> float:
        """Mean seconds of a unit; 0 where none was measured."""
        means = self.units[queue]
        return sum(means) / len(means) if means else 0.0

    def rest(self, stage: Stage) -> dict[str, float] | None:
        """Seconds by queue for a document that is at the beginning of a stage; None if one is not known."""
        rest: dict[str, float] = defaultdict(float)
        for later in _STAGES[_STAGES.index(stage) :]:
            cost = self.stages[later]
            # Who is in a stage needs it. Of those that are not there yet, only some will.
            share = cost.took_part if later is stage else cost.documents
            if not share:
                return None
            for queue, seconds in cost.seconds.items():
                rest[queue] += seconds / share
        return rest


def _costs(ledger: Ledger) -> _Costs:
    """From those documents that came last of the ones that have been read, and first of the unfinished."""
    costs = _Costs()
    chosen = " UNION ALL ".join(
        "SELECT * FROM (SELECT id, state, stage FROM documents"
        f" WHERE state = '{state}' ORDER BY seq {order} LIMIT {_SAMPLE})"
        for state, order in (("done", "DESC"), ("review", "DESC"), ("running", "ASC"))
    )
    rows = ledger.db.execute(
        "SELECT d.id, d.state, d.stage, u.stage, u.queue, count(*), sum(u.seconds)"
        f" FROM ({chosen}) d JOIN units u ON u.document = d.id WHERE u.state = 'done' GROUP BY 1, 4, 5"
    )
    through: dict[str, int] = {}
    took_part: set[tuple[str, Stage]] = set()
    for document, state, at, stage, queue, units, seconds in rows:
        costs.units[queue].append(seconds / units)
        through[document] = len(_STAGES) if state in FINAL_STATES else _STAGES.index(at)
        if _STAGES.index(stage) < through[document]:
            costs.stages[stage].seconds[queue] += seconds
            took_part.add((document, stage))
    for place, stage in enumerate(_STAGES):
        costs.stages[stage].documents = sum(place < reached for reached in through.values())
        costs.stages[stage].took_part = sum(part == stage for _, part in took_part)
    return costs
