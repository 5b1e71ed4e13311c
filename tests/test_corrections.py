"""What people correct: entered at once, found again in the text, never overruled by what is read later."""

from pathlib import Path

import pytest

from app.listing import full_record
from app.report import report
from tasks.circuit import load_circuit, save_circuit
from tasks.documents import (
    Analysis,
    Classification,
    DocumentText,
    Extraction,
    Field,
    FieldStatus,
    Page,
    PageText,
    Stage,
    State,
    TextSource,
    Value,
)
from tasks.engines import OFFLINE, reading_engine
from tasks.engines.llm.base import ModelInfo
from tasks.engines.llm.prompts import PROMPT_VERSION
from tasks.errors import ShoeboxError
from tasks.ledger import DocumentRow, Ledger
from tasks.orders import Outcome, Presence, ReadParams
from tasks.pipeline import Pipeline
from tasks.planning import document_text
from tasks.recipes import BUILTIN, FieldSpec, load_recipe
from tasks.routing import known_models
from tasks.said import corrections
from tasks.settings import Settings
from tasks.typed_values import CorrectionError, find_value, normalised
from tasks.units import UnitRow, mark_queued, next_waiting, units_of

INVOICE = """\
Nordlicht Energie GmbH
Rechnung Nr. NE-2026-0117
Rechnungsdatum: 03.02.2026

Stromlieferung Januar 2026
Nettobetrag 1.037,39 EUR
MwSt 19 % 197,11 EUR
Rechnungsbetrag 1.234,50 EUR
Zahlbar bis 17.02.2026
"""
MODELS = known_models(
    [
        Presence(
            worker="w",
            queues=("cpu", "gpu"),
            slots=1,
            pid=1,
            models=(
                ModelInfo(name="shoebox-small:latest", parameters=1_500_000_000),
                ModelInfo(name="shoebox-large:latest", parameters=7_600_000_000),
            ),
        )
    ]
)


class Desk:
    """A pipeline, the real offline engine in place of the workers, and a person."""

    def __init__(self, ledger: Ledger, settings: Settings, folder: Path) -> None:
        self.ledger = ledger
        self.pipeline = Pipeline(ledger, settings)
        self.folder = folder
        self.recipe = load_recipe(BUILTIN, settings.recipes_path)
        self.files: dict[str, Extraction] = {}

    def read(self, *texts: str) -> str:
        """A document with these pages, read to the end; returns its id."""
        path = self.folder / f"{len(self.ledger.documents())}.txt"
        path.write_text(path.name)
        document = self.pipeline.submit(path, BUILTIN, urgent=False).document.id
        pages = [
            Page(number=n, text=text, source=TextSource.LAYER if text else TextSource.NONE, score=1.0)
            for n, text in enumerate(texts, start=1)
        ]
        self.files[document] = Extraction(mime="text/plain", pages=tuple(pages))
        self.read_on(document)
        return document

    def read_on(self, document: str) -> None:
        """Give what waits for the offline engine to it."""
        engine = reading_engine(OFFLINE)
        while waiting := self.waiting(document):
            if waiting[0].stage is Stage.EXTRACT:
                self.succeed(document, self.files[document])
                continue
            text = document_text(self.ledger, self.row(document))
            examples = ReadParams.model_validate(waiting[0].params).examples
            if waiting[0].stage is Stage.CLASSIFY:
                self.succeed(document, engine.classify(text, self.recipe, examples))
            else:
                category = self.recipe.category(self.row(document).category)
                self.succeed(document, engine.analyse(text, category, examples))

    def waiting(self, document: str) -> list[UnitRow]:
        return [u for u in units_of(self.ledger, document) if u.state is State.WAITING]

    def succeed(self, document: str, result: Value) -> None:
        unit = mark_queued(self.ledger, self.waiting(document)[0].id)
        self.pipeline.record(unit.id, Outcome(issue=unit.issue, result=result.model_dump(mode="json")))

    def correct(self, document: str, field: str, value: str) -> None:
        self.pipeline.correct(self.row(document), field, value)

    def row(self, document: str) -> DocumentRow:
        row = self.ledger.document(document)
        assert row is not None
        return row

    def field(self, document: str, name: str) -> Field:
        return next(field for field in self.ledger.fields(document) if field.name == name)

    def see_models(self) -> None:
        save_circuit(self.ledger, load_circuit(self.ledger).model_copy(update={"known": MODELS}))


