"""What can be struck, and how: the kinds of faults, and what a round gets of them by its seed."""

import random
from dataclasses import dataclass
from enum import StrEnum


class How(StrEnum):
    """What is done."""

    KILL = "killed"
    STOP = "stopped"
    """SIGSTOP, and SIGCONT after a time."""
    FREEZE = "frozen"
    """SIGSTOP, and nothing more until the batch has ended without it."""
    CUT = "cut"
    SILENCE = "silenced"
    FLUSH = "flushed"
    WIPE = "wiped"
    """Killed, and its files removed."""
    FILL = "filled"
    FORWARD = "set forward"
    BACK = "set back"


class Target(StrEnum):
    """What it is done to."""

    HOME_CHILD = "child of home"
    CPU_CHILD = "child of cpu"
    GPU_CHILD = "child of gpu"
    HOME = "home worker"
    CPU = "cpu worker"
    GPU = "gpu worker"
    BEAT = "beat"
    WATCHER = "watcher"
    SUPERVISOR = "supervisor"
    REDIS = "Redis"
    MODEL_SERVER = "model server"
    RUNNER = "model"
    UI = "UI"
    CLERK = "clerk"
    ADD = "add command"
    FAR_CHILD = "child elsewhere"
    FAR_WORKER = "worker elsewhere"
    FAR_KEEPER = "keeper elsewhere"
    FAR_LINK = "link to elsewhere"
    MODEL_LINK = "link to the model server"
    DISK = "disk"
    CLOCK = "clock"


Kind = tuple[Target, How]

_PROCESSES = (
    *(
        Target.HOME_CHILD,
        Target.CPU_CHILD,
        Target.GPU_CHILD,
        Target.HOME,
        Target.CPU,
        Target.GPU,
        Target.BEAT,
    ),
    *(Target.WATCHER, Target.SUPERVISOR, Target.REDIS, Target.MODEL_SERVER, Target.UI, Target.CLERK),
    *(Target.FAR_CHILD, Target.FAR_WORKER, Target.FAR_KEEPER),
)
_FREEZABLE = (
    *(Target.HOME_CHILD, Target.CPU_CHILD, Target.GPU_CHILD, Target.FAR_CHILD, Target.FAR_WORKER),
    Target.UI,
)
"""What a batch ends without: a pool replaces a process that hangs, others have the queues of a worker.

Not without the model server: documents that it has begun with wait for it."""

KINDS: tuple[Kind, ...] = (
    *((target, How.KILL) for target in (*_PROCESSES, Target.RUNNER, Target.ADD)),
    *((target, How.STOP) for target in _PROCESSES),
    *((target, How.FREEZE) for target in _FREEZABLE),
    *((link, how) for link in (Target.FAR_LINK, Target.MODEL_LINK) for how in (How.CUT, How.SILENCE)),
    (Target.REDIS, How.FLUSH),
    (Target.REDIS, How.WIPE),
    (Target.DISK, How.FILL),
    (Target.CLOCK, How.FORWARD),
    (Target.CLOCK, How.BACK),
)


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault at one moment."""

    target: Target
    how: How
    after: int
    """Units of the batch that are recorded before."""
    delay: float
    """Seconds from then."""
    seconds: float
    """How long it lasts; for the clock, by how much it is set."""

    @property
    def kind(self) -> str:
        """In words, as the report counts it."""
        return f"{self.target} {self.how}"


class Entry(StrEnum):
    """How documents come in."""

    COMMAND = "add"
    FOLDER = "watched folder"
    UI = "UI"


@dataclass(frozen=True, slots=True)
class Plan:
    """What happens in a round; follows from the seed and the round's number alone."""

    number: int
    entry: Entry
    documents: int
    with_scan: bool
    strikes: tuple[Strike, ...]


_DOUBLE_EVERY = 4
_SCAN_EVERY = 5
_LASTS = (0.5, 2.0, 5.0, 9.0, 15.0)
"""Seconds; a lease lasts 12."""
_JUMPS = (90, 3_600, 5 * 3_600, 26 * 3_600)


def make_plan(seed: int, number: int, kinds: tuple[Kind, ...] = KINDS) -> Plan:
    """The plan of a round. Each kind comes once before any comes again; targets take turns."""
    rng = random.Random(f"{seed} {number}")
    chosen = [_dealt(seed, number, kinds)]
    if number % _DOUBLE_EVERY == _DOUBLE_EVERY - 1:
        others = [kind for kind in kinds if kind[0] is not chosen[0][0]]
        chosen += rng.sample(others, min(1, len(others)))
    documents = rng.randrange(5, 9)
    strikes = tuple(_strike(rng, *kind, documents=documents) for kind in chosen)
    return Plan(
        number=number,
        entry=_entry(rng, {kind[0] for kind in chosen}),
        documents=documents,
        with_scan=Target.GPU_CHILD in {kind[0] for kind in chosen} or rng.randrange(_SCAN_EVERY) == 0,
        strikes=strikes,
    )


def _dealt(seed: int, number: int, kinds: tuple[Kind, ...]) -> Kind:
    """As cards that are shuffled anew when all have been dealt, sorted so that targets take turns."""
    turn, place = divmod(number, len(kinds))
    rng = random.Random(f"{seed} turn {turn}")
    shuffled = rng.sample(kinds, len(kinds))
    seen: dict[Target, int] = {}
    ranked = []
    for position, kind in enumerate(shuffled):
        seen[kind[0]] = seen.get(kind[0], -1) + 1
        ranked.append((seen[kind[0]], position, kind))
    return sorted(ranked)[place][2]


def _entry(rng: random.Random, targets: set[Target]) -> Entry:
    if Target.ADD in targets:
        return Entry.COMMAND
    if targets & {Target.UI, Target.CLERK}:
        return Entry.UI
    if Target.WATCHER in targets:
        return Entry.FOLDER
    return rng.choices(list(Entry), (2, 1, 1))[0]


def _strike(rng: random.Random, target: Target, how: How, *, documents: int) -> Strike:
    # What takes documents in is struck while it does; the rest anywhere in the first half of the batch.
    at_once = target in {Target.ADD, Target.CLERK, Target.WATCHER, Target.UI}
    after = 0 if at_once else rng.randrange(0, 2 * documents)
    seconds = float(rng.choice(_JUMPS)) if target is Target.CLOCK else rng.choice(_LASTS)
    return Strike(target, how, after, rng.uniform(0.0, 0.5), seconds)
