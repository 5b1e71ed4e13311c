"""What is asked of documents from outside, by people and by the tick. Decides in the ledger only.

The way that a document then goes by itself is in `tasks.way`.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from tasks import look_planning, planning, spool
from tasks.circuit import load_circuit
from tasks.corrections import put_correction
from tasks.documents import FINAL_STATES, Field, Stage, State
from tasks.errors import ConfigError, ShoeboxError
from tasks.examples import Change
from tasks.learning.remembering import similar_changes, value_of
from tasks.ledger import DocumentRow
from tasks.path_questions import exists
from tasks.recipes import Category, FieldSpec, Recipe, load_recipe
from tasks.results import put_values
from tasks.said import ACCEPTED, CATEGORY, EVIDENCE, YES, Correction, is_accepted, standing
from tasks.typed_values import CorrectionError, normalised
from tasks.units import (
    MAX_MODEL_FAILURES,
    delete_units,
    mark_ended,
    set_urgent,
    units_of,
)
from tasks.waiting import documents_held_back, look_at_waiting, still_open, tell_why
from tasks.way import Way


@dataclass(frozen=True, slots=True)
class Submission:
    """What became of a file that was added."""

    document: DocumentRow
    new: bool
    """False if the same content is already in the ledger."""


def printable_name(path: Path) -> str:
    """A file name as text, whatever bytes it is made of. Still untrusted: it may hold control characters."""
    return os.fsencode(path.name).decode("utf-8", "replace")


class Pipeline(Way):
    """The way of documents, and what may be asked on it."""

    # By people

    def submit(self, path: Path, recipe: str, *, urgent: bool, descriptor: int | None = None) -> Submission:
        """Take a file: spool it, enter it in the ledger and plan its first unit.

        With a descriptor, the file that is open there is read, whatever lies at `path` by now.

        Raises:
            NotFoundError, FileError, ServiceError: as `spool.take`; nothing was entered.
        """
        path = path.absolute()
        if descriptor is None:
            taken = spool.take(self.settings, path)
        else:
            taken = spool.take_open(self.settings, path, descriptor)
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
            if not exists(Path(os.fsdecode(known.path))):
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

    def cancel(self, document: DocumentRow) -> bool:
        """Stop a document; False if it had ended already. Units that run are ignored when they end."""
        with self.ledger.transaction():
            current = self._document(document.id)
            if current.state in FINAL_STATES:
                return False
            self.ledger.update_document(document.id, cancelled=True)
            self._finish(current, State.CANCELLED, "Cancelled.", "`./run.sh retry` takes it up again.")
        return True

    def set_urgent(self, document: DocumentRow, *, urgent: bool) -> None:
        """Read a document before all that are not urgent, or no longer so. Units in Redis keep their place.

        Raises:
            ShoeboxError: it has ended; there is nothing left to be urgent about.
        """
        with self.ledger.transaction():
            current = self._document(document.id)
            if current.state in FINAL_STATES:
                raise ShoeboxError(
                    f"{current.name} is {current.state.value} already.",
                    "`./run.sh retry --urgent` reads it again, before the others.",
                )
            self.ledger.update_document(document.id, urgent=urgent)
            set_urgent(self.ledger, document.id, urgent=urgent)

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
            if is_accepted(self.ledger, document.id):  # what is open is to be seen anew
                put_correction(self.ledger, document, ACCEPTED, YES, "")
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

    def correct(self, document: DocumentRow, field: str, value: str) -> Correction:
        """Enter what a person says is right: the category, or a field of it; an empty value means "not said".

        It stands from now on, whatever is read later. After a change of the category its fields are read.

        Raises:
            CorrectionError: there is no such category or field, the value is not of its type, or the
                document is not in a state to be corrected; nothing was changed.
            ConfigError: the document's recipe is gone or wrong.
        """
        with self.ledger.transaction():
            current = self._document(document.id)
            self._check_correctable(current)
            recipe = load_recipe(current.recipe, self.settings.recipes_path)
            if field == CATEGORY:
                return self._correct_category(current, recipe, value.strip())
            return self._correct_field(current, recipe, field, value)

    def similar_changes(self, said: Correction) -> list[Change]:
        """What a correction would change in documents that look the same; nothing if learning is off.

        Raises:
            ConfigError: the document's recipe is gone or wrong.
        """
        if not self.settings.learn:
            return []
        recipe = load_recipe(self._document(said.document).recipe, self.settings.recipes_path)
        return similar_changes(self.ledger, recipe, said)

    def apply_change(self, change: Change) -> Correction:
        """Enter a change that a person has agreed to, as their word.

        Raises:
            CorrectionError, ConfigError, NotFoundError: as `correct`; or the value is no longer the one
                that was shown. Nothing was changed.
        """
        with self.ledger.transaction():
            current = self._document(change.document)
            self._check_correctable(current)
            recipe = load_recipe(current.recipe, self.settings.recipes_path)
            if change.field == CATEGORY:
                self._check_unchanged(change, current, current.category)
                return self._correct_category(current, recipe, change.new)
            fields = self.ledger.fields(current.id)
            self._check_unchanged(change, current, value_of(fields, change.field))
            category, spec = self._spec(current, recipe, change.field)
            return self._put_word(current, category, spec, fields, change.new)

    def _check_unchanged(self, change: Change, document: DocumentRow, now: str) -> None:
        if now != change.old:
            raise CorrectionError(
                f"{document.name}: {change.field} has changed meanwhile.", "Look at it, and correct it there."
            )

    def accept(self, document: DocumentRow) -> None:
        """A person has looked: category and values are right as they are, and nothing is open any more.

        It stands until the document is read again by `retry`; the values stand even then.

        Raises:
            CorrectionError: the document has not been read to the end; nothing was changed.
            ConfigError: its recipe is gone or wrong.
        """
        with self.ledger.transaction():
            current = self._document(document.id)
            self._check_correctable(current)
            if current.state not in {State.DONE, State.REVIEW}:
                raise CorrectionError(
                    f"{current.name} waits for the language model.", "Accept it when that has read it."
                )
            recipe = load_recipe(current.recipe, self.settings.recipes_path)
            if current.category in recipe.category_names:
                self._confirm_values(current, recipe)
            put_correction(self.ledger, current, ACCEPTED, "", YES)
            self._review_again(current)

    def _confirm_values(self, document: DocumentRow, recipe: Recipe) -> None:
        said = standing(self.ledger, document.id)
        fields = self.ledger.fields(document.id)
        values = {CATEGORY: document.category, **{field.name: field.value for field in fields if field.value}}
        for name, value in values.items():
            if name not in said or said[name].new != value:
                put_correction(self.ledger, document, name, value, value)
        put_values(self.ledger, document, recipe.category(document.category), fields)
        self.ledger.update_document(document.id, confidence=1.0, evidence=EVIDENCE)

    def _check_correctable(self, document: DocumentRow) -> None:
        if document.state in {State.DONE, State.REVIEW}:
            return
        if document.state in FINAL_STATES:
            raise CorrectionError(
                f"{document.name} could not be read: it is {document.state.value}.",
                f"`./run.sh retry {document.id}` reads it again; correct it then.",
            )
        is_idle = all(u.state in FINAL_STATES for u in units_of(self.ledger, document.id))
        if not (document.provisional and is_idle):  # else it only waits for a better engine
            raise CorrectionError(
                f"{document.name} is being read.", "Correct it when it has been read to the end."
            )

    def _correct_category(self, document: DocumentRow, recipe: Recipe, value: str) -> Correction:
        if value not in recipe.category_names:
            raise CorrectionError(
                f"There is no category {value!r} in the recipe {recipe.name!r}.",
                f"It has: {', '.join(recipe.category_names)}.",
            )
        correction = put_correction(self.ledger, document, CATEGORY, document.category, value)
        if value == document.category:
            self.ledger.update_document(document.id, confidence=1.0, evidence=EVIDENCE)
            self._review_again(document)
        else:
            self._enter_what_was_said(document)
            self._read_again(document)
        return correction

    def _correct_field(self, document: DocumentRow, recipe: Recipe, field: str, typed: str) -> Correction:
        category, spec = self._spec(document, recipe, field)
        value = normalised(spec, typed, planning.document_text(self.ledger, document))
        return self._put_word(document, category, spec, self.ledger.fields(document.id), value)

    def _put_word(
        self, document: DocumentRow, category: Category, spec: FieldSpec, fields: list[Field], value: str
    ) -> Correction:
        """Enter a person's word on a field; the value is normalised."""
        correction = put_correction(self.ledger, document, spec.name, value_of(fields, spec.name), value)
        put_values(self.ledger, document, category, fields)
        self._review_again(document)
        return correction

    def _spec(self, document: DocumentRow, recipe: Recipe, field: str) -> tuple[Category, FieldSpec]:
        """The document's category, and what its recipe says of a field.

        Raises:
            CorrectionError: the document has no category, or that has no such field.
        """
        names = [category.name for category in recipe.categories]
        if document.category not in names:
            raise CorrectionError(
                f"{document.name} has no category of the recipe {recipe.name!r} yet, so it has no fields.",
                f"Give it one first: {', '.join(names)}.",
            )
        category = recipe.category(document.category)
        spec = next((spec for spec in category.fields if spec.name == field), None)
        if spec is None:
            known = ", ".join((CATEGORY, *(spec.name for spec in category.fields)))
            raise CorrectionError(
                f"The category {category.name!r} has no field {field!r}.", f"What can be corrected: {known}."
            )
        return category, spec

    # By the tick

    def fall_back_all(self, count: int) -> None:
        """Fall back with documents that could only wait for a model; say of those that wait why they do."""
        with self.ledger.transaction():
            circuit = load_circuit(self.ledger)
            for held in documents_held_back(self.ledger, circuit, self.settings, count):
                self.fall_back(self._document(held))
                self._advance(held)
            if why := circuit.why_none(self.settings):
                tell_why(self.ledger, why)

    def give_up_looks(self) -> None:
        """Go on with documents that could only wait for an image classifier that no worker has any more."""
        with self.ledger.transaction():
            for left in look_planning.stranded_looks(self.ledger):
                reason = look_planning.nobody_has(str(left.params["classifier"]))
                mark_ended(self.ledger, left.id, State.CANCELLED, message=reason)
                self._advance(left.document)

    def upgrade_all(self, count: int) -> list[DocumentRow]:
        """Read documents that have a provisional result with the language model, if theirs can be asked.

        What the offline engine found stays in place until the model's result is there.
        """
        circuit = load_circuit(self.ledger)
        if circuit.why_none(self.settings):
            return []
        waiting = look_at_waiting(self.ledger, circuit, self.settings, count)
        if not waiting.to_begin and not waiting.to_tell:
            return []
        with self.ledger.transaction():
            for why, documents in waiting.to_tell.items():
                tell_why(self.ledger, why, documents)
            begun = still_open(self.ledger, waiting.to_begin)
            return [self._upgrade(self._document(document)) for document in begun]

    def _upgrade(self, document: DocumentRow) -> DocumentRow:
        try:
            self._read_again(document)
        except ConfigError as error:  # its recipe is gone; what was found by it stays
            self.ledger.update_document(document.id, model_failures=MAX_MODEL_FAILURES)
            self._finish(document, State.REVIEW, error.message, error.remedy)
        return self._document(document.id)