@pytest.fixture
def desk(ledger: Ledger, settings: Settings, tmp_path: Path) -> Desk:
    return Desk(ledger, settings, tmp_path)


def test_a_field_is_corrected_and_found_where_the_document_says_it(desk: Desk) -> None:
    document = desk.read(INVOICE)
    assert desk.field(document, "total").value == "1234.50"
    desk.correct(document, "total", "1.037,39")
    field = desk.field(document, "total")
    assert (field.value, field.status, field.confidence) == ("1037.39", FieldStatus.CORRECTED, 1.0)
    assert INVOICE[field.start : field.end] == field.quote == "1.037,39 EUR"
    assert desk.row(document).amount == "1037.39"
    assert desk.row(document).state is State.REVIEW  # with the tax it no longer adds up
    [said] = corrections(desk.ledger, document)
    assert (said.old, said.new, said.model, said.prompt_version) == ("1234.50", "1037.39", "offline", "")


def test_every_role_column_follows(desk: Desk) -> None:
    document = desk.read(INVOICE)
    for field, typed in (("seller", "Südlicht AG"), ("date", "4.2.2026"), ("currency", "₺")):
        desk.correct(document, field, typed)
    row = desk.row(document)
    assert (row.party, row.date, row.currency) == ("Südlicht AG", "2026-02-04", "TRY")
    assert desk.field(document, "seller").quote == ""


def test_the_same_value_confirms_and_keeps_its_quote(desk: Desk) -> None:
    document = desk.read(INVOICE)
    before = desk.field(document, "number")
    desk.correct(document, "number", before.value)
    assert desk.field(document, "number") == before.model_copy(
        update={"status": FieldStatus.CORRECTED, "confidence": 1.0}
    )
    [said] = corrections(desk.ledger, document)
    assert said.old == said.new == "NE-2026-0117"


def test_nothing_means_that_the_document_does_not_say(desk: Desk) -> None:
    document = desk.read(INVOICE)
    desk.correct(document, "due_date", " ")
    desk.correct(document, "currency", "")
    assert desk.field(document, "due_date") == Field(
        name="due_date", value="", status=FieldStatus.CORRECTED, confidence=1.0
    )
    assert desk.row(document).currency == ""


def test_corrections_outlive_a_retry_and_the_last_word_stands(desk: Desk) -> None:
    document = desk.read(INVOICE)
    desk.correct(document, "total", "1")
    desk.correct(document, "total", "197,11")
    desk.correct(document, "seller", "Somebody else")
    desk.pipeline.retry(desk.row(document))
    desk.read_on(document)
    row = desk.row(document)
    assert (row.amount, row.party) == ("197.11", "Somebody else")
    assert desk.field(document, "total").quote == "197,11 EUR"
    assert desk.field(document, "date").status is FieldStatus.VERIFIED
    assert [said.model for said in corrections(desk.ledger, document)] == ["offline", "you", "offline"]


def test_another_category_is_read_anew_and_never_classified_again(desk: Desk) -> None:
    document = desk.read(INVOICE)
    desk.correct(document, "category", "letter")
    row = desk.row(document)
    assert (row.state, row.category, row.confidence) == (State.WAITING, "letter", 1.0)
    assert (row.engine, row.evidence, row.provisional) == ("you", ("corrected by you",), False)
    assert (row.amount, desk.ledger.fields(document)) == ("", [])
    assert [u.stage for u in desk.waiting(document)] == [Stage.ANALYSE]
    desk.read_on(document)
    assert desk.row(document).state is State.DONE
    assert [field.name for field in desk.ledger.fields(document)] == [
        spec.name for spec in desk.recipe.category("letter").fields
    ]
    desk.pipeline.retry(desk.row(document))
    desk.read_on(document)
    assert (desk.row(document).category, desk.row(document).confidence) == ("letter", 1.0)
    assert not units_of(desk.ledger, document, Stage.CLASSIFY)


def test_a_field_that_the_category_lacks_waits_for_one_that_has_it(desk: Desk) -> None:
    document = desk.read(INVOICE)
    desk.correct(document, "total", "5")
    desk.correct(document, "category", "letter")
    desk.read_on(document)
    assert desk.row(document).amount == ""
    desk.correct(document, "category", "invoice")
    desk.read_on(document)
    assert desk.row(document).amount == "5"


