"""Finding the corrected documents that a document looks like, and making examples of them."""

from itertools import islice

from tasks.documents import DocumentText, Field
from tasks.examples import MAX_EXAMPLES, MAX_FIELDS, MAX_WORDS, Example, ExampleField
from tasks.learning.labels import label_of
from tasks.learning.sketches import make_sketch, similarity, sketches
from tasks.ledger import DocumentRow, Ledger
from tasks.said import ACCEPTED, BY_PERSON, CATEGORY, corrections

SIMILAR = 0.15
"""Documents that look so much the same are taken to be of one kind and from one sender. Among 21 invoices
(ZUGFeRD samples) two of one sender share 0.25 to 1, two of different senders at most 0.04."""
_MOST_LOOKED_AT = 1_000
"""Corrected documents that are compared, of the newest; about 30 ms."""


def examples_for(ledger: Ledger, document: DocumentRow, text: DocumentText) -> tuple[Example, ...]:
    """What people corrected in the documents that this one looks most like; the most alike first."""
    ids = _corrected(ledger, document)
    if not ids:
        return ()
    sketch = make_sketch(text)
    found = []
    for other, known in sketches(ledger, ledger.documents(ids=ids)).items():
        share = similarity(sketch, known)
        if share >= SIMILAR:
            found.append((share, other))
    examples = (make_example(ledger, other, share) for share, other in sorted(found, reverse=True))
    return tuple(islice((example for example in examples if example is not None), MAX_EXAMPLES))


def make_example(ledger: Ledger, document: str, share: float, field: str = "") -> Example | None:
    """What was corrected in a document, in all fields or in one; None if nothing was."""
    row = ledger.document(document)
    if row is None:
        return None
    values = {one.name: one for one in ledger.fields(document)}
    given: dict[str, str] = {}  # by an engine, whatever a person then said in how many steps
    for said in corrections(ledger, document):
        if said.field != ACCEPTED and field in ("", said.field) and said.model not in {"", BY_PERSON}:
            given[said.field] = said.old
    now = {name: value.value for name, value in values.items()} | {CATEGORY: row.category}
    changed = {name: wrong for name, wrong in given.items() if now.get(name, wrong) != wrong}
    fields = tuple(
        _example_field(ledger, document, values[name], wrong)
        for name, wrong in changed.items()
        if name in values
    )[:MAX_FIELDS]
    wrong_category = changed.get(CATEGORY, "")
    if not fields and not wrong_category:
        return None
    return Example(
        document=document,
        similarity=round(share, 2),
        category=row.category,
        wrong_category=wrong_category,
        fields=fields,
    )


def _example_field(ledger: Ledger, document: str, field: Field, wrong: str) -> ExampleField:
    label = ""
    if field.page is not None and field.start is not None:
        page = ledger.page(document, field.page)
        label = label_of(page.text, field.start) if page else ""
    return ExampleField(
        name=field.name,
        value=field.value,
        wrong=wrong[:MAX_WORDS],
        quote=" ".join(field.quote.split())[:MAX_WORDS],
        label=label,
    )


def _corrected(ledger: Ledger, document: DocumentRow) -> list[str]:
    """Other documents of the same recipe with something corrected, the latest first."""
    rows = ledger.db.execute(
        "SELECT corrections.document AS id FROM corrections JOIN documents ON documents.id = document"
        " WHERE recipe = ? AND document != ? AND field != ? AND old != new"
        " GROUP BY document ORDER BY max(corrections.id) DESC LIMIT ?",
        (document.recipe, document.id, ACCEPTED, _MOST_LOOKED_AT),
    )
    return [row["id"] for row in rows]
