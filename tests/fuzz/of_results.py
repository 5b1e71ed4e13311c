"""Target: what stages found, as it comes from workers, on its way into the ledger."""

import atexit
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import strategies as st

from app.listing import make_row
from tasks.documents import (
    Analysis,
    Classification,
    Extraction,
    Field,
    Line,
    OcrResult,
    Page,
    PartAnalysis,
    Stage,
    TextSource,
)
from tasks.ledger import Ledger
from tasks.orders import LlmParams, ReadParams
from tasks.plain_text import visible_json
from tasks.planning import UnitPlan
from tasks.recipes import load_recipe
from tasks.results import apply_result
from tasks.settings import Settings
from tasks.units import UnitRow, plan_units
from tests.fuzz.runner import Target
from tests.fuzz.shapes import json_values, mutated_json
from tests.test_search import put

_LINE = Line(text="Total", box=(0, 0, 9, 9), confidence=0.9)
_PAGE = Page(number=1, text="Total", source=TextSource.OCR, score=0.9, lines=(_LINE,), width=10, height=10)
_FIELD = Field(name="total", value="12.50", quote="Total", page=1, start=0, end=5, confidence=0.5)
_FOUND = {
    Stage.EXTRACT: Extraction(mime="application/pdf", pages=(_PAGE,), title="Bill"),
    Stage.OCR: OcrResult(pages=(_PAGE, _PAGE.model_copy(update={"number": 2, "error": "It is blank."}))),
    Stage.CLASSIFY: Classification(category="invoice", confidence=0.5, evidence=("due",)),
    Stage.ANALYSE: Analysis(title="Bill", summary="A bill.", fields=(_FIELD,), language="en"),
}
_PART = PartAnalysis(title="Bill", summary="", fields=(_FIELD,), first_page=1, last_page=1, characters=5)
_READ = ReadParams(engine="ollama", category="invoice").model_dump(mode="json")
_OF_PART = ReadParams(
    engine="ollama", category="invoice", llm=LlmParams(model="m", num_ctx=512, on_cpu=True, part=1, parts=2)
).model_dump(mode="json")


class _UndoneError(Exception):
    """Ends a transaction without its changes."""


@lru_cache(maxsize=1)
def _planned() -> tuple[Ledger, str, dict[str, UnitRow]]:
    """A ledger with one document, and a unit of each stage."""
    folder = TemporaryDirectory(prefix="shoebox-fuzz-")
    atexit.register(folder.cleanup)
    ledger = Ledger.open(Settings(data_dir=Path(folder.name)))
    document = put(ledger, "bill.pdf", "Total 12.50", "second page", category="invoice")
    row = ledger.document(document)
    assert row is not None
    plans = {stage.value: UnitPlan(stage, "cpu", "offline", _READ, f"key {stage}") for stage in _FOUND}
    plans["part"] = UnitPlan(Stage.ANALYSE, "cpu", "ollama", _OF_PART, "key part")
    with ledger.transaction():
        units = {name: plan_units(ledger, row, [plan])[0] for name, plan in plans.items()}
    return ledger, document, units


def check_result(example: tuple[str, Any]) -> None:
    """A result is entered and can be shown, or is refused by an error that home takes for a wrong result."""
    name, result = example
    if not isinstance(result, dict):
        return  # an `Outcome` has no other
    ledger, document, units = _planned()
    row = ledger.document(document)
    assert row is not None
    recipe = load_recipe("builtin", Path("/nowhere"))
    with suppress(_UndoneError), ledger.transaction():
        with suppress(ValueError, LookupError, OverflowError):
            apply_result(ledger, recipe, row, units[name], result)
        entered = ledger.document(document)
        assert entered is not None
        visible_json(make_row(entered).state)
        for page in ledger.pages(document):
            page.model_dump_json()
        for field in ledger.fields(document):
            field.model_dump_json()
        assert entered.category in recipe.category_names
        raise _UndoneError


_SAMPLES = {**{stage.value: found for stage, found in _FOUND.items()}, "part": _PART}
TARGETS = (
    Target(
        "results",
        st.one_of(
            *(
                st.tuples(st.just(name), mutated_json([found.model_dump(mode="json")]) | json_values())
                for name, found in _SAMPLES.items()
            )
        ),
        check_result,
    ),
)
