"""What must survive: killed children, killed workers, a Redis that is wiped, poison."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tasks.documents import FINAL_STATES, Stage, State
from tests import samples
from tests.samples import scans
from tests.system import System

pytestmark = [pytest.mark.chaos, pytest.mark.ocr, pytest.mark.timeout(600)]


def recorded_pages(system: System, document: str) -> set[int]:
    """The units of OCR that are recorded as done."""
    return {u.id for u in system.units(document) if u.stage is Stage.OCR and u.state is State.DONE}


def await_busy_ocr(system: System, document: str, at_least: int) -> int:
    """Wait until so many OCR units are recorded and another is being read; returns its process."""
    system.await_true(lambda: len(recorded_pages(system, document)) >= at_least, what="units recorded")
    return system.await_true(lambda: system.running_pids("ocr", "gpu"), what="an OCR unit is running")[0]


def test_a_scan_survives_the_death_of_its_child_and_of_its_worker(
    own_system: Callable[..., System], tmp_path: Path
) -> None:
    system = own_system(SHOEBOX_OCR_WINDOW_PAGES="2")
    path = tmp_path / "scan.pdf"
    path.write_bytes(scans.scanned(pages=6, lines=4))
    system.run("add", path)
    document = system.documents()[0].id

    system.kill(await_busy_ocr(system, document, at_least=1))
    before = {u.id: u.seconds for u in system.units(document) if u.state is State.DONE}
    await_busy_ocr(system, document, at_least=len(recorded_pages(system, document)) + 1)
    system.kill(system.program_pid("gpu"))
    [ended] = system.await_ended()

    assert ended.state in {State.DONE, State.REVIEW}
    assert ended.page_count == 6
    after = {u.id: u for u in system.units(document)}
    assert all(after[number].seconds == seconds for number, seconds in before.items())
    assert {u.state for u in after.values()} == {State.DONE}
    # Only the two units that were cut off were tried again; the first of them page by page.
    again = [u for u in after.values() if u.stage is Stage.OCR and u.attempts > 0]
    assert len(again) <= 4


def test_a_batch_survives_a_redis_that_is_killed_and_wiped(emptied: System, tmp_path: Path) -> None:
    system = emptied
    samples.make_corpus(tmp_path / "batch", 40)
    (tmp_path / "batch" / "truth.json").unlink()
    system.run("add", tmp_path / "batch")
    system.await_true(
        lambda: any(document.state in FINAL_STATES for document in system.documents()), what="one is done"
    )
    append_only = system.settings.data_dir / "redis" / "appendonlydir"
    redis = system.program_pid("redis")
    append_only.rename(tmp_path / "gone")
    system.kill(redis)
    ended = system.await_ended()
    assert len(ended) == 40
    assert {document.state for document in ended} == {State.DONE}


def test_a_file_that_kills_its_worker_is_set_aside_and_the_rest_goes_on(
    emptied: System, tmp_path: Path
) -> None:
    system = emptied
    poison, letter = tmp_path / "poison.png", tmp_path / "letter.pdf"
    poison.write_bytes(scans.png())
    samples.make("letter.pdf", tmp_path)
    system.run("add", poison)
    document = system.documents()[0].id

    def strike() -> Iterator[None]:
        while system.documents()[0].state not in FINAL_STATES:
            for pid in system.running_pids("ocr", "gpu"):
                system.kill(pid)
            yield

    strikes = strike()
    system.await_true(lambda: next(strikes, "ended") == "ended", what="the poison is set aside")
    [unit] = [u for u in system.units(document) if u.stage is Stage.OCR]
    assert unit.state is State.QUARANTINED
    assert unit.attempts == 3
    assert "killed" in system.documents()[0].message or "died" in system.documents()[0].message
    system.run("add", letter, "--wait")
    system.run("retry", document, "--wait")
    assert system.json("show", document)["page_texts"][0]["text"]


def test_a_file_that_hangs_is_stopped_by_the_time_limit(
    own_system: Callable[..., System], tmp_path: Path
) -> None:
    # No page is read in a tenth of a second, so every page hangs as far as the limit is concerned.
    system = own_system(SHOEBOX_PAGE_SECONDS="0.1", SHOEBOX_MAX_ATTEMPTS="2")
    scan = samples.make("page.png", tmp_path)
    letter = samples.make("letter.pdf", tmp_path)
    system.run("add", scan, letter)
    ended = {document.name: document for document in system.await_ended()}
    assert ended["letter.pdf"].state is State.DONE
    assert ended["page.png"].state is State.REVIEW
    assert "took longer than" in ended["page.png"].message


def test_results_wait_while_home_is_down(emptied: System, tmp_path: Path) -> None:
    system = emptied
    paths = samples.make_corpus(tmp_path / "batch", 10)
    system.run("add", *paths)
    system.kill(system.program_pid("home"))
    system.run("down")
    assert system.processes() == {}
    system.run("up")
    assert {document.state for document in system.await_ended()} == {State.DONE}