def test_a_late_result_of_the_old_category_changes_nothing(desk: Desk) -> None:
    document = desk.read(INVOICE)
    desk.correct(document, "category", "letter")
    unit = mark_queued(desk.ledger, desk.waiting(document)[0].id)
    late = Outcome(issue=unit.issue, result=Analysis(title="", summary="").model_dump(mode="json"))
    desk.pipeline.record(unit.id, late)
    desk.correct(document, "category", "receipt")
    assert desk.pipeline.record(unit.id, late) is None
    assert desk.row(document).category == "receipt"


def test_an_upgrade_by_a_language_model_keeps_what_a_person_said(desk: Desk) -> None:
    document = desk.read(INVOICE)
    desk.correct(document, "category", "receipt")
    desk.read_on(document)
    desk.correct(document, "total", "197,11")
    desk.see_models()
    assert [row.id for row in desk.pipeline.upgrade_all(10)] == [document]
    assert [(u.stage, u.model) for u in desk.waiting(document)] == [(Stage.ANALYSE, "shoebox-large")]
    by_model = Field(name="total", value="1234.50", quote="1.234,50", page=1)
    desk.succeed(document, Analysis(title="By the model", summary="", fields=(by_model,)))
    row = desk.row(document)
    assert (row.state, row.category, row.amount) == (State.DONE, "receipt", "197.11")
    assert (row.title, row.provisional, row.engine) == ("By the model", False, "ollama shoebox-large")
    assert desk.pipeline.upgrade_all(10) == []


def test_who_gave_the_old_value_is_kept(desk: Desk) -> None:
    desk.see_models()
    document = _read_by_model(desk)
    desk.correct(document, "category", "invoice")
    desk.correct(document, "total", "9")
    category, total = corrections(desk.ledger, document)
    assert (category.model, category.prompt_version) == ("ollama shoebox-small", PROMPT_VERSION)
    assert (total.model, total.old) == ("ollama shoebox-large", "1234.50")


def _read_by_model(desk: Desk) -> str:
    path = desk.folder / "by model.txt"
    path.write_text("by model")
    document = desk.pipeline.submit(path, BUILTIN, urgent=False).document.id
    page = Page(number=1, text=INVOICE, source=TextSource.LAYER, score=1.0)
    desk.succeed(document, Extraction(mime="text/plain", pages=(page,)))
    desk.succeed(document, Classification(category="invoice", confidence=0.2))
    total = Field(name="total", value="1234.50", quote="1.234,50", page=1, start=0, end=8)
    desk.succeed(document, Analysis(title="", summary="", fields=(total,)))
    return document


def test_a_confirmed_category_ends_the_review(desk: Desk) -> None:
    desk.see_models()
    document = _read_by_model(desk)
    assert desk.row(document).state is State.REVIEW
    desk.correct(document, "total", "1.234,50")
    assert "uncertain" in desk.row(document).message
    desk.correct(document, "category", "invoice")
    row = desk.row(document)
    assert (row.state, row.message, row.confidence) == (State.DONE, "", 1.0)
    assert not desk.waiting(document)


def test_a_reason_that_a_correction_does_not_settle_stays(desk: Desk) -> None:
    document = desk.read("")
    assert desk.row(document).state is State.REVIEW
    with pytest.raises(CorrectionError, match="no category"):
        desk.correct(document, "total", "5")
    desk.correct(document, "category", "invoice")
    desk.correct(document, "total", "5")
    for _ in range(2):
        row = desk.row(document)
        assert (row.state, row.category, row.amount) == (State.REVIEW, "invoice", "5")
        assert row.message == "No text was found on its page."
        desk.pipeline.retry(row)


def test_a_provisional_result_that_waits_for_a_model_can_be_corrected(desk: Desk) -> None:
    desk.see_models()
    circuit = load_circuit(desk.ledger).succeeded().failed("The server is away.")
    save_circuit(desk.ledger, circuit)
    document = desk.read(INVOICE)
    assert (desk.row(document).state, desk.row(document).provisional) == (State.WAITING, True)
    desk.correct(document, "total", "7")
    assert (desk.row(document).state, desk.row(document).amount) == (State.WAITING, "7")
    desk.correct(document, "category", "receipt")
    desk.read_on(document)
    row = desk.row(document)
    assert (row.state, row.category, row.amount, row.provisional) == (State.WAITING, "receipt", "7", True)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("category", "bribe", "invoice, receipt"),
        ("category", "", "invoice, receipt"),
        ("subject", "x", "category, number, date"),
        ("date", "31.2.2026", "'date'.*3.2.2026"),
        ("total", "a lot", "'total'.*1.234,50"),
        ("total", "NaN", "'total'"),
        ("currency", "XYZ", "'currency'.*EUR"),
        ("seller", "x" * 1001, "1,001"),
    ],
)
def test_what_cannot_be_is_refused_in_words(desk: Desk, field: str, value: str, words: str) -> None:
    document = desk.read(INVOICE)
    before = desk.row(document), desk.ledger.fields(document)
    with pytest.raises(CorrectionError, match=words):
        desk.correct(document, field, value)
    assert (desk.row(document), desk.ledger.fields(document)) == before
    assert corrections(desk.ledger, document) == []


