"""What comes next for a document. Decides in the ledger only; nothing here talks to Redis.

Every decision is made under the ledger's write lock. A unit's outcome is recorded at most once, so an
outcome that arrives twice, or late, changes nothing.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks import planning, read_planning, spool
from tasks.circuit import Circuit, load_circuit, save_circuit
from tasks.documents import (
    FINAL_STATES,
    OUTSTANDING_STATES,
    Failure,
    OcrResult,
    Page,
    Stage,
    State,
)
from tasks.errors import ConfigError, NotFoundError
from tasks.ledger import DocumentRow, Ledger
from tasks.orders import OcrParams, Outcome
from tasks.recipes import load_recipe
from tasks.results import apply_result, put_calls, put_unread_pages
from tasks.review import review_reasons
from tasks.settings import Settings
from tasks.units import (
    MAX_MODEL_FAILURES,
    UnitPlan,
    UnitRow,
    delete_unit,
    delete_units,
    documents_held_back,
    documents_to_upgrade,
    mark_ended,
    mark_waiting,
    plan_units,
    unit,
    units_of,
)


@dataclass(frozen=True, slots=True)
class Submission:
    """What became of a file that was added."""

    document: DocumentRow
    new: bool
    """False if the same content is already in the ledger."""


def printable_name(path: Path) -> str:
    """A file name as text, whatever bytes it is made of. Still untrusted: it may hold control characters."""
    return os.fsencode(path.name).decode("utf-8", "replace")


class Pipeline:
    """Moves documents along their way."""

    def __init__(self, ledger: Ledger, settings: Settings) -> None:
        self.ledger = ledger
        self.settings = settings

    def submit(self, path: Path, recipe: str, *, urgent: bool) -> Submission:
        """Take a file: spool it, enter it in the ledger and plan its first unit.

        Raises:
            NotFoundError, FileError, ServiceError: as `spool.take`; nothing was entered.
        """
        path = path.absolute()
        taken = spool.take(self.settings, path)
        with self.ledger.transaction():
            known = self.ledger.by_content(taken.sha256)
            if known is None:
                name = printable_name(path)
                document = self.ledger.insert_document(
                    taken.sha256, name, path, taken.stat, recipe, urgent=urgent
                )
                self._enter_stage(document, Stage.EXTRACT, planning.plan_extract(document))
                self._advance(document.id)
                return Submission(self._document(document.id), new=True)
            if not Path(os.fsdecode(known.path)).exists():
                self._follow_move(known, path, taken.stat)
        known = self._document(known.id)
        self._tidy_spool(known)
        return Submission(known, new=False)

    def _follow_move(self, document: DocumentRow, path: Path, stat: os.stat_result) -> None:
        """The original is gone and the same content was added elsewhere: that is where it is now."""
        self.ledger.update_document(
            document.id,
            path=os.fsencode(path),
            name=printable_name(path),
            size=stat.st_size,
            mtime_ns=stat.st_mtime_ns,
        )

    def record(self, unit_id: int, outcome: Outcome) -> DocumentRow | None:
        """Enter a unit's outcome and decide what comes next.

        Returns the document, or None if there was nothing to record: the document was removed, the unit
        has ended already, or the failure is of an older issue.
        """
        with self.ledger.transaction():
            ended = unit(self.ledger, unit_id)
            if ended is None or ended.state in FINAL_STATES:
                return None
            is_current = outcome.issue == ended.issue and ended.state in OUTSTANDING_STATES
            if outcome.failure is not None and not is_current:
                return None
            document = self._document(ended.document)
            put_calls(self.ledger, document, ended, outcome.calls)
            failure = outcome.failure or self._enter_result(document, ended, outcome)
            if failure is not None:
                self._enter_failure(document, ended, failure, outcome.worker)
            elif ended.is_llm:
                save_circuit(self.ledger, load_circuit(self.ledger).succeeded())
            self._advance(document.id)
            document = self._document(document.id)
        self._tidy_spool(document)
        return document

    def _document(self, document: str) -> DocumentRow:
        row = self.ledger.document(document)
        if row is None:
            raise NotFoundError(f"There is no document {document}.", "It was removed meanwhile.")
        return row

    def _tidy_spool(self, document: DocumentRow) -> None:
        if document.state in {State.DONE, State.REVIEW}:
            spool.drop(self.settings, document)

    def _enter_result(self, document: DocumentRow, ended: UnitRow, outcome: Outcome) -> Failure | None:
        """Enter a result. One that is not of the stage's form counts as a failure, which is returned."""
        result = outcome.result or {}
        try:
            recipe = load_recipe(document.recipe, self.settings.recipes_path)
            apply_result(self.ledger, recipe, document, ended, result)
        except ConfigError as error:
            return Failure(kind="file", message=error.message, remedy=error.remedy)
        except (ValueError, LookupError) as error:  # pydantic's ValidationError is a ValueError
            return Failure(kind="error", message=f"The {ended.stage} stage gave a wrong result: {error}.")
        self._keep_result(document, ended, result)
        mark_ended(self.ledger, ended.id, State.DONE, worker=outcome.worker, seconds=outcome.seconds)
        return None

    def _keep_result(self, document: DocumentRow, ended: UnitRow, result: dict[str, Any]) -> None:
        """Keep a result for the next time; of OCR each page that could be read."""
        if ended.stage is not Stage.OCR:
            self.ledger.put_result(ended.result_key, document.sha256, result)
            return
        for page in OcrResult.model_validate(result).pages:
            if not page.error:
                key = planning.ocr_page_key(self.settings, document, page.number)
                self.ledger.put_result(key, document.sha256, page.model_dump(mode="json"))

    def _take_known_pages(self, document: DocumentRow) -> None:
        """Pages that were read by OCR before are not read again."""
        needed = [page.number for page in self.ledger.pages(document.id) if page.needs_ocr]
        keys = [planning.ocr_page_key(self.settings, document, number) for number in needed]
        known = [result for key in keys if (result := self.ledger.result(key)) is not None]
        self.ledger.put_pages(document.id, map(Page.model_validate, known))

    def _enter_failure(self, document: DocumentRow, ended: UnitRow, failure: Failure, worker: str) -> None:
        """Try the unit again, or end it: a file at fault at once, anything else after `max_attempts`."""
        if failure.kind in {"lost", "cancelled"}:
            mark_waiting(self.ledger, ended.id, attempt=False, message=failure.message)
            return
        if failure.kind == "unavailable":
            save_circuit(self.ledger, load_circuit(self.ledger).failed(failure.message))
            self.ledger.update_document(document.id, model_failures=document.model_failures + 1)
            self.fall_back(self._document(document.id))
            return
        is_final = failure.kind == "file"
        if not is_final and ended.attempts + 1 < self.settings.max_attempts:
            if not self._split_window(document, ended):
                mark_waiting(self.ledger, ended.id, attempt=True, message=failure.message)
            return
        state = State.FAILED if is_final else State.QUARANTINED
        mark_ended(
            self.ledger,
            ended.id,
            state,
            attempt=True,
            worker=worker,
            failure=failure.kind,
            message=failure.message,
        )
        if ended.stage is Stage.OCR:
            self._enter_unread_pages(document, ended, failure)
        elif ended.is_llm:
            self.fall_back(document)
        else:
            self._finish(document, state, failure.message, failure.remedy)

    def _split_window(self, document: DocumentRow, ended: UnitRow) -> bool:
        """After a failure, read the pages of a window one by one, so that a bad page stands alone."""
        if ended.stage is not Stage.OCR:
            return False
        pages = OcrParams.model_validate(ended.params).pages
        if len(pages) == 1:
            return False
        delete_unit(self.ledger, ended.id)
        self._plan(
            document,
            [planning.plan_ocr_window(document, (page,), attempts=ended.attempts + 1) for page in pages],
        )
        return True

    def _enter_unread_pages(self, document: DocumentRow, ended: UnitRow, failure: Failure) -> None:
        """The pages of an OCR unit that ended without a result keep the text they have, with the reason."""
        numbers = OcrParams.model_validate(ended.params).pages
        put_unread_pages(self.ledger, document, dict.fromkeys(numbers, failure.message))

    def _enter_stage(self, document: DocumentRow, stage: Stage, plans: list[UnitPlan]) -> None:
        self.ledger.update_document(document.id, stage=stage)
        self._plan(document, plans)

    def _plan(self, document: DocumentRow, plans: list[UnitPlan]) -> None:
        """Plan units; those whose result is known are done at once.

        Raises:
            ConfigError: the document's recipe is gone or wrong.
        """
        for planned in plan_units(self.ledger, document, plans):
            known = self.ledger.result(planned.result_key) if planned.result_key else None
            if known is None:
                continue
            recipe = load_recipe(document.recipe, self.settings.recipes_path)
            apply_result(self.ledger, recipe, document, planned, known)
            mark_ended(self.ledger, planned.id, State.DONE, message="known result")

    def _advance(self, document_id: str) -> None:
        """Go on to the next stage for as long as the present one has nothing left to do."""
        while True:
            document = self._document(document_id)
            if document.state in FINAL_STATES:
                return
            if any(u.state not in FINAL_STATES for u in units_of(self.ledger, document.id, document.stage)):
                return
            try:
                following = self._following(document)
                if following is None:
                    self._finish_read(document)
                    return
                self._enter_stage(document, *following)
            except ConfigError as error:
                self._finish(document, State.FAILED, error.message, error.remedy)
                return

    def _following(self, document: DocumentRow) -> tuple[Stage, list[UnitPlan]] | None:
        """The next stage that has anything to do, with its units; None at the end of the way."""
        if document.stage is Stage.EXTRACT:
            self._take_known_pages(document)
            plans = planning.plan_ocr(self.ledger, self.settings, document)
            if plans:
                return Stage.OCR, plans
        if document.stage is Stage.ANALYSE:
            merge = read_planning.plan_merge(units_of(self.ledger, document.id, Stage.ANALYSE))
            return (Stage.ANALYSE, merge) if merge else None
        if not planning.document_text(self.ledger, document).pages:
            return None
        stage = Stage.ANALYSE if document.stage is Stage.CLASSIFY else Stage.CLASSIFY
        return stage, self._plan_reading(document, stage)

    def _plan_reading(self, document: DocumentRow, stage: Stage) -> list[UnitPlan]:
        """The units of classify or analyse, by the language model if it can be asked now."""
        recipe = load_recipe(document.recipe, self.settings.recipes_path)
        route = load_circuit(self.ledger).reader(stage, self.settings)
        if isinstance(route, str):
            return read_planning.plan_offline(self.ledger, document, recipe, stage)
        return read_planning.plan_llm(self.ledger, self.settings, document, recipe, stage, route)

    def fall_back(self, document: DocumentRow) -> None:
        """Go on with the offline engine: the model server is away, or its model gives no usable reply.

        Units of the language model that had not ended are dropped; one that ended in quarantine stays, as the
        mark that the document is not to be sent to the model again by itself.
        """
        for left in units_of(self.ledger, document.id, document.stage):
            if left.state not in FINAL_STATES:
                delete_unit(self.ledger, left.id)
        try:
            recipe = load_recipe(document.recipe, self.settings.recipes_path)
            self._plan(document, read_planning.plan_offline(self.ledger, document, recipe, document.stage))
        except ConfigError as error:
            self._finish(document, State.FAILED, error.message, error.remedy)

    def fall_back_all(self, count: int, problem: str) -> None:
        """Fall back with documents that could only wait for the model; say of those that wait why they do."""
        with self.ledger.transaction():
            for held in documents_held_back(self.ledger, count):
                self.fall_back(self._document(held))
                self._advance(held)
            self.ledger.db.execute(
                "UPDATE documents SET message = ? WHERE provisional AND state = ? AND message NOT IN ('', ?)",
                (_waiting_words(problem), State.WAITING, _waiting_words(problem)),
            )

    def upgrade_all(self, count: int) -> list[DocumentRow]:
        """Read documents that have a provisional result with the language model.

        What the offline engine found stays in place until the model's result is there.
        """
        with self.ledger.transaction():
            return [self._upgrade(self._document(row)) for row in documents_to_upgrade(self.ledger, count)]

    def _upgrade(self, document: DocumentRow) -> DocumentRow:
        for left in units_of(self.ledger, document.id):
            if left.stage in {Stage.CLASSIFY, Stage.ANALYSE}:
                delete_unit(self.ledger, left.id)
        self.ledger.update_document(document.id, state=State.WAITING, message="", finished_at=None)
        document = self._document(document.id)
        try:
            self._enter_stage(document, Stage.CLASSIFY, self._plan_reading(document, Stage.CLASSIFY))
            self._advance(document.id)
        except ConfigError as error:  # its recipe is gone; what was found by it stays
            self.ledger.update_document(document.id, model_failures=MAX_MODEL_FAILURES)
            self._finish(document, State.REVIEW, error.message, error.remedy)
        return self._document(document.id)

    def _finish_read(self, document: DocumentRow) -> None:
        """The end of the way: done, or review with the reasons in words; or waiting for a better engine."""
        circuit = load_circuit(self.ledger)
        gave_up = [left for left in units_of(self.ledger, document.id) if left.is_llm and left.failure]
        reasons = review_reasons(document, self.ledger.pages(document.id), self.settings.review_below)
        if gave_up:
            reasons.append(f"The language model gave no usable result: {gave_up[-1].message}")
        elif document.model_failures >= MAX_MODEL_FAILURES:
            reasons.append(f"The model server failed {document.model_failures} times at this document.")
        elif document.provisional and circuit.is_expected(self.settings):
            self._wait_for_model(document, circuit)
            return
        self._finish(document, State.REVIEW if reasons else State.DONE, " ".join(reasons), "")

    def _wait_for_model(self, document: DocumentRow, circuit: Circuit) -> None:
        route = circuit.reader(Stage.CLASSIFY, self.settings)
        why = route if isinstance(route, str) else "It is back."
        self.ledger.update_document(
            document.id,
            state=State.WAITING,
            message=_waiting_words(why),
        )

    def _finish(self, document: DocumentRow, state: State, message: str, remedy: str) -> None:
        for left in units_of(self.ledger, document.id):
            if left.state not in FINAL_STATES:
                mark_ended(self.ledger, left.id, State.CANCELLED)
        self.ledger.update_document(
            document.id, state=state, message=message, remedy=remedy, finished_at=time.time()
        )

    def cancel(self, document: DocumentRow) -> bool:
        """Stop a document; False if it had ended already. Units that run are ignored when they end."""
        with self.ledger.transaction():
            current = self._document(document.id)
            if current.state in FINAL_STATES:
                return False
            self.ledger.update_document(document.id, cancelled=True)
            self._finish(current, State.CANCELLED, "Cancelled.", "`./run.sh retry` takes it up again.")
        return True

    def retry(self, document: DocumentRow, *, urgent: bool | None = None) -> list[int]:
        """Begin a document again; what is known already is not computed again.

        Returns the ids of units that were outstanding and no longer count.

        Raises:
            FileError: the original has changed or is gone and no copy is left; nothing was changed.
        """
        spool.ensure(self.settings, document)
        with self.ledger.transaction():
            outstanding = delete_units(self.ledger, document.id)
            self.ledger.put_fields(document.id, [])
            self.ledger.db.execute("DELETE FROM pages WHERE document = ?", (document.id,))
            self.ledger.update_document(
                document.id,
                state=State.WAITING,
                cancelled=False,
                urgent=document.urgent if urgent is None else urgent,
                message="",
                remedy="",
                finished_at=None,
                model_failures=0,
                **dict.fromkeys(("category", "title", "summary", "party", "date", "amount", "currency"), ""),
                confidence=None,
                evidence=(),
            )
            fresh = self._document(document.id)
            self._enter_stage(fresh, Stage.EXTRACT, planning.plan_extract(fresh))
            self._advance(document.id)
        self._tidy_spool(self._document(document.id))
        return outstanding

    def remove(self, document: DocumentRow) -> list[int]:
        """Forget a document, its text and its copy; the original stays. Returns units that were out."""
        with self.ledger.transaction():
            outstanding = delete_units(self.ledger, document.id)
            self.ledger.delete_document(document)
        spool.discard(self.settings, document.sha256)
        return outstanding


def _waiting_words(problem: str) -> str:
    return f"Waiting for the language model; what is shown is provisional. {problem}"
