"""What people have said about documents, as it is kept. It outlives every reading: the latest word stands."""

from dataclasses import dataclass

from tasks.documents import Stage, State
from tasks.ledger import DocumentRow, Ledger
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


COLUMNS = "document, field, old, new, model, prompt_version, at, confidence, category"
"""Of the table of corrections, in the order of `Correction`."""


@dataclass(frozen=True, slots=True)
class Giver:
    """Who gave a value: an engine with its model if it has one, or `BY_PERSON`; empty if nobody did."""

    name: str = ""
    is_llm: bool = False


def giver(ledger: Ledger, document: DocumentRow, field: str) -> Giver:
    """Who gave a value as it is now."""
    if field in standing(ledger, document.id):
        return Giver(BY_PERSON)
    return reader(ledger, document, Stage.CLASSIFY if field == CATEGORY else Stage.ANALYSE)


def reader(ledger: Ledger, document: DocumentRow, stage: Stage) -> Giver:
    """The engine that classified or analysed a document."""
    done = [unit for unit in units_of(ledger, document.id, stage) if unit.state is State.DONE]
    if not done:
        return Giver()
    name = done[-1].reader
    if stage is Stage.CLASSIFY and (eyes := _looked_with(ledger, document)):
        # The confidence is another one than that of the text alone, and is worth something else.
        name = f"{name} with image classifier {eyes}"
    return Giver(name, done[-1].is_llm)


def _looked_with(ledger: Ledger, document: DocumentRow) -> str:
    """The image classifier that had a say in the category; empty for none."""
    done = [unit for unit in units_of(ledger, document.id, Stage.LOOK) if unit.state is State.DONE]
    return str(done[-1].params["classifier"]) if done else ""


def corrections(ledger: Ledger, document: str) -> list[Correction]:
    """All that was said about a document, in order."""
    rows = ledger.db.execute(f"SELECT {COLUMNS} FROM corrections WHERE document = ? ORDER BY id", (document,))
    return [Correction(**dict(row)) for row in rows]


def standing(ledger: Ledger, document: str) -> dict[str, Correction]:
    """What stands: the latest word on each field."""
    return {correction.field: correction for correction in corrections(ledger, document)}


def is_accepted(ledger: Ledger, document: str) -> bool:
    """Whether a person has said that nothing is open any more."""
    said = standing(ledger, document).get(ACCEPTED)
    return said is not None and said.new == YES
