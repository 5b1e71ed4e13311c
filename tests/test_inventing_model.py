"""A model that invents: whatever it says, only what the page says literally ends `verified`."""

from pathlib import Path
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.documents import DocumentText, Field, FieldStatus, PageText
from tasks.engines.llm.base import ChatRequest
from tasks.engines.llm.engine import LlmEngine
from tasks.recipes import load_recipe
from tests.chat_script import ChatScript, Said, purpose
from tests.inventions import Paper, invented_quote, invented_value, is_literal, papers

RECIPE = load_recipe("builtin", Path())
INVOICE = RECIPE.category("invoice")
TYPES = {spec.name: spec.type for spec in INVOICE.fields}


def read(paper: Paper, found: dict[str, Any]) -> dict[str, Field]:
    """The fields that come of a model's answer."""

    def script(request: ChatRequest) -> Said:
        if purpose(request) == "summary":
            return {"title": "Invoice", "summary": "An invoice."}
        return {name: found.get(name) for name in TYPES}

    document = DocumentText(name="i.pdf", pages=(PageText(number=1, text=paper.text),))
    analysis = LlmEngine(ChatScript(script), "m", 8192, b"key").analyse(document, INVOICE)
    return {field.name: field for field in analysis.fields}


@given(papers())
@settings(max_examples=150, deadline=None)
def test_what_the_page_says_is_verified(paper: Paper) -> None:
    honest = {name: {"quote": paper.quotes[name], "value": value} for name, value in paper.truth.items()}
    for name, field in read(paper, honest).items():
        if name in honest:
            assert (field.status, field.value) == (FieldStatus.VERIFIED, paper.truth[name]), field
            assert is_literal(field, TYPES[name], paper.text, paper.language), field
        else:
            assert field.status is FieldStatus.MISSING


@given(papers(), st.randoms(use_true_random=True))
@settings(max_examples=300, deadline=None)
def test_nothing_invented_is_verified(paper: Paper, random: Random) -> None:
    for _ in range(3):
        found = {
            name: {"quote": invented_quote(paper, random, name), "value": invented_value(paper, random, name)}
            for name in TYPES
        }
        for name, field in read(paper, found).items():
            if field.status is FieldStatus.VERIFIED:
                assert is_literal(field, TYPES[name], paper.text, paper.language), (found[name], field)
            else:
                assert field.status in (FieldStatus.UNVERIFIED, FieldStatus.MISSING)
                assert field.value or not field.quote
