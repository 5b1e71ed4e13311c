"""What comes next for a document: decided in the ledger, without Redis and without workers."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks import spool
from tasks.documents import (
    Analysis,
    Classification,
    Extraction,
    Failure,
    Field,
    FieldStatus,
    OcrResult,
    Page,
    Stage,
    State,
    TextSource,
)
from tasks.errors import FileError, NotFoundError
from tasks.ledger import DocumentRow, Ledger
from tasks.orders import OcrParams, Outcome
from tasks.pipeline import Pipeline
from tasks.settings import Settings
from tasks.units import UnitRow, mark_queued, units_of


@pytest.fixture
def pipeline(ledger: Ledger, settings: Settings) -> Pipeline:
    return Pipeline(ledger, settings)


@pytest.fixture
def add(pipeline: Pipeline, tmp_path: Path) -> Callable[..., DocumentRow]:
    def add_file(name: str = "a.pdf", text: str = "some text", urgent: bool = False) -> DocumentRow:
        path = tmp_path / name
        path.write_text(text)
        return pipeline.submit(path, "builtin", urgent=urgent).document

    return add_file


class Worker:
    """Stands in for the workers: takes each waiting unit and gives it the outcome that is told."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.ledger = pipeline.ledger

    def waiting(self, document: DocumentRow) -> list[UnitRow]:
        return [u for u in units_of(self.ledger, document.id) if u.state is State.WAITING]

    def take(self, document: DocumentRow) -> UnitRow:
        return mark_queued(self.ledger, self.waiting(document)[0].id)

    def succeed(self, document: DocumentRow, result: Any) -> None:
        unit = self.take(document)
        outcome = Outcome(issue=unit.issue, result=result.model_dump(mode="json"))
        self.pipeline.record(unit.id, outcome)

    def fail(self, document: DocumentRow, kind: str) -> None:
        unit = self.take(document)
        self.pipeline.record(
            unit.id, Outcome(issue=unit.issue, failure=Failure(kind=kind, message=f"It was {kind}."))
        )

    def state(self, document: DocumentRow) -> State:
        row = self.ledger.document(document.id)
        assert row is not None
        return row.state


@pytest.fixture
def worker(pipeline: Pipeline) -> Worker:
    return Worker(pipeline)


def text_page(number: int, text: str = "Invoice") -> Page:
    return Page(number=number, text=text, source=TextSource.LAYER, score=1.0)


def scanned_page(number: int) -> Page:
    return Page(number=number, text="", source=TextSource.NONE, score=0.0, needs_ocr=True)


def extraction(*pages: Page) -> Extraction:
    return Extraction(mime="application/pdf", pages=pages)


INVOICE = Classification(category="invoice", confidence=0.9, evidence=("'Invoice' on page 1",))
TOTAL = Field(
    name="total",
    value="2.50",
    quote="2,50",
    page=1,
    start=0,
    end=4,
    status=FieldStatus.VERIFIED,
    confidence=0.9,
)
ANALYSIS = Analysis(title="A bill", summary="For something.", fields=(TOTAL,))


def read_to_the_end(worker: Worker, document: DocumentRow, *pages: Page) -> None:
    worker.succeed(document, extraction(*(pages or (text_page(1),))))
    worker.succeed(document, INVOICE)
    worker.succeed(document, ANALYSIS)


def test_a_document_goes_through_all_stages(
    worker: Worker, add: Callable[..., DocumentRow], ledger: Ledger
) -> None:
    document = add()
    assert document.state is State.WAITING
    read_to_the_end(worker, document)
    row = ledger.document(document.id)
    assert row is not None
    assert (row.state, row.category, row.amount, row.title) == (State.DONE, "invoice", "2.50", "A bill")
    assert row.provisional and row.engine == "offline"
    assert ledger.fields(document.id) == [TOTAL]
    assert {u.state for u in units_of(ledger, document.id)} == {State.DONE}