def test_a_document_that_is_not_read_is_not_corrected(desk: Desk) -> None:
    path = desk.folder / "a.txt"
    path.write_text("a")
    document = desk.pipeline.submit(path, BUILTIN, urgent=False).document
    with pytest.raises(CorrectionError, match="being read"):
        desk.pipeline.correct(document, "category", "letter")
    desk.pipeline.cancel(document)
    with pytest.raises(CorrectionError, match="cancelled"):
        desk.pipeline.correct(document, "category", "letter")


def test_hostile_values_are_kept_as_text(desk: Desk) -> None:
    document = desk.read(INVOICE)
    desk.correct(document, "seller", "a\x1b[31m\n[/red] \udcff\u202e'; DROP TABLE documents; --")
    kept = "a\x1b[31m [/red] ?\u202e'; DROP TABLE documents; --"
    assert desk.row(document).party == kept
    lines = list(report(desk.ledger, desk.row(document), with_text=True))
    assert not any("\x1b" in line or "\u202e" in line for line in lines)


def test_a_report_and_a_record_say_what_was_corrected(desk: Desk) -> None:
    document = desk.read(INVOICE)
    desk.correct(document, "category", "receipt")
    desk.read_on(document)
    desk.correct(document, "total", "197,11")
    desk.correct(document, "payment", "")
    text = "\n".join(report(desk.ledger, desk.row(document), with_text=False))
    assert "receipt (corrected by you)" in text
    assert "197.11  (corrected, page 1: “197,11 EUR”)" in text
    assert "category: receipt instead of invoice, which was by offline" in text
    record = full_record(desk.ledger, desk.row(document))
    assert [said["field"] for said in record["corrections"]] == ["category", "total", "payment"]
    assert {field["name"] for field in record["fields"] if field["status"] == "corrected"} == {
        "total",
        "payment",
    }


def test_removing_forgets_the_corrections(desk: Desk) -> None:
    document = desk.read(INVOICE)
    desk.correct(document, "total", "1")
    desk.pipeline.remove(desk.row(document))
    assert desk.ledger.db.execute("SELECT count(*) FROM corrections").fetchone()[0] == 0


def test_an_urgent_document_is_taken_first_and_may_wait_again(desk: Desk) -> None:
    rows = []
    for name in ("first.txt", "second.txt"):
        (desk.folder / name).write_text(name)
        rows.append(desk.pipeline.submit(desk.folder / name, BUILTIN, urgent=False).document)

    def first() -> str:
        return next_waiting(desk.ledger, "home", 1)[0].document

    assert first() == rows[0].id
    desk.pipeline.set_urgent(rows[1], urgent=True)
    assert (first(), desk.row(rows[1].id).urgent) == (rows[1].id, True)
    desk.pipeline.set_urgent(rows[1], urgent=False)
    assert first() == rows[0].id
    desk.pipeline.cancel(rows[0])
    with pytest.raises(ShoeboxError, match="cancelled already"):
        desk.pipeline.set_urgent(rows[0], urgent=True)


def spec(kind: str) -> FieldSpec:
    return FieldSpec.model_validate({"name": "field", "type": kind, "describe": "x"})


