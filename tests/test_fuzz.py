"""A short pass of fuzzing over all that reads foreign input; `python -m tests.fuzz` does so for longer."""

import json
from pathlib import Path

import pytest
from hypothesis import strategies as st

from app.plans.journal import Journal as Plans
from app.watch.journal import Journal as Watched
from tasks.documents import Stage
from tasks.errors import ConfigError, ServiceError
from tasks.exchange import Exchange
from tasks.ledger import Ledger
from tasks.orders import UNKNOWN_ISSUE, Order, Outcome, Presence
from tasks.settings import Settings, get_settings
from tests.fuzz import __main__ as command
from tests.fuzz import runner
from tests.fuzz.runner import Found, Target, fuzz
from tests.fuzz.targets import TARGETS

_SLOW = {"ollama", "openai", "repairs", "asking", "values", "plans", "watched", "settings", "recipe"}


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_foreign_breaks_a_reader(name: str) -> None:
    """The examples that once did are always among those that are tried."""
    found = fuzz(TARGETS[name], 0, seed=8, most=15 if name in _SLOW else 60)
    assert found.crashes == {}
    assert found.cases > len(TARGETS[name].examples)


def test_one_outcome_that_nobody_can_read_is_a_failure_of_its_unit_alone(exchange: Exchange) -> None:
    orders = [Order(home="0f", unit=unit, issue=3, document="d", stage=Stage.OCR) for unit in (1, 2)]
    for order in orders:
        assert exchange.take_lease(order, 60)
        exchange.put_outcome(order, Outcome(issue=3, result={}))
    exchange.redis.set("shoebox:0f:1:outcome", b'{"issue": 3, "of a later version": true}')
    traces = exchange.traces("0f", [1, 2])
    assert traces[2].outcome == Outcome(issue=3, result={})
    broken = traces[1].outcome
    assert broken is not None and broken.failure is not None
    assert (broken.issue, broken.failure.kind) == (UNKNOWN_ISSUE, "error")
    assert exchange.outcome("0f", 1) == broken


def _broken(example: int) -> None:
    assert example < 100


def _endless(_: int) -> None:
    while True:
        pass


def test_a_crash_is_found_and_what_never_ends_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    found = fuzz(Target("broken", st.integers(0, 1000), _broken, (200,)), 0, seed=1, most=60)
    assert found.cases == 60
    (crash,) = found.crashes.values()
    assert "AssertionError" in crash
    monkeypatch.setattr(runner, "HANG_SECONDS", 0.05)
    hung = fuzz(Target("endless", st.integers(), _endless), 0, seed=1, most=1)
    assert [key.split(" at ")[0] for key in hung.crashes] == ["HangError"]


def test_the_same_seed_gives_the_same_examples() -> None:
    def tried(seed: int) -> list[str]:
        texts: list[str] = []
        fuzz(Target("listening", st.text(), texts.append), 0, seed, most=20)
        return texts

    assert tried(3) == tried(3)
    assert tried(3) != tried(4)


def test_the_command_prints_a_table_and_tells_by_its_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def one(target: Target, seconds: float, seed: int) -> Found:
        assert (seconds, seed) == (30, 5)
        return Found(
            target.name, seconds, 7, {"ValueError at a.py:1": "'x'"} if target.name == "paste" else {}
        )

    monkeypatch.setattr(command, "fuzz", one)
    arguments = ["--minutes", "0.5", "--seed", "5", "--json", str(tmp_path / "found.json")]
    assert command.main([*arguments, "--only", "names"]) == 0
    assert command.main([*arguments, "--only", "names", "--only", "paste"]) == 1
    printed = capsys.readouterr().out
    assert "ValueError at a.py:1" in printed
    found = json.loads((tmp_path / "found.json").read_text())
    assert [target["cases"] for target in found["targets"]] == [7, 7]
    assert command.main(["--only", "nothing"]) == 2


def test_a_presence_that_nobody_can_read_hides_no_other(exchange: Exchange) -> None:
    exchange.announce_presence(Presence(worker="b", queues=("cpu",), slots=1, pid=1), 60)
    for worker, announced in {"a": b"\xff", "c": b"{}", "d": b'{"until": 9e9, "presence": 5}'}.items():
        exchange.redis.hset("shoebox:presence", worker, announced)
    assert [presence.worker for presence in exchange.presence()] == ["b"]


@pytest.mark.parametrize("kind", [Plans, Watched])
def test_a_damaged_journal_is_named(settings: Settings, kind: type[Plans] | type[Watched]) -> None:
    with kind.open(settings):
        pass
    (file,) = settings.data_dir.glob("*.sqlite3")
    file.write_bytes(b"no database at all" * 100)
    with pytest.raises(ServiceError, match="damaged") as caught, kind.open(settings):
        pass
    assert str(file) in caught.value.message


def test_a_ledger_that_is_none_is_named(settings: Settings) -> None:
    settings.data_dir.mkdir()
    settings.ledger_path.write_bytes(b"no database at all" * 100)
    with pytest.raises(ServiceError) as caught:
        Ledger.open(settings)
    assert str(settings.ledger_path) in caught.value.message


@pytest.mark.parametrize("content", [b"\xff", b"a = " + b"[" * 20_000])
def test_a_settings_file_that_is_no_text_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(content)
    monkeypatch.setenv("SHOEBOX_CONFIG", str(file))
    with pytest.raises(ConfigError) as caught:
        get_settings()
    assert str(file) in caught.value.message
