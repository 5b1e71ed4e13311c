"""A model that invents: whatever it says, only what the page says literally ends `verified`."""

import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.documents import DocumentText, Field, FieldStatus, PageText
from tasks.engines.llm.base import ChatRequest
from tasks.engines.llm.engine import LlmEngine
from tasks.ledger import Ledger
from tasks.recipes import load_recipe
from tests.chat_script import ChatScript, Said, purpose
from tests.inventions import HOMOGLYPHS, Paper, invented_quote, invented_value, is_literal, papers
from tests.ollama import FaultKind, OllamaDouble
from tests.samples.invoices import Invoice, random_invoice
from tests.system import System
from tests.test_llm_system import LARGE, SMALL, await_models, by_model

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
@settings(max_examples=200, deadline=None)
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


# ---------------------------------------------------------------- a whole system

Answer = dict[str, str]
COUNT = 12


def stated(invoice: Invoice) -> dict[str, Answer]:
    """Every field as the invoice states it."""
    words, truth = invoice.wording, invoice.truth()
    total = f"{words.money(invoice.total)} {invoice.currency}"
    day, due = (each.strftime(words.date_format) for each in (invoice.date, invoice.due))
    return {
        "number": {"quote": f"{words.number}: {invoice.number}", "value": invoice.number},
        "date": {"quote": f"{words.date}: {day}", "value": truth["date"]},
        "due_date": {"quote": f"{words.due}: {due}", "value": invoice.due.isoformat()},
        "total": {"quote": total, "value": truth["total"]},
        "net": {"quote": words.money(invoice.net), "value": str(invoice.net)},
        "tax": {"quote": words.money(invoice.tax), "value": str(invoice.tax)},
        "currency": {"quote": total, "value": invoice.currency},
        "seller": {"quote": invoice.seller, "value": invoice.seller},
        "buyer": {"quote": invoice.buyer, "value": invoice.buyer},
    }


def other_day(value: str) -> str:
    """Day and month changed about; where that is no other date, the next day."""
    day = date.fromisoformat(value)
    if day.day > 12 or day.day == day.month:
        return (day + timedelta(days=1)).isoformat()
    return day.replace(month=day.day, day=day.month).isoformat()


BENT: dict[str, tuple[Callable[[str], str], ...]] = {
    "identifier": (
        lambda value: value[1:],
        lambda value: value[:-1],
        lambda value: value[::-1],
        lambda value: f"{value}-1",
        lambda value: value.translate(HOMOGLYPHS),
    ),
    "date": (other_day,),
    "amount": (
        lambda value: f"-{value}",
        lambda value: value.replace(".", ""),
        lambda value: value[1:],
        lambda value: f"1{value}",
    ),
    "currency": (lambda value: "USD", lambda value: "CHF"),
    "party": (
        lambda value: value[1:],
        lambda value: value.translate(HOMOGLYPHS),
        lambda value: f"{value} International",
        lambda value: " ".join(reversed(value.split())),
    ),
}


def invented(name: str, true: Answer, turn: int) -> Answer:
    """A value that is not at its quote: bent, or a true one with a quote that does not hold it."""
    bends = BENT[TYPES[name]]
    value = bends[turn % len(bends)](true["value"])
    quotes = (true["quote"], true["quote"].upper(), "", " \n", "as was agreed, 512.00 USD on 17 March 2021")
    quote = quotes[turn % len(quotes)]
    return {"quote": quote, "value": true["value"] if turn % 5 in (2, 3, 4) and turn % 2 else value}


@pytest.mark.timeout(300)
def test_on_a_whole_system_nothing_invented_is_verified_and_all_that_is_stated_is(
    own_system: Callable[..., System], tmp_path: Path
) -> None:
    rng = Random(6)
    invoices = [random_invoice(rng, index) for index in range(1, COUNT + 1)]
    made_up: dict[tuple[str, str], bool] = {}
    with OllamaDouble((SMALL, LARGE)) as double:
        for turn, invoice in enumerate(invoices):
            name_of_file = f"{invoice.number}.pdf"
            (tmp_path / name_of_file).write_bytes(invoice.pdf())
            answers = stated(invoice)
            for index, (name, true) in enumerate(stated(invoice).items()):
                made_up[name_of_file, name] = (index + turn) % 3 > 0
                if made_up[name_of_file, name]:
                    answers[name] = invented(name, true, index + turn)
            text = json.dumps({name: answers.get(name) for name in TYPES})
            double.order(
                FaultKind.REPLY, times=-1, contains=invoice.number, also="Find these fields", text=text
            )
        system = own_system(OLLAMA_HOST=double.url)
        await_models(system)
        system.run("add", *sorted(tmp_path.glob("*.pdf")), "--wait", check=False)
        documents = system.await_ended()
        assert len(documents) == COUNT
        assert all(map(by_model, documents))
        exported = [
            json.loads(line) for line in system.run("export", "--format", "jsonl").stdout.splitlines()
        ]
    with Ledger.open(system.settings) as ledger:
        kept = {document.name: ledger.fields(document.id) for document in documents}
    verified = {
        (document, field.name)
        for document, fields in kept.items()
        for field in fields
        if field.status is FieldStatus.VERIFIED
    }
    assert verified == {place for place, is_made_up in made_up.items() if not is_made_up}
    assert {
        (record["name"], field["name"])
        for record in exported
        for field in record["fields"]
        if field["status"] == "verified"
    } == verified
    for document in documents[:3]:
        shown = system.json("show", document.id)
        assert shown in exported, "what is shown is what is exported"
