"""What people corrected in similar documents, as evidence for the offline engine.

A corrected value teaches the words that stand beside it, which are then looked for before the recipe's own.
A corrected name or code is taken again where the same mistake is made and its words stand in the document.
"""

from collections.abc import Sequence

from tasks.documents import Classification, DocumentText, Field, FieldStatus
from tasks.examples import Example, ExampleField
from tasks.recipes import Category, FieldSpec, Recipe
from tasks.typed_values import find_value

_CONFIDENCE = 0.8
"""Of a value or a category that is taken over as it is."""


def category_of_examples(
    found: Classification, recipe: Recipe, examples: Sequence[Example]
) -> Classification:
    """The category that similar documents have by a person's word, where the same mistake is made again."""
    told = [each for each in examples if each.wrong_category]
    if not told or any(each.category != told[0].category for each in told):
        return found
    if found.category != told[0].wrong_category or told[0].category not in recipe.category_names:
        return found
    return Classification(
        category=told[0].category,
        confidence=_CONFIDENCE,
        evidence=(f"like {told[0].document}, where you corrected {found.category}", *found.evidence),
        read_share=found.read_share,
    )


def with_learned_labels(category: Category, examples: Sequence[Example]) -> Category:
    """The category with the words of its examples as labels, before its own."""
    learned: dict[str, list[str]] = {}
    for example in examples:
        for field in example.fields:
            if example.category == category.name and field.label:
                learned.setdefault(field.name, []).append(field.label)
    if not learned:
        return category
    taken = {label.casefold() for labels in learned.values() for label in labels}
    return category.model_copy(
        update={
            "fields": tuple(_labelled(spec, learned.get(spec.name, []), taken) for spec in category.fields)
        }
    )


def _labelled(spec: FieldSpec, learned: Sequence[str], taken: set[str]) -> FieldSpec:
    """What a label means in similar documents it no longer means for other fields."""
    own = [label for label in spec.labels if label.casefold() not in taken]
    return spec.model_copy(update={"labels": tuple(dict.fromkeys([*learned, *own]))})


def with_examples(
    fields: Sequence[Field],
    learned: Sequence[Field],
    document: DocumentText,
    category: Category,
    examples: Sequence[Example],
) -> tuple[Field, ...]:
    """The fields as they are read with the examples; what that changed names the example.

    `fields` were read without them and `learned` with their labels, both in the category's order.
    """
    result = []
    for spec, plain, labelled in zip(category.fields, fields, learned, strict=True):
        own = [(each, field) for each in examples for field in each.fields if field.name == spec.name]
        own = [(each, field) for each, field in own if each.category == category.name]
        field = labelled if own else plain
        source = own[0][0].document if own and field.value != plain.value else ""
        if not source:
            source, field = _same_mistake(spec, field, document, own)
        result.append(field.model_copy(update={"learned_from": source}) if source else field)
    return tuple(result)


def _same_mistake(
    spec: FieldSpec, field: Field, document: DocumentText, own: Sequence[tuple[Example, ExampleField]]
) -> tuple[str, Field]:
    """The value of an example, if what it replaced has been read again and it stands in the document."""
    if spec.type in {"date", "amount"}:
        return "", field
    for example, told in own:
        if not told.value or field.value not in {told.wrong, ""}:
            continue
        place = find_value(spec, told.value, document)
        if place is not None:
            page, start, end = place
            return example.document, Field(
                name=spec.name,
                value=told.value,
                quote=page.text[start:end],
                page=page.number,
                start=start,
                end=end,
                status=FieldStatus.VERIFIED,
                confidence=_CONFIDENCE,
            )
    return "", field
