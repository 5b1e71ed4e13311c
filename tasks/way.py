"""A document's way: what comes next for it. Decides in the ledger only; nothing here talks to Redis.

Every decision is made under the ledger's write lock. A unit's outcome is recorded at most once, so an
outcome that arrives twice, or late, changes nothing.
"""

import time
from typing import Any

from tasks import look_planning, planning, read_planning, spool
from tasks.circuit import Circuit, load_circuit, note_failure, save_circuit
from tasks.documents import (
    FINAL_STATES,
    OUTSTANDING_STATES,
    Failure,
    Scope,
    Stage,
    State,
)
from tasks.errors import ConfigError, NotFoundError
from tasks.known_results import keep_result, take_known_pages
from tasks.learned_costs import learn_swap
from tasks.learning.sketches import put_sketch
from tasks.ledger import DocumentRow, Ledger
from tasks.notify.outbox import tell_of_state
from tasks.orders import UNKNOWN_ISSUE, OcrParams, Outcome
from tasks.recipes import load_recipe
from tasks.results import apply_result, put_calls, put_given_category, put_unread_pages, put_values
from tasks.review import model_failure, review_reasons
from tasks.said import CATEGORY, standing
from tasks.settings import Settings
from tasks.tallies import tally_run
from tasks.units import (
    UnitPlan,
    UnitRow,
    delete_unit,
    mark_ended,
    mark_waiting,
    plan_units,
    unit,
    units_of,
)
from tasks.waiting import waiting_words, why_it_waits


