"""A few rounds of chaos on one system, with a fixed seed; many of them: `python -m tests.chaos`."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app import testing
from tests.chaos.clock import Clock
from tests.chaos.faults import KINDS, Entry, Target, make_plan
from tests.chaos.papers import write_batch
from tests.system import ROOT

ROUNDS = 6
SEED = 17910
"""Strikes the clock, Redis, the watcher, the link to elsewhere, a child there, a worker, and the disk."""


@pytest.mark.chaos
@pytest.mark.ocr
@pytest.mark.timeout(900)
def test_whatever_is_struck_nothing_is_lost_doubled_or_left_behind(tmp_path: Path) -> None:
    """In a process of its own: it mounts a small disk, which only a namespace of its own lets it."""
    figures = tmp_path / "figures.json"
    command = [sys.executable, "-m", "tests.chaos", "--rounds", str(ROUNDS), "--seed", str(SEED)]
    with subprocess.Popen(
        [*command, "--json", str(figures)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as running:
        try:
            words, _ = running.communicate()
        except BaseException:
            os.killpg(running.pid, signal.SIGKILL)
            raise
    assert running.returncode == 0, words
    told = json.loads(figures.read_text())
    assert (told["rounds"], told["lost"], told["doubled"], told["orphans"]) == (ROUNDS, 0, 0, 0)
    assert told["strikes"] + len(told["skipped"]) >= ROUNDS


def test_a_round_follows_from_the_seed_and_its_number_alone(tmp_path: Path) -> None:
    plans = [make_plan(7, number) for number in range(2 * len(KINDS))]
    assert plans == [make_plan(7, number) for number in range(2 * len(KINDS))]
    assert plans != [make_plan(8, number) for number in range(2 * len(KINDS))]
    struck = [(plan.strikes[0].target, plan.strikes[0].how) for plan in plans]
    assert sorted(struck[: len(KINDS)]) == sorted(KINDS) == sorted(struck[len(KINDS) :])
    assert {target for target, _ in struck[: len(Target)]} == set(Target)
    assert {plan.entry for plan in plans} == set(Entry)
    for folder in ("one", "other"):
        write_batch(tmp_path / folder, random.Random(3), 6, with_scan=True)
    for path in (tmp_path / "one").iterdir():
        if path.suffix in {".txt", ".md"}:
            assert path.read_bytes() == (tmp_path / "other" / path.name).read_bytes()


def test_a_machine_with_a_clock_of_its_own(tmp_path: Path) -> None:
    clock = Clock(tmp_path / "clock")
    if clock.problem:
        pytest.skip(clock.problem)
    clock.jump(-7200)
    code = "import time, subprocess; print(time.time()); subprocess.run(['date', '+%s'])"
    seen = subprocess.run([clock.python, "-c", code], capture_output=True, text=True, check=True).stdout
    assert all(7000 < time.time() - float(told) < 7400 for told in seen.split())


def test_the_time_for_chaos_and_its_seed_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        started.append([str(word) for word in command[1:]])
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(testing.subprocess, "run", run)
    assert testing.main(["--chaos", "2", "--chaos-seed", "5", "-k", "chaos"]) == 0
    assert started[-2] == ["-m", "tests.chaos", "--minutes", "2.0", "--seed", "5"]
    assert started[-1][-2:] == ["-k", "chaos"]
    assert testing.main(["tests/test_cli.py"]) == 0
    assert not any("tests.chaos" in word for word in started[-1])
