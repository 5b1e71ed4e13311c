"""Choosing between what the parts of a long document say of the same field."""

from collections.abc import Sequence
from functools import lru_cache

from tasks.documents import Field, FieldStatus, PartAnalysis
from tasks.engines.llm.grounding import missing
from tasks.engines.llm.quotes import fold
from tasks.recipes import Category, FieldSpec

_RANK = {FieldStatus.VERIFIED: 0, FieldStatus.UNVERIFIED: 1}


def choose_fields(parts: Sequence[PartAnalysis], category: Category) -> tuple[Field, ...]:
    """Each field of the category from the part that says it best.

    Verified goes before unverified, a quote with one of the field's labels before one without, and then the
    earlier part before the later; of amounts the later, because sums carried over come before the sum.
    """
    return tuple(_best(spec, [_field_of(part, spec) for part in parts]) for spec in category.fields)


def _best(spec: FieldSpec, found: Sequence[Field | None]) -> Field:
    stated = [field for field in found if field and field.status is not FieldStatus.MISSING]
    if spec.type == "amount":
        stated.reverse()
    labels = _folded(spec.labels)
    return min(
        stated,
        key=lambda field: (_RANK[field.status], not _is_labelled(field, labels)),
        default=missing(spec),
    )


@lru_cache(maxsize=256)
def _folded(labels: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(fold, labels))


def _is_labelled(field: Field, labels: Sequence[str]) -> bool:
    quote = fold(field.quote)
    return any(label in quote for label in labels)


def _field_of(part: PartAnalysis, spec: FieldSpec) -> Field | None:
    return next((field for field in part.fields if field.name == spec.name), None)
