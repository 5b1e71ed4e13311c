"""Hundreds of moves, ended by SIGKILL again and again, and undone. SHOEBOX_MOVES=1000 makes it a thousand."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.plans.journal import Action, Journal, StepState
from tasks.ledger import Ledger
from tests.system import System
from tests.test_plans import Desk, tree_of

MOVES = int(os.environ.get("SHOEBOX_MOVES", "300"))
KILLS = 20


@pytest.mark.parametrize("action", list(Action))
def test_files_are_moved_killed_twenty_times_and_undone(tmp_path: Path, action: Action) -> None:
    system = System(tmp_path / "home")
    chance = random.Random(11)
    papers = (tmp_path / "papers").resolve()
    papers.mkdir()
    with Ledger.open(system.settings) as ledger, Journal.open(system.settings) as journal:
        desk = Desk(papers, ledger, journal, system.settings)
        with ledger.transaction():
            for number in range(MOVES):
                desk.paper(f"{number % 7}/{number}.txt", title=f"Paper {number % 500}")
        before = tree_of(papers)
        originals = desk.originals()
        plan = desk.plan(action, "{category}/{title}{ext}")
        at = sorted(chance.sample(range(MOVES), KILLS // 2))
        for done in at:
            kill_after(system, journal, ("plans", "apply", plan.name, "--yes"), StepState.DONE, done)
        for undone in at:
            kill_after(system, journal, ("undo", plan.name, "--yes"), StepState.UNDONE, undone)
        system.run("undo", plan.name, "--yes")
        assert tree_of(papers) == before
        assert desk.originals() == originals


def kill_after(
    system: System, journal: Journal, arguments: tuple[str, ...], state: StepState, number: int
) -> None:
    """Run a command, and kill it as soon as so many steps are in this state. It must not end before."""
    process = subprocess.Popen(
        [sys.executable, "-m", "app", *arguments],
        env=system.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    (plan,) = journal.plans()
    begun_at = journal.counts(plan.id).get(state, 0)
    while process.poll() is None and (now := journal.counts(plan.id).get(state, 0)) <= number:
        if now == begun_at:  # it starts, which takes longer than all that it does then
            time.sleep(0.001)
        else:
            os.sched_yield()
    process.kill()
    _, words = process.communicate()
    assert process.returncode == -9, words