def test_only_pages_without_good_text_are_ocred_in_windows(
    worker: Worker, add: Callable[..., DocumentRow], ledger: Ledger
) -> None:
    document = add()
    worker.succeed(document, extraction(text_page(1), *(scanned_page(n) for n in range(2, 8)), text_page(8)))
    windows = [OcrParams.model_validate(u.params).pages for u in worker.waiting(document)]
    assert windows == [(2, 3, 4, 5), (6, 7)]


def test_the_same_content_is_known_and_not_read_again(
    worker: Worker, add: Callable[..., DocumentRow], pipeline: Pipeline, tmp_path: Path
) -> None:
    document = add("a.pdf")
    (tmp_path / "copy.pdf").write_text("some text")
    again = pipeline.submit(tmp_path / "copy.pdf", "builtin", urgent=False)
    assert not again.new
    assert again.document.id == document.id
    assert again.document.name == "a.pdf"


def test_a_file_that_was_moved_is_found_at_its_new_place(
    add: Callable[..., DocumentRow], pipeline: Pipeline, tmp_path: Path
) -> None:
    add("a.pdf")
    moved = (tmp_path / "a.pdf").rename(tmp_path / "b.pdf")
    again = pipeline.submit(moved, "builtin", urgent=False)
    assert not again.new
    assert Path(os.fsdecode(again.document.path)) == moved


def test_an_outcome_is_recorded_once(
    worker: Worker, add: Callable[..., DocumentRow], pipeline: Pipeline, ledger: Ledger
) -> None:
    document = add()
    unit = worker.take(document)
    outcome = Outcome(issue=unit.issue, result=extraction(text_page(1)).model_dump(mode="json"))
    assert pipeline.record(unit.id, outcome) is not None
    assert pipeline.record(unit.id, outcome) is None
    assert len(units_of(ledger, document.id, Stage.CLASSIFY)) == 1


def test_a_late_success_of_an_older_issue_counts_and_a_late_failure_does_not(
    worker: Worker, add: Callable[..., DocumentRow], pipeline: Pipeline
) -> None:
    document = add()
    worker.fail(document, "died")
    unit = worker.take(document)
    assert unit.issue == 2
    late = Outcome(issue=1, failure=Failure(kind="died", message="late"))
    assert pipeline.record(unit.id, late) is None
    success = Outcome(issue=1, result=extraction(text_page(1)).model_dump(mode="json"))
    assert pipeline.record(unit.id, success) is not None


def test_three_deaths_put_a_document_into_quarantine(
    worker: Worker, add: Callable[..., DocumentRow], ledger: Ledger
) -> None:
    document = add()
    for _ in range(3):
        assert worker.state(document) in {State.WAITING, State.RUNNING}
        worker.fail(document, "died")
    row = ledger.document(document.id)
    assert row is not None
    assert (row.state, row.message) == (State.QUARANTINED, "It was died.")
    assert worker.waiting(document) == []


def test_a_lost_payload_costs_no_attempt(worker: Worker, add: Callable[..., DocumentRow]) -> None:
    document = add()
    for _ in range(10):
        worker.fail(document, "lost")
    assert worker.waiting(document)[0].attempts == 0


def test_a_file_at_fault_fails_at_once(worker: Worker, add: Callable[..., DocumentRow]) -> None:
    document = add()
    worker.fail(document, "file")
    assert worker.state(document) is State.FAILED


def test_a_file_that_met_a_limit_is_set_aside_at_once(
    worker: Worker, add: Callable[..., DocumentRow]
) -> None:
    document = add()
    worker.fail(document, "limit")
    assert worker.state(document) is State.QUARANTINED
    assert worker.waiting(document) == []


def test_a_file_with_an_unread_page_is_read_again(
    worker: Worker, add: Callable[..., DocumentRow], ledger: Ledger
) -> None:
    document = add()
    cut = text_page(1).model_copy(update={"error": "It was not read: it is too long."})
    worker.succeed(document, extraction(cut))
    row = ledger.document(document.id)
    assert row is not None
    worker.pipeline.retry(row)
    assert [unit.stage for unit in worker.waiting(document)] == [Stage.EXTRACT]


