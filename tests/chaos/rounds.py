"""One round: documents come in, something is struck, and everything must end as if nothing had been."""

import hashlib
import random
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise

from tests.chaos.arrival import ByCommand, arrival
from tests.chaos.faults import Entry, How, Plan, Target
from tests.chaos.invariants import broken_promises
from tests.chaos.papers import write_batch
from tests.chaos.standstill import standstill
from tests.chaos.striking import Striker, Struck, why_not
from tests.chaos.world import World

_LOOK_SECONDS = 0.05
_CARE_SECONDS = 0.5
GUARD_SECONDS = 180.0
"""A round that takes longer than this hangs."""


@dataclass
class Result:
    """How a round went."""

    plan: Plan
    documents: int = 0
    skipped: list[str] = field(default_factory=list)
    """Strikes that this machine does not allow, with the reason."""
    struck: list[Struck] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """Promises that were broken; empty if all were kept."""
    lost: int = 0
    doubled: int = 0
    orphans: int = 0
    to_progress: float | None = None
    """Seconds from the last strike to the next unit that was recorded, or the batch's end."""
    standstill: float | None = None
    """The longest time from the strike on in which nothing was recorded, in seconds."""
    seconds: float = 0.0
    ups: int = 0
    """How often a person had to start the services again, as the product told them."""
    said: list[str] = field(default_factory=list)
    """What a person was told and had to do again."""
    hung: bool = False

    @property
    def kinds(self) -> list[str]:
        """What was struck."""
        return [one.strike.kind for one in self.struck]


