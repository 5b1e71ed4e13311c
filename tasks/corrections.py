"""Entering what people say about documents, and bringing it into what is read of them."""

import time
from collections.abc import Iterable
from dataclasses import astuple

from tasks.documents import Field, FieldStatus
from tasks.engines.llm.prompts import PROMPT_VERSION
from tasks.ledger import DocumentRow, Ledger
from tasks.planning import document_text
from tasks.recipes import Category, FieldSpec
from tasks.said import CATEGORY, COLUMNS, Correction, giver, standing
from tasks.typed_values import find_value


def put_correction(ledger: Ledger, document: DocumentRow, field: str, old: str, new: str) -> Correction:
    """Keep a person's word, with whose value it replaces."""
    by = giver(ledger, document, field)
    sure = _confidence(ledger, document, field)
    correction = Correction(
        document.id,
        field,
        old,
        new,
        by.name,
        PROMPT_VERSION if by.is_llm else "",
        time.time(),
        sure,
        document.category,
    )
    places = ", ".join("?" * len(astuple(correction)))
    ledger.db.execute(f"INSERT INTO corrections ({COLUMNS}) VALUES ({places})", astuple(correction))
    return correction


def _confidence(ledger: Ledger, document: DocumentRow, field: str) -> float | None:
    if field == CATEGORY:
        return document.confidence
    return next((one.confidence for one in ledger.fields(document.id) if one.name == field), None)


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