def test_a_bad_page_stands_alone_and_does_not_cost_the_others(
    worker: Worker, add: Callable[..., DocumentRow], ledger: Ledger
) -> None:
    document = add()
    worker.succeed(document, extraction(scanned_page(1), scanned_page(2)))
    worker.fail(document, "died")
    assert [OcrParams.model_validate(u.params).pages for u in worker.waiting(document)] == [(1,), (2,)]
    worker.fail(document, "died")
    worker.fail(document, "died")
    good = Page(number=2, text="Invoice", source=TextSource.OCR, score=0.9)
    worker.succeed(document, OcrResult(pages=(good,)))
    worker.succeed(document, INVOICE)
    worker.succeed(document, ANALYSIS)
    row = ledger.document(document.id)
    assert row is not None
    assert row.state is State.REVIEW
    assert row.message == "Page 1: It was died."


def test_retry_reads_only_the_pages_again_that_could_not_be_read(
    worker: Worker, add: Callable[..., DocumentRow], pipeline: Pipeline, ledger: Ledger
) -> None:
    document = add()
    worker.succeed(document, extraction(*(scanned_page(n) for n in (1, 2, 3))))
    good = [Page(number=n, text="Invoice", source=TextSource.OCR, score=0.9) for n in (1, 3)]
    bad = scanned_page(2).model_copy(update={"error": "It was smudged."})
    worker.succeed(document, OcrResult(pages=(good[0], bad, good[1])))
    worker.succeed(document, INVOICE)
    worker.succeed(document, ANALYSIS)
    assert worker.state(document) is State.REVIEW
    pipeline.retry(document)
    [again] = worker.waiting(document)
    assert OcrParams.model_validate(again.params).pages == (2,)
    assert [page.text for page in ledger.pages(document.id)] == ["Invoice", "", "Invoice"]


def test_a_document_without_text_goes_to_review(
    worker: Worker, add: Callable[..., DocumentRow], ledger: Ledger
) -> None:
    document = add()
    worker.succeed(document, extraction(scanned_page(1)))
    worker.succeed(document, OcrResult(pages=(Page(number=1, text="", source=TextSource.OCR, score=0.0),)))
    row = ledger.document(document.id)
    assert row is not None
    assert (row.state, row.message) == (State.REVIEW, "No text was found on its page.")


def test_an_uncertain_category_goes_to_review(
    worker: Worker, add: Callable[..., DocumentRow], ledger: Ledger
) -> None:
    document = add()
    worker.succeed(document, extraction(text_page(1)))
    worker.succeed(document, Classification(category="letter", confidence=0.3))
    worker.succeed(document, Analysis(title="", summary=""))
    row = ledger.document(document.id)
    assert row is not None
    assert row.state is State.REVIEW
    assert "'letter' is uncertain (30%)" in row.message


@pytest.mark.parametrize(
    "invention",
    [
        Classification(category="bribe", confidence=1.0),
        Analysis(title="not a classification", summary=""),
    ],
)
def test_a_result_that_is_not_allowed_is_a_failure(
    worker: Worker, add: Callable[..., DocumentRow], invention: Any
) -> None:
    document = add()
    worker.succeed(document, extraction(text_page(1)))
    for _ in range(3):
        worker.succeed(document, invention)
    assert worker.state(document) is State.QUARANTINED


def test_a_field_that_the_recipe_lacks_is_a_failure(
    worker: Worker, add: Callable[..., DocumentRow], ledger: Ledger
) -> None:
    document = add()
    worker.succeed(document, extraction(text_page(1)))
    worker.succeed(document, INVOICE)
    invented = Field(name="state", value="done")
    worker.succeed(document, Analysis(title="", summary="", fields=(invented,)))
    assert ledger.fields(document.id) == []
    assert worker.waiting(document)[0].attempts == 1


