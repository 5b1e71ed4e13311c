"""What people have said about documents. It outlives every reading: the latest word on a field stands."""

import time
from collections.abc import Iterable
from dataclasses import astuple, dataclass

from tasks.documents import Field, FieldStatus, Stage, State
from tasks.engines.llm.prompts import PROMPT_VERSION
from tasks.ledger import DocumentRow, Ledger
from tasks.planning import document_text
from tasks.read_planning import engine_name
from tasks.recipes import Category, FieldSpec
from tasks.typed_values import find_value
from tasks.units import units_of

CATEGORY = "category"
"""As the name of a field: the document's category."""
ACCEPTED = "*"
"""As the name of a field: the whole document. Its word is `YES` while nothing is open for a person."""
YES = "yes"
BY_PERSON = "you"
"""Where an engine's name stands otherwise."""
EVIDENCE = ("corrected by you",)


@dataclass(frozen=True, slots=True)
class Correction:
    """A person's word on a field, or on the category."""

    document: str
    field: str
    old: str
    new: str
    """The same as `old` where it was confirmed; empty if the document does not say it."""
    model: str
    """Who gave the old value: an engine, with its model if it has one, or `BY_PERSON`."""
    prompt_version: str
    """Empty where no language model gave the old value."""
    at: float
    """Seconds since 1970."""
    confidence: float | None = None
    """How sure the giver was of the old value, 0 to 1; None where there was none."""
    category: str = ""
    """The document's, when it was said."""


_COLUMNS = "document, field, old, new, model, prompt_version, at, confidence, category"


def put_correction(ledger: Ledger, document: DocumentRow, field: str, old: str, new: str) -> Correction:
    """Keep a person's word, with whose value it replaces."""
    model, prompt_version = _giver(ledger, document, field)
    sure = _confidence(ledger, document, field)
    correction = Correction(
        document.id, field, old, new, model, prompt_version, time.time(), sure, document.category
    )
    places = ", ".join("?" * len(astuple(correction)))
    ledger.db.execute(f"INSERT INTO corrections ({_COLUMNS}) VALUES ({places})", astuple(correction))
    return correction


def _confidence(ledger: Ledger, document: DocumentRow, field: str) -> float | None:
    if field == CATEGORY:
        return document.confidence
    return next((one.confidence for one in ledger.fields(document.id) if one.name == field), None)


def _giver(ledger: Ledger, document: DocumentRow, field: str) -> tuple[str, str]:
    """Who gave a value as it is now, and the version of the prompts if that was a language model."""
    if field in standing(ledger, document.id):
        return BY_PERSON, ""
    stage = Stage.CLASSIFY if field == CATEGORY else Stage.ANALYSE
    done = [unit for unit in units_of(ledger, document.id, stage) if unit.state is State.DONE]
    if not done:
        return "", ""
    return engine_name(done[-1]), PROMPT_VERSION if done[-1].is_llm else ""


def corrections(ledger: Ledger, document: str) -> list[Correction]:
    """All that was said about a document, in order."""
    rows = ledger.db.execute(
        f"SELECT {_COLUMNS} FROM corrections WHERE document = ? ORDER BY id", (document,)
    )
    return [Correction(**dict(row)) for row in rows]


def standing(ledger: Ledger, document: str) -> dict[str, Correction]:
    """What stands: the latest word on each field."""
    return {correction.field: correction for correction in corrections(ledger, document)}


def is_accepted(ledger: Ledger, document: str) -> bool:
    """Whether a person has said that nothing is open any more."""
    said = standing(ledger, document).get(ACCEPTED)
    return said is not None and said.new == YES


def with_corrections(
    ledger: Ledger, document: DocumentRow, category: Category, found: Iterable[Field]
) -> list[Field]:
    """The fields as a person has corrected them. What was said of fields that the category lacks waits."""
    fields = {field.name: field for field in found}
    said = standing(ledger, document.id)
    for spec in category.fields:
        if spec.name in said:
            fields[spec.name] = _corrected(ledger, document, spec, said[spec.name].new, fields.get(spec.name))
    order = {spec.name: position for position, spec in enumerate(category.fields)}
    return sorted(fields.values(), key=lambda field: order.get(field.name, len(order)))


def _corrected(
    ledger: Ledger, document: DocumentRow, spec: FieldSpec, value: str, found: Field | None
) -> Field:
    """A field with a person's value, and where the document says it, if it does."""
    said = Field(name=spec.name, value=value, status=FieldStatus.CORRECTED, confidence=1.0)
    if found is not None and found.value == value and found.page is not None:
        return found.model_copy(update={"status": said.status, "confidence": said.confidence})
    place = find_value(spec, value, document_text(ledger, document)) if value else None
    if place is None:
        return said
    page, start, end = place
    quote = page.text[start:end]
    return said.model_copy(update={"quote": quote, "page": page.number, "start": start, "end": end})
