"""`python -m tests.chaos --rounds 200 --seed 1 --json FILE`: chaos, and a table of what it came to.

`--minutes M` goes on for so long instead; `--only N` runs one round of a seed again. See docs/chaos.md.
"""

import argparse
import os
import secrets
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from tests.chaos.disk import INSIDE, enter_namespace
from tests.chaos.faults import KINDS, Kind, make_plan
from tests.chaos.invariants import orphans
from tests.chaos.report import round_line, summary, table, write_json
from tests.chaos.rounds import GUARD_SECONDS, Result, Round
from tests.chaos.world import World, stopped_world


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--rounds", type=int, default=0, help="so many rounds; by default 10")
    parser.add_argument("--minutes", type=float, default=0.0, help="rounds for so long, instead")
    parser.add_argument("--seed", type=int, default=None, help="by default a random one, which is printed")
    parser.add_argument("--first", type=int, default=0, help="the number of the first round")
    parser.add_argument("--only", type=int, default=None, help="this round of the seed alone")
    parser.add_argument("--kinds", default="", help="only strikes whose names contain this")
    parser.add_argument("--guard", type=float, default=GUARD_SECONDS, help="seconds until a round hangs")
    parser.add_argument("--json", type=Path, default=None, help="write the figures to this file")
    given = parser.parse_args()
    if given.only is not None:
        given.first, given.rounds = given.only, 1
    if given.seed is None:
        given.seed = secrets.randbelow(10**6)
    return given


class Rounds:
    """Rounds on one world after the other; a new one only after a round that hung."""

    def __init__(self, given: argparse.Namespace, disk_problem: str) -> None:
        self.results: list[Result] = []
        self.orphans: list[str] = []
        self._given = given
        self._disk_problem = disk_problem
        self._kinds: tuple[Kind, ...] = tuple(kind for kind in KINDS if given.kinds in f"{kind[0]} {kind[1]}")
        self._until = time.monotonic() + 60 * given.minutes
        self._next = given.first

    @property
    def _goes_on(self) -> bool:
        if self._given.minutes:
            return time.monotonic() < self._until
        return len(self.results) < (self._given.rounds or 10)

    def run(self) -> None:
        """All of them."""
        while self._goes_on:
            with tempfile.TemporaryDirectory(prefix="shoebox-chaos-") as folder:
                self._run_in(Path(folder))

    def _run_in(self, folder: Path) -> None:
        world = World(folder, self._disk_problem)
        with world, stopped_world(world):
            while self._goes_on:
                plan = make_plan(self._given.seed, self._next, self._kinds)
                self._next += 1
                result = Round(world, plan, self._given.seed, self._given.guard).run()
                self.results.append(result)
                print(round_line(result), flush=True)
                for problem in result.problems:
                    print(f"  {problem}", flush=True)
                if result.hung:
                    break
        left = orphans(world)
        self.orphans += left
        for words in left:
            print(f"orphan: {words}", flush=True)


def main() -> int:
    """See the module. Returns the exit status: 1 if a promise was broken."""
    given = _arguments()
    problem = ""
    if INSIDE not in os.environ:
        seed = [] if "--seed" in " ".join(sys.argv) else ["--seed", str(given.seed)]
        problem = enter_namespace([*sys.argv[1:], *seed])
    print(f"seed {given.seed}; a round is run again by: --seed {given.seed} --only NUMBER", flush=True)
    rounds = Rounds(given, problem)
    with suppress(KeyboardInterrupt):  # what was seen until then is told
        rounds.run()
    figures = summary(rounds.results, rounds.orphans, given.seed)
    print(table(figures))
    if given.json:
        write_json(given.json, figures, rounds.results)
    return 1 if figures["failed_rounds"] or rounds.orphans else 0


if __name__ == "__main__":
    sys.exit(main())