def test_cancelling_ends_a_document_and_ignores_what_still_comes(
    worker: Worker, add: Callable[..., DocumentRow], pipeline: Pipeline
) -> None:
    document = add()
    unit = worker.take(document)
    assert pipeline.cancel(document)
    assert worker.state(document) is State.CANCELLED
    late = Outcome(issue=unit.issue, result=extraction(text_page(1)).model_dump(mode="json"))
    assert pipeline.record(unit.id, late) is None
    assert worker.state(document) is State.CANCELLED
    assert not pipeline.cancel(document)


def test_retry_uses_what_is_known(
    worker: Worker, add: Callable[..., DocumentRow], pipeline: Pipeline, ledger: Ledger
) -> None:
    document = add()
    worker.succeed(document, extraction(text_page(1)))
    pipeline.cancel(document)
    pipeline.retry(document)
    assert [u.stage for u in worker.waiting(document)] == [Stage.CLASSIFY]
    worker.succeed(document, INVOICE)
    worker.succeed(document, ANALYSIS)
    assert worker.state(document) is State.DONE
    pipeline.retry(document)
    row = ledger.document(document.id)
    assert row is not None
    assert (row.state, row.category, row.title) == (State.DONE, "invoice", "A bill")


def test_the_copy_is_dropped_when_read_and_taken_again_for_a_retry(
    worker: Worker,
    add: Callable[..., DocumentRow],
    pipeline: Pipeline,
    settings: Settings,
    tmp_path: Path,
) -> None:
    document = add()
    copy = spool.spool_path(settings, document.sha256)
    assert copy.read_text() == "some text"
    read_to_the_end(worker, document)
    assert not copy.exists()
    (tmp_path / "a.pdf").write_text("changed")
    with pytest.raises(FileError, match="has changed"):
        pipeline.retry(document)
    (tmp_path / "a.pdf").unlink()
    with pytest.raises(FileError, match="no longer at"):
        pipeline.retry(document)
    assert worker.state(document) is State.DONE


def test_the_copy_stays_when_the_original_has_changed(
    worker: Worker, add: Callable[..., DocumentRow], settings: Settings, tmp_path: Path
) -> None:
    document = add()
    (tmp_path / "a.pdf").write_text("overwritten by something else")
    read_to_the_end(worker, document)
    assert spool.spool_path(settings, document.sha256).read_text() == "some text"


def test_removing_forgets_everything_but_the_original(
    worker: Worker,
    add: Callable[..., DocumentRow],
    pipeline: Pipeline,
    ledger: Ledger,
    settings: Settings,
    tmp_path: Path,
) -> None:
    document = add()
    unit = worker.take(document)
    assert pipeline.remove(document) == [unit.id]
    assert ledger.documents() == []
    assert not spool.spool_path(settings, document.sha256).exists()
    assert (tmp_path / "a.pdf").read_text() == "some text"
    late = Outcome(issue=unit.issue, result=extraction(text_page(1)).model_dump(mode="json"))
    assert pipeline.record(unit.id, late) is None


def test_a_recipe_that_vanished_fails_the_document_with_its_name(
    worker: Worker, pipeline: Pipeline, ledger: Ledger, settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "a.pdf"
    path.write_text("text")
    document = pipeline.submit(path, "mine", urgent=False).document
    worker.succeed(document, extraction(text_page(1)))
    row = ledger.document(document.id)
    assert row is not None
    assert row.state is State.FAILED
    assert "mine" in row.message


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "too large"])
def test_what_cannot_be_taken_is_refused_by_name(
    pipeline: Pipeline, ledger: Ledger, settings: Settings, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "thing"
    match kind:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "too large":
            with path.open("wb") as file:
                file.truncate(settings.max_file_bytes + 1)
    with pytest.raises((FileError, NotFoundError), match="thing"):
        pipeline.submit(path, "builtin", urgent=False)
    assert ledger.documents() == []
    assert [p for p in settings.spool_dir.rglob("*") if p.is_file()] == []
