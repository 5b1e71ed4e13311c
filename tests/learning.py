"""A person who corrects documents, and what that does to the others: for a test and a benchmark."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tasks.accuracy import Outcome, compare
from tasks.documents import Extraction, Page, TextSource
from tasks.ledger import Ledger
from tasks.pipeline import Pipeline
from tasks.recipes import BUILTIN, load_recipe
from tasks.settings import Settings
from tests.test_corrections import Desk

CATEGORY = "category"


@dataclass(frozen=True)
class Told:
    """A document that can be read, and what it says."""

    name: str
    pages: tuple[Page, ...]
    truth: Mapping[str, str]


@dataclass(frozen=True)
class Effect:
    """What corrections did to the values of documents that were not corrected."""

    corrections: int
    documents: int
    values: int
    right_before: int
    right_after: int
    helped: tuple[str, ...]
    """Document, field, what was read before and after."""
    harmed: tuple[str, ...]


def pages_of(text: str) -> tuple[Page, ...]:
    return (Page(number=1, text=text, source=TextSource.LAYER, score=1.0),)


class Reader:
    """Reads documents with the offline engine, as the pipeline does, in a ledger of its own."""

    def __init__(self, ledger: Ledger, settings: Settings, desk: Desk, recipe: str = BUILTIN) -> None:
        self.ledger, self.desk, self._recipe = ledger, desk, recipe
        desk.recipe = load_recipe(recipe, settings.recipes_path)
        self.pipeline = Pipeline(ledger, settings)

    def read(self, told: Told) -> str:
        path = self.desk.folder / f"{len(self.ledger.documents())}.txt"
        path.write_text(told.name + path.name)
        document = self.pipeline.submit(path, self._recipe, urgent=False).document.id
        self.desk.succeed(document, Extraction(mime="text/plain", pages=told.pages))
        self.desk.read_on(document)
        return document

    def values(self, document: str) -> dict[str, str]:
        found = {field.name: field.value for field in self.ledger.fields(document)}
        return {**found, CATEGORY: self.desk.row(document).category}


def measure_effect(reader: Reader, documents: Sequence[Told], most: int) -> Effect:
    """Correct the first `most` wrong values, document by document, and read the rest before and after.

    What is not on a page is not corrected: nothing can be learned from it.
    """
    first = [(told, reader.read(told)) for told in documents]
    before = {document: reader.values(document) for _, document in first}
    said = 0
    corrected = set()
    for told, document in first:
        for field in (CATEGORY, *(name for name in told.truth if name != CATEGORY)):
            truth = told.truth.get(field)
            if truth is None or said == most or field not in reader.values(document):
                continue
            if _is_right(field, truth, reader.values(document)[field]):
                continue
            reader.desk.correct(document, field, truth)
            reader.desk.read_on(document)
            corrected.add(document)
            said += 1
    rest = [(told, document) for told, document in first if document not in corrected]
    after = {}
    for _, document in rest:
        reader.pipeline.retry(reader.desk.row(document))
        reader.desk.read_on(document)
        after[document] = reader.values(document)
    changes = [
        (told, field, before[document].get(field, ""), after[document].get(field, ""))
        for told, document in rest
        for field in told.truth
    ]
    right_before = [_is_right(field, told.truth[field], old) for told, field, old, _ in changes]
    right_after = [_is_right(field, told.truth[field], new) for told, field, _, new in changes]
    pairs = list(zip(changes, right_before, right_after, strict=True))
    return Effect(
        corrections=said,
        documents=len(rest),
        values=len(changes),
        right_before=sum(right_before),
        right_after=sum(right_after),
        helped=tuple(_words(*change) for change, old, new in pairs if new and not old),
        harmed=tuple(_words(*change) for change, old, new in pairs if old and not new),
    )


def _is_right(field: str, truth: str, value: str) -> bool:
    return compare(field, truth, value) in {Outcome.EXACT, Outcome.CONTAINED}


def _words(told: Told, field: str, old: str, new: str) -> str:
    return f"{told.name}: {field} {old!r} -> {new!r}, truth {told.truth[field]!r}"