class Way:
    """Moves documents along their way."""

    def __init__(self, ledger: Ledger, settings: Settings) -> None:
        self.ledger = ledger
        self.settings = settings

    def record(self, unit_id: int, outcome: Outcome) -> DocumentRow | None:
        """Enter a unit's outcome and decide what comes next.

        Returns the document, or None if there was nothing to record: the document was removed, the unit
        has ended already, or the failure is of an older issue.
        """
        with self.ledger.transaction():
            ended = unit(self.ledger, unit_id)
            if ended is None or ended.state in FINAL_STATES:
                return None
            is_current = outcome.issue in (ended.issue, UNKNOWN_ISSUE) and ended.state in OUTSTANDING_STATES
            if outcome.failure is not None and not is_current:
                return None
            document = self._document(ended.document)
            put_calls(self.ledger, document, ended, outcome.calls)
            failure = outcome.failure or self._enter_result(document, ended, outcome)
            tally_run(self.ledger, self.settings, ended, outcome, failure)
            if failure is not None:
                self._enter_failure(document, ended, failure, outcome.worker)
            elif ended.is_llm:
                save_circuit(self.ledger, load_circuit(self.ledger).succeeded(ended.model))
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
        except (ValueError, LookupError, OverflowError) as error:
            # pydantic's ValidationError is a ValueError; SQLite takes no whole numbers beyond 64 bits.
            return Failure(kind="error", message=f"The {ended.stage} stage gave a wrong result: {error}.")
        keep_result(self.ledger, self.settings, document, ended, result)
        for swap in outcome.swaps:
            learn_swap(self.ledger, ended.target, swap.seconds)
        mark_ended(
            self.ledger,
            ended.id,
            State.DONE,
            worker=outcome.worker,
            seconds=outcome.seconds,
            swaps=outcome.swaps,
        )
        return None

    def _enter_failure(self, document: DocumentRow, ended: UnitRow, failure: Failure, worker: str) -> None:
        """Try the unit again, or end it: at once where the file is at fault, else after `max_attempts`."""
        if failure.kind in {"lost", "cancelled"}:
            mark_waiting(self.ledger, ended.id, attempt=False, message=failure.message)
            return
        if failure.kind in {"no model", "unavailable"}:
            note_failure(self.ledger, ended.model, failure)
            if (
                failure.kind == "unavailable" and failure.scope is Scope.CALL
            ):  # the document may be the reason
                failures = document.model_failures + 1
                self.ledger.update_document(document.id, model_failures=failures)
            self.fall_back(self._document(document.id))
            return
        is_final = failure.kind in {"file", "limit", "reply"}
        if not is_final and ended.attempts + 1 < self.settings.max_attempts:
            if not self._split_window(document, ended):
                mark_waiting(self.ledger, ended.id, attempt=True, message=failure.message)
            return
        state = State.FAILED if failure.kind == "file" else State.QUARANTINED
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
            numbers = OcrParams.model_validate(ended.params).pages
            put_unread_pages(self.ledger, document, dict.fromkeys(numbers, failure.message))
        elif ended.is_llm:
            self.fall_back(document)
        elif ended.stage is not Stage.LOOK:  # without that one the document goes on
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

    def _enter_stage(self, document: DocumentRow, stage: Stage, plans: list[UnitPlan]) -> None:
        self.ledger.update_document(document.id, stage=stage)
        self._plan(self._document(document.id), plans)

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
                    self._finish_read(self._document(document.id))
                    return
                self._enter_stage(document, *following)
            except ConfigError as error:
                self._finish(document, State.FAILED, error.message, error.remedy)
                return

    def _following(self, document: DocumentRow) -> tuple[Stage, list[UnitPlan]] | None:
        """The next stage that has anything to do, with its units; None at the end of the way."""
        if document.stage is Stage.EXTRACT:
            take_known_pages(self.ledger, self.settings, document)
            plans = planning.plan_ocr(self.ledger, self.settings, document)
            if plans:
                return Stage.OCR, plans
        if document.stage is Stage.ANALYSE:
            merge = read_planning.plan_merge(units_of(self.ledger, document.id, Stage.ANALYSE))
            return (Stage.ANALYSE, merge) if merge else None
        if not planning.document_text(self.ledger, document).pages:
            self._enter_what_was_said(document)
            return None
        if document.stage is Stage.CLASSIFY:
            return Stage.ANALYSE, self._plan_reading(document, Stage.ANALYSE)
        return self._begin_reading(document)

    def _begin_reading(self, document: DocumentRow) -> tuple[Stage, list[UnitPlan]]:
        """Have it looked at and classify; or analyse at once where a person has said what the category is."""
        recipe = load_recipe(document.recipe, self.settings.recipes_path)
        put_sketch(self.ledger, document.id, planning.document_text(self.ledger, document))
        if put_given_category(self.ledger, document, recipe):
            return Stage.ANALYSE, self._plan_reading(self._document(document.id), Stage.ANALYSE)
        if document.stage is not Stage.LOOK and (
            looks := look_planning.plan_look(self.ledger, document, recipe)
        ):
            return Stage.LOOK, looks
        return Stage.CLASSIFY, self._plan_reading(document, Stage.CLASSIFY)

    def _enter_what_was_said(self, document: DocumentRow) -> None:
        """The category and the fields that a person gave, where nothing has been read of the document."""
        if CATEGORY not in standing(self.ledger, document.id):
            return
        recipe = load_recipe(document.recipe, self.settings.recipes_path)
        if put_given_category(self.ledger, document, recipe):
            row = self._document(document.id)
            put_values(self.ledger, row, recipe.category(row.category), ())

    def _plan_reading(self, document: DocumentRow, stage: Stage) -> list[UnitPlan]:
        """The units of classify or analyse, by the language model if it can be asked now."""
        recipe = load_recipe(document.recipe, self.settings.recipes_path)
        route = load_circuit(self.ledger).reader(stage, self.settings, recipe, document.category)
        if isinstance(route, str):
            return read_planning.plan_offline(self.ledger, self.settings, document, recipe, stage)
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
            plans = read_planning.plan_offline(self.ledger, self.settings, document, recipe, document.stage)
            self._plan(document, plans)
        except ConfigError as error:
            self._finish(document, State.FAILED, error.message, error.remedy)

    def _read_again(self, document: DocumentRow) -> None:
        """Begin again with the text as it is. What was found before stays in place until then.

        Raises:
            ConfigError: the document's recipe is gone or wrong.
        """
        for left in units_of(self.ledger, document.id):
            if left.stage in {Stage.CLASSIFY, Stage.ANALYSE}:
                delete_unit(self.ledger, left.id)
        self.ledger.update_document(
            document.id, state=State.WAITING, stage=Stage.OCR, message="", remedy="", finished_at=None
        )
        if following := self._following(self._document(document.id)):
            self._enter_stage(document, *following)
        self._advance(document.id)

    def _finish_read(self, document: DocumentRow) -> None:
        """The end of the way: done, or review with the reasons in words; or waiting for a better engine."""
        circuit = load_circuit(self.ledger)
        is_to_wait = document.provisional and circuit.is_expected(self.settings)
        if is_to_wait and not model_failure(self.ledger, document):
            self._wait_for_model(document, circuit)
            return
        reasons = review_reasons(self.ledger, self.settings, document)
        self._finish(document, State.REVIEW if reasons else State.DONE, " ".join(reasons), "")

    def _review_again(self, document: DocumentRow) -> None:
        """A person has looked: say what is still open of a document that was read to the end."""
        document = self._document(document.id)
        if document.state in {State.DONE, State.REVIEW}:
            reasons = review_reasons(self.ledger, self.settings, document)
            state = State.REVIEW if reasons else State.DONE
            self._enter_state(document, state, message=" ".join(reasons), remedy="")

    def _wait_for_model(self, document: DocumentRow, circuit: Circuit) -> None:
        why = why_it_waits(self.ledger, circuit, self.settings, document.id)
        self.ledger.update_document(document.id, state=State.WAITING, message=waiting_words(why))

    def _finish(self, document: DocumentRow, state: State, message: str, remedy: str) -> None:
        for left in units_of(self.ledger, document.id):
            if left.state not in FINAL_STATES:
                mark_ended(self.ledger, left.id, State.CANCELLED)
        self._enter_state(document, state, message=message, remedy=remedy, finished_at=time.time())

    def _enter_state(self, document: DocumentRow, state: State, **columns: Any) -> None:
        """Enter a final state. Who wants to be told of it is, for it stands in the outbox with it."""
        self.ledger.update_document(document.id, state=state, **columns)
        if state != document.state:
            tell_of_state(self.ledger, self.settings, self._document(document.id), time.time())