@pytest.mark.parametrize(
    ("kind", "typed", "page", "value"),
    [
        ("date", "3.2.2026", "", "2026-02-03"),
        ("date", "2026-02-03", "", "2026-02-03"),
        ("date", "February 3, 2026", "", "2026-02-03"),
        ("date", "3/4/2026", "Dated 25/04/2026, paid 30/04/2026", "2026-04-03"),
        ("date", "3/4/2026", "Dated 04/25/2026, paid 04/30/2026", "2026-03-04"),
        ("amount", "1.234,50", "", "1234.50"),
        ("amount", "-12.5", "", "-12.5"),
        ("amount", "1,234.50 USD", "", "1234.50"),
        ("amount", "1.234", "Der Betrag 17,50 und die Summe 20,00", "1234"),
        ("currency", "€", "", "EUR"),
        ("currency", "all", "", "ALL"),
        ("party", "  Big\n Co ", "", "Big Co"),
        ("identifier", "00-17", "", "00-17"),
    ],
)
def test_typed_values_get_the_form_of_their_type(kind: str, typed: str, page: str, value: str) -> None:
    text = DocumentText(name="x", pages=(PageText(number=1, text=page),))
    assert normalised(spec(kind), typed, text) == value


@pytest.mark.parametrize(
    ("kind", "value", "quote"),
    [
        ("date", "2026-02-17", "17.02.2026"),
        ("amount", "1234.5", "1.234,50 EUR"),
        ("currency", "EUR", "EUR"),
        ("party", "NORDLICHT Energie GmbH", "Nordlicht Energie GmbH"),
        ("identifier", "NE-2026-0117", "NE-2026-0117"),
        ("identifier", "NE-2026-0118", None),
        ("date", "not of this type any more", None),
        ("amount", "not of this type any more", None),
    ],
)
def test_values_are_found_in_whatever_form_the_document_writes_them(
    kind: str, value: str, quote: str | None
) -> None:
    text = DocumentText(
        name="x", pages=(PageText(number=1, text="A cover."), PageText(number=2, text=INVOICE))
    )
    found = find_value(spec(kind), value, text)
    assert (found and (found[0].number, INVOICE[found[1] : found[2]])) == (quote and (2, quote))


# Accepting


def test_what_is_accepted_is_confirmed_and_nothing_is_open(desk: Desk) -> None:
    document = desk.read(INVOICE, "")  # a page without text is nobody's fault; the letter below is uncertain
    uncertain = desk.read("Hello there, some words.")
    assert desk.row(uncertain).state is State.REVIEW
    for one in (document, uncertain):
        desk.pipeline.accept(desk.row(one))
        row = desk.row(one)
        assert (row.state, row.message, row.confidence) == (State.DONE, "", 1.0)
    said = {one.field: (one.old, one.new) for one in corrections(desk.ledger, document)}
    assert said["total"] == ("1234.50", "1234.50")
    assert said["category"] == ("invoice", "invoice")
    assert said["*"] == ("", "yes")
    assert desk.field(document, "total").status is FieldStatus.CORRECTED


def test_accepting_twice_confirms_once_and_a_correction_leaves_it_accepted(desk: Desk) -> None:
    document = desk.read("Hello there, some words.")
    desk.pipeline.accept(desk.row(document))
    before = [one for one in corrections(desk.ledger, document) if one.field != "*"]
    desk.pipeline.accept(desk.row(document))
    assert [one for one in corrections(desk.ledger, document) if one.field != "*"] == before
    desk.correct(document, "category", "letter")
    desk.read_on(document)
    assert desk.row(document).state is State.DONE


def test_reading_again_shows_what_is_open_but_keeps_what_was_confirmed(desk: Desk) -> None:
    path = desk.folder / "half.txt"
    path.write_text("half")
    document = desk.pipeline.submit(path, BUILTIN, urgent=False).document.id
    pages = (
        Page(number=1, text="Hello there, some words.", source=TextSource.LAYER, score=1.0),
        Page(number=2, text="", source=TextSource.NONE, score=0, error="broken"),
    )
    desk.files[document] = Extraction(mime="text/plain", pages=pages)
    desk.read_on(document)
    desk.pipeline.accept(desk.row(document))
    assert desk.row(document).state is State.DONE
    desk.pipeline.retry(desk.row(document))
    desk.read_on(document)
    row = desk.row(document)
    assert (row.state, row.message) == (State.REVIEW, "Page 2: broken")
    assert row.confidence == 1.0


def test_what_is_being_read_cannot_be_accepted(desk: Desk) -> None:
    path = desk.folder / "new.txt"
    path.write_text("new")
    document = desk.pipeline.submit(path, BUILTIN, urgent=False).document
    with pytest.raises(CorrectionError, match="is being read"):
        desk.pipeline.accept(document)
    assert corrections(desk.ledger, document.id) == []
