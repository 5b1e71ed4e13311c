"""The benches are alive: they are found, and one of them runs at a tiny scale."""

import json
from pathlib import Path

import pytest

from tests.bench import __main__ as bench
from tests.bench.page import Run, page
from tests.bench.probe import Probe
from tests.bench.result import BenchResult, at_least, at_most, from_found
from tests.bench.swaps import swaps

pytestmark = pytest.mark.timeout(600)


def test_the_bars_of_the_gpu_box_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--list"]) == 0
    listed = capsys.readouterr().out
    assert {"versus", "swaps", "idle", "overhead", "cuda"} <= set(bench.names())
    assert all(f"  {name} " in listed for name in bench.names())
    assert "python -m tests.bench_ocr" in listed


def test_one_bench_runs_and_is_written_down(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = tmp_path / "found.json"
    assert bench.main(["overhead", "--scale", "0.001", "--json", str(written)]) == 0
    found = json.loads(written.read_text())
    [result] = [BenchResult.model_validate(each) for each in found["results"]]
    assert result.figures["publish to start, ms, median"] > 0
    assert result.figures["end to recorded, ms, median"] > 0
    assert result.figures["documents submitted"] == 50
    assert found["machine"]["cores"] >= 1
    assert str(tmp_path) not in written.read_text()
    assert "documents a second" in capsys.readouterr().out


def test_a_bench_that_cannot_be_run_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(name: str, scale: float) -> BenchResult:
        if name == "idle":
            raise OSError("no room")
        return BenchResult(name=name, ratios={"speed": at_least(1, 2)})

    monkeypatch.setattr(bench, "measure", broken)
    assert bench.main(["idle", "cuda"]) == 1
    printed = capsys.readouterr().out
    assert "could not be run: OSError: no room" in printed
    assert "NOT KEPT" in printed


def test_an_unknown_bench_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["speed"]) == 2
    assert "overhead" in capsys.readouterr().err


def test_a_plain_dictionary_becomes_a_result() -> None:
    found = from_found("cutoff", {"seconds away": 60, "how": "two network namespaces"})
    assert found.figures == {"seconds away": 60}
    assert found.notes == ["how: two network namespaces"]
    kept = from_found("cutoff", {"figures": {"lost": 0}, "ratios": {"twice": at_most(0, 0).model_dump()}})
    assert kept.ratios["twice"].kept


def test_the_page_is_made_of_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow, fast = tmp_path / "slow.json", tmp_path / "fast.json"
    for file, value in ((slow, 1.25), (fast, 2.5)):
        found = {"figures": {"wall, s": 1234.5}, "ratios": {"a | b": at_least(value, 2).model_dump()}}
        monkeypatch.setattr(bench, "measure", lambda name, scale, found=found: from_found(name, found))
        assert bench.main(["versus", "--json", str(file)]) == 0
    runs = [Run.model_validate(json.loads(file.read_text())) for file in (slow, fast)]
    assert "| a \\| b | 2.5 | at least 2 | kept | 1.25 at scale 1 |" in page(runs)
    assert "| a \\| b | 1.25 | at least 2 | **not kept** |  |" in page(runs[:1])
    assert "| wall, s | 1,234 |" in page(runs)
    assert page(runs).count("## versus") == 1


def test_swaps_count_the_first_load_and_every_change() -> None:
    assert swaps([]) == 0
    assert swaps(["paddleocr", "paddleocr", "a", "b", "a"]) == 4


def test_the_probe_reads_a_unit_from_what_redis_was_told(tmp_path: Path) -> None:
    order = r"\"headers\": {\"id\": \"0f.7.2\"}"
    commands = [
        f'+1.5 [0 unix:r] "LPUSH" "gpu\\x06\\x166" "{{{order}}}"',
        '1.75 [0 unix:r] "SET" "shoebox:0f:7:lease" "host:12:1.7:34:2" "PX" "12000" "NX"',
        '2.0 [0 unix:r] "SET" "shoebox:0f:7:outcome" "{}" "EX" "604800"',
        '2.25 [0 unix:r] "SET" "shoebox:0f:7:done" "1" "EX" "86400"',
    ]
    (tmp_path / "monitor").write_text("+OK\n" + "\r\n".join(commands) + "\r\n")
    times = Probe("unix:///nowhere", tmp_path / "monitor").times()[7]
    assert (times.published, times.started, times.ended, times.recorded) == (1.5, 1.75, 2.0, 2.25)
    assert (times.queue, times.worker_pid, times.pid) == ("gpu", 12, 34)
    assert times.is_whole