class Round:
    """A round under way."""

    def __init__(self, world: World, plan: Plan, seed: int, guard_seconds: float = GUARD_SECONDS) -> None:
        self._world = world
        self._plan = plan
        self._guard_seconds = guard_seconds
        rng = random.Random(f"{seed} {plan.number} papers")
        folder = world.folder / "papers" / f"{seed} {plan.number}"
        self._paths = write_batch(folder, rng, plan.documents, with_scan=plan.with_scan)
        self._hashes = {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in self._paths}
        self._arrival = arrival(plan.entry, world, self._paths)
        self._striker = Striker(world, random.Random(f"{seed} {plan.number} striking"))
        self._result = Result(plan, documents=plan.documents)
        self._care_at = 0.0
        self._up_at: float | None = None
        self._recorded: set[int] = set()
        self._moments: list[float] = []
        """When a unit of the batch was recorded, since the last strike."""
        self._ended_at: float | None = None
        self._db = sqlite3.connect(world.settings.ledger_path, timeout=30, isolation_level=None)

    def run(self) -> Result:
        """Run it to its end, and look whether everything is as promised."""
        began = time.monotonic()
        with closing(self._db):
            self._world.make_ready()
            if self._plan.entry is Entry.UI:
                self._world.open_window()
            self._arrival.begin()
            self._strike_all()
            self._await_end(began + self._guard_seconds)
            self._measure()
            for struck in self._result.struck:
                struck.end()
        self._result.seconds = time.monotonic() - began
        self._result.said = self._arrival.said
        self._world.make_ready()
        broken_promises(self._world, self._result, self._hashes)
        return self._result

    # Striking

    def _strike_all(self) -> None:
        for strike in sorted(self._plan.strikes, key=lambda one: one.after):
            if reason := why_not(self._world, strike):
                self._result.skipped.append(f"{strike.kind}: {reason}")
                continue
            self._until(lambda after=strike.after: len(self._recorded) >= after or self._has_ended(), 20.0)
            self._pause(strike.delay)
            adding = self._arrival.process if isinstance(self._arrival, ByCommand) else None
            self._look()
            self._result.struck.append(self._striker.strike(strike, adding))
            self._moments = []

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        self._until(lambda: time.monotonic() >= until, seconds + 1)

    def _until(self, condition: "object", seconds: float) -> bool:
        assert callable(condition)
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            self._look()
            self._care()
            time.sleep(_LOOK_SECONDS)
        return True

    # Looking

    def _look(self) -> None:
        """Note the units that have been recorded since the last look."""
        holes = ", ".join("?" * len(self._hashes))
        query = (
            "SELECT units.id FROM units JOIN documents ON documents.id = units.document"
            f" WHERE documents.sha256 IN ({holes}) AND units.state = 'done'"
        )
        try:
            found = {row[0] for row in self._db.execute(query, list(self._hashes))}
        except sqlite3.OperationalError:  # the disk is full: even reading may need a byte
            return
        if found - self._recorded:
            self._moments.append(time.monotonic())
        self._recorded |= found

    def _states(self) -> dict[str, str]:
        holes = ", ".join("?" * len(self._hashes))
        query = f"SELECT sha256, state FROM documents WHERE sha256 IN ({holes})"
        try:
            return dict(self._db.execute(query, list(self._hashes)).fetchall())
        except sqlite3.OperationalError:
            return {}

    def _is_complete(self) -> bool:
        return len(self._states()) == len(self._hashes)

    def _has_ended(self) -> bool:
        states = self._states()
        final = {"done", "review", "failed", "quarantined", "cancelled"}
        return len(states) == len(self._hashes) and set(states.values()) <= final

    # Caring

    def _care(self) -> None:
        """Mend what has lasted long enough, and do what a person would."""
        for struck in self._result.struck:
            if struck.is_due:
                struck.end()
        now = time.monotonic()
        if now < self._care_at:
            return
        self._care_at = now + _CARE_SECONDS
        self._arrival.tend(self._is_complete)
        self._care_for_far()
        self._care_for_models()
        self._care_for_services(now)

    def _care_for_far(self) -> None:
        keeper_is_gone = any(
            one.strike.target is Target.FAR_KEEPER and one.killed for one in self._result.struck
        )
        if keeper_is_gone and self._world.far.running.poll() is not None:
            self._world.start_elsewhere()

    def _care_for_models(self) -> None:
        for struck in self._result.struck:
            is_killed = struck.strike.target is Target.MODEL_SERVER and struck.strike.how is How.KILL
            process = self._world.double.process
            ended = process is None or process.poll() is not None
            if is_killed and ended and time.monotonic() - struck.at >= struck.strike.seconds:
                self._world.double.kill()
                self._world.double.start()

    def _care_for_services(self, now: float) -> None:
        """A supervisor that was killed is started again, once somebody has seen what `status` says."""
        if not any(one.strike.target is Target.SUPERVISOR and one.killed for one in self._result.struck):
            return
        if self._world.supervisor():
            self._up_at = None
            return
        if self._up_at is None:
            self._up_at = now + 1.0
        elif now >= self._up_at:
            self._do_as_status_says()
            self._up_at = None

    def _do_as_status_says(self) -> None:
        told = self._world.system.run("status", check=False)
        words = told.stdout + told.stderr
        if "./run.sh up" not in words:
            self._result.problems.append(f"`status` does not say what to do: {words[:500]}")
        self._world.up()
        self._result.ups += 1

    def _await_end(self, deadline: float) -> None:
        def is_over() -> bool:
            has_ended = self._has_ended()
            if has_ended and self._ended_at is None:
                self._ended_at = time.monotonic()
            return has_ended and self._arrival.is_done and not self._is_lasting()

        if not self._until(is_over, deadline - time.monotonic()):
            self._result.hung = True
            self._result.problems.append(standstill(self._world, self._result.struck, self._hashes))

    def _is_lasting(self) -> bool:
        return any(one.mend is not None and one.strike.how is not How.FREEZE for one in self._result.struck)

    def _measure(self) -> None:
        if not self._result.struck:
            return
        last = max(one.at for one in self._result.struck)
        times = [last, *self._moments]
        if self._ended_at is not None and self._ended_at > times[-1]:
            times.append(self._ended_at)
        if not self._moments:
            return  # the batch had ended before it was struck
        self._result.to_progress = times[1] - last
        self._result.standstill = max(later - earlier for earlier, later in pairwise(times))
