"""What a correction would change in other documents: shown to the person who made it, done if they agree."""

from tasks.documents import Field, State
from tasks.engines import OFFLINE, reading_engine
from tasks.examples import Change, Example
from tasks.learning.retrieval import SIMILAR, make_example
from tasks.learning.sketches import similarity, sketches
from tasks.ledger import DocumentRow, Ledger
from tasks.planning import document_text
from tasks.recipes import Recipe
from tasks.said import ACCEPTED, CATEGORY, Correction, standing

_MOST = 100
"""Documents that are read again to see what would change, of those most alike; about two seconds."""


def similar_changes(ledger: Ledger, recipe: Recipe, said: Correction) -> list[Change]:
    """What would change in documents that look like the corrected one, the most alike first.

    Nothing that a person has said or accepted is changed, and nothing that the document does not say.
    """
    example = make_example(ledger, said.document, 1.0, field=said.field)
    if example is None:
        return []
    changes = (_change(ledger, recipe, said, example, row) for row in _alike(ledger, said))
    return [change for change in changes if change is not None]


def _alike(ledger: Ledger, said: Correction) -> list[DocumentRow]:
    """Documents that have been read, look like the corrected one and have its recipe."""
    corrected = ledger.document(said.document)
    if corrected is None:
        return []
    known = sketches(ledger, [corrected])[corrected.id]
    rows = [
        row
        for row in ledger.documents(states=(State.DONE, State.REVIEW))
        if row.id != corrected.id and row.recipe == corrected.recipe
    ]
    shares = {document: similarity(known, sketch) for document, sketch in sketches(ledger, rows).items()}
    alike = [row for row in rows if shares.get(row.id, 0.0) >= SIMILAR]
    return sorted(alike, key=lambda row: -shares[row.id])[:_MOST]


def _change(
    ledger: Ledger, recipe: Recipe, said: Correction, example: Example, row: DocumentRow
) -> Change | None:
    if {said.field, ACCEPTED} & standing(ledger, row.id).keys():
        return None
    if said.field == CATEGORY:
        old, new = row.category, example.category if row.category == example.wrong_category else row.category
    elif row.category != example.category:
        return None
    else:
        old = value_of(ledger.fields(row.id), said.field)
        new = _learned_value(ledger, recipe, said.field, example, row) or old
    return Change(row.id, row.name, said.field, old, new) if old != new else None


def _learned_value(ledger: Ledger, recipe: Recipe, field: str, example: Example, row: DocumentRow) -> str:
    """What the offline engine reads with the example and does not without; empty if that is nothing."""
    text = document_text(ledger, row)
    analysis = reading_engine(OFFLINE).analyse(text, recipe.category(row.category), [example])
    return next((one.value for one in analysis.fields if one.name == field and one.learned_from), "")


def value_of(fields: list[Field], name: str) -> str:
    """The value of a field; empty if there is none."""
    return next((field.value for field in fields if field.name == name), "")
