"""What is corrected in one document helps others that look like it, and harms none."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.documents import DocumentText, FieldStatus, PageText, Stage
from tasks.engines.llm.prompts import classify_instruction, fields_instruction
from tasks.examples import Change, Example, ExampleField
from tasks.learning.labels import label_of
from tasks.learning.sketches import make_sketch, similarity
from tasks.ledger import Ledger
from tasks.orders import ReadParams
from tasks.recipes import BUILTIN, load_recipe
from tasks.settings import Settings
from tasks.typed_values import CorrectionError
from tasks.units import units_of
from tests.learning import CATEGORY, Reader, Told, measure_effect, pages_of
from tests.samples.senders import invoices_by_sender
from tests.test_corrections import Desk, desk  # noqa: F401 - a fixture

SAMPLES = invoices_by_sender(3)
CLUB = [sample for sample in SAMPLES if sample.sender == "Rowing Club Harwell"]
RECIPE = load_recipe(BUILTIN, Settings().recipes_path)


def text_of(text: str) -> DocumentText:
    return DocumentText(name="a.pdf", pages=(PageText(number=1, text=text),))


# Similarity


def test_invoices_of_one_sender_look_the_same_and_those_of_others_do_not() -> None:
    sketches = [(sample.sender, make_sketch(text_of(sample.text))) for sample in SAMPLES]
    for sender, one in sketches:
        for other_sender, other in sketches:
            if sender == other_sender:
                assert similarity(one, other) > 0.4
            else:
                assert similarity(one, other) < 0.1


@given(st.text(max_size=300), st.text(max_size=300))
def test_similarity_is_a_share_and_the_same_both_ways(one: str, other: str) -> None:
    left, right = make_sketch(text_of(one)), make_sketch(text_of(other))
    assert 0 <= similarity(left, right) == similarity(right, left) <= 1
    assert similarity(left, left) == (1.0 if left else 0.0)


def test_a_document_without_pages_looks_like_nothing() -> None:
    empty = make_sketch(DocumentText(name="a", pages=()))
    assert similarity(empty, empty) == 0.0


# Labels


@pytest.mark.parametrize(
    ("text", "value", "label"),
    [
        ("To be settled £12.00", "£12.00", "To be settled"),
        ("Posted on 3 March 2024", "3 March 2024", "Posted on"),
        ("Total: EUR 12.00", "12.00", "Total"),
        ("MwSt 19 % auf 100,00 EUR: 19,00 EUR", "19,00 EUR", "MwSt … % auf"),
        ("Left cell\tPayable\t12.00", "12.00", "Payable"),
        ("Amount due\n\n  12.00", "12.00", "Amount due"),
        ("Page 3\n12.00", "12.00", ""),
        ("12.00", "12.00", ""),
        ("x 12.00", "12.00", ""),
        ("a " * 200 + "12.00", "12.00", "a a a a a"),
    ],
)
def test_the_label_of_a_value_is_the_words_beside_or_above_it(text: str, value: str, label: str) -> None:
    assert label_of(text, text.rindex(value)) == label


@given(st.text(max_size=200), st.integers(0, 200))
def test_a_label_fits_into_a_recipe_whatever_the_text(text: str, start: int) -> None:
    label = label_of(text, min(start, len(text)))
    assert len(label) <= 60
    assert not any(character.isdecimal() for character in label)
    assert ExampleField(name="total", value="1", label=label).label == label


# The offline engine


def test_ten_corrections_help_other_documents_and_harm_none(
    ledger: Ledger, settings: Settings, tmp_path: Path
) -> None:
    reader = Reader(ledger, settings, Desk(ledger, settings, tmp_path))
    documents = [
        Told(f"{sample.sender} {number}", pages_of(sample.text), {**sample.truth, CATEGORY: "invoice"})
        for number, sample in enumerate(SAMPLES)
    ]
    effect = measure_effect(reader, documents, 10)
    assert effect.corrections == 10
    assert effect.harmed == ()
    assert effect.right_after - effect.right_before >= 20
    assert effect.right_after == effect.right_before + len(effect.helped)


def test_a_corrected_sender_and_category_come_back_where_the_same_mistake_is_made(desk: Desk) -> None:  # noqa: F811
    first = desk.read(CLUB[0].text)
    desk.correct(first, "category", "invoice")
    desk.read_on(first)
    desk.correct(first, "seller", "Rowing Club Harwell")
    second = desk.read(CLUB[1].text)
    row = desk.row(second)
    assert (row.category, row.party) == ("invoice", "Rowing Club Harwell")
    assert row.evidence[0] == f"like {first}, where you corrected other"
    seller = desk.field(second, "seller")
    assert (seller.status, seller.quote, seller.learned_from) == (
        FieldStatus.VERIFIED,
        "Rowing Club Harwell",
        first,
    )


def test_a_sender_that_does_not_stand_in_the_document_is_not_taken_over(desk: Desk) -> None:  # noqa: F811
    first = desk.read(CLUB[0].text)
    desk.correct(first, "category", "invoice")
    desk.read_on(first)
    desk.correct(first, "seller", "Harwell Rowing Association")
    second = desk.read(CLUB[1].text)
    assert desk.field(second, "seller").value != "Harwell Rowing Association"


def test_documents_that_look_different_learn_nothing(desk: Desk) -> None:  # noqa: F811
    first = desk.read(CLUB[0].text)
    desk.correct(first, "category", "invoice")
    garage = next(sample for sample in SAMPLES if sample.sender == "GARAGE DU LAC SA")
    second = desk.read(garage.text)
    assert desk.row(second).category != "invoice"


def test_learning_can_be_switched_off(ledger: Ledger, settings: Settings, tmp_path: Path) -> None:
    settings = settings.model_copy(update={"learn": False})
    own = Desk(ledger, settings, tmp_path)
    first = own.read(CLUB[0].text)
    own.correct(first, "category", "invoice")
    second = own.read(CLUB[1].text)
    assert own.row(second).category == "other"


def test_a_confirmed_value_is_no_correction(desk: Desk) -> None:  # noqa: F811
    first = desk.read(CLUB[0].text)
    desk.correct(first, "category", "other")
    second = desk.read(CLUB[1].text)
    assert examples_of(desk, second) == ()


def examples_of(desk: Desk, document: str) -> tuple[Example, ...]:  # noqa: F811
    [unit] = units_of(desk.ledger, document, Stage.CLASSIFY)
    return ReadParams.model_validate(unit.params).examples


def test_without_corrections_results_have_the_keys_they_always_had(desk: Desk) -> None:  # noqa: F811
    """Else every document would be read again for nothing."""
    document = desk.read(CLUB[0].text)
    [before] = units_of(desk.ledger, document, Stage.CLASSIFY)
    desk.correct(document, "category", "invoice")
    desk.read_on(document)
    other = desk.read(CLUB[1].text)
    [with_examples] = units_of(desk.ledger, other, Stage.CLASSIFY)
    assert ReadParams.model_validate(with_examples.params).examples
    assert "examples" in with_examples.params
    assert ReadParams.model_validate(before.params).examples == ()
    assert before.result_key != with_examples.result_key


# The prompts


EXAMPLE = Example(
    document="aaaa",
    similarity=0.7,
    category="invoice",
    wrong_category="letter",
    fields=(
        ExampleField(name="total", value="12.00", wrong="5.00", quote="£12.00", label="To be settled"),
        ExampleField(name="seller", value="", wrong="Somebody"),
    ),
)


def test_examples_stand_in_the_instruction_as_data() -> None:
    invoice = RECIPE.category("invoice")
    prompt = fields_instruction(invoice, examples=[EXAMPLE])
    lines = [json.loads(line) for line in prompt.splitlines() if line.startswith("{")]
    assert lines == [
        {"field": "total", "right": "£12.00", "beside": "To be settled", "wrong": "5.00"},
        {"field": "seller", "right": None, "beside": None, "wrong": "Somebody"},
    ]
    assert fields_instruction(RECIPE.category("letter"), examples=[EXAMPLE]) == fields_instruction(
        RECIPE.category("letter")
    )
    assert '{"kind": "invoice", "not": "letter"}' in classify_instruction(RECIPE, [EXAMPLE])
    assert classify_instruction(RECIPE, []) == classify_instruction(RECIPE)


@given(st.text(max_size=80), st.text(max_size=60))
def test_what_an_example_quotes_stays_in_its_line_and_ends_no_fence(quote: str, label: str) -> None:
    field = ExampleField(name="total", value="1", quote=quote, label=label)
    example = EXAMPLE.model_copy(update={"fields": (field,)})
    plain = fields_instruction(RECIPE.category("invoice"))
    prompt = fields_instruction(RECIPE.category("invoice"), examples=[example])
    assert prompt.count("\n") == plain.count("\n") + 3
    assert "<" not in prompt.replace(plain, "")


# Remembered: what else would change


def corrected_club(desk: Desk, count: int) -> list[str]:  # noqa: F811
    """Invoices of one sender, all taken for something else; the first is corrected."""
    documents = [
        desk.read(sample.text) for sample in invoices_by_sender(count) if sample.sender == CLUB[0].sender
    ]
    desk.correct(documents[0], "category", "invoice")
    desk.read_on(documents[0])
    return documents


def changes_after(desk: Desk, document: str, field: str, value: str) -> list[Change]:  # noqa: F811
    said = desk.pipeline.correct(desk.row(document), field, value)
    return desk.pipeline.similar_changes(said)


def test_a_correction_says_what_it_would_change_and_does_it_when_agreed(desk: Desk) -> None:  # noqa: F811
    first, second, third, stranger = (*corrected_club(desk, 3), desk.read(SAMPLES[0].text))
    said = desk.pipeline.correct(desk.row(first), "category", "invoice")
    changes = desk.pipeline.similar_changes(said)
    assert {(one.document, one.field, one.old, one.new) for one in changes} == {
        (second, "category", "other", "invoice"),
        (third, "category", "other", "invoice"),
    }
    before = desk.row(stranger)
    for change in changes:
        desk.pipeline.apply_change(change)
        desk.read_on(change.document)
    assert [desk.row(document).category for document in (second, third)] == ["invoice", "invoice"]
    assert desk.row(stranger) == before
    changes = changes_after(desk, first, "number", CLUB[0].truth["number"])
    assert {(one.document, one.old, one.new) for one in changes} == {
        (second, "", CLUB[1].truth["number"]),
        (third, "", CLUB[2].truth["number"]),
    }
    desk.pipeline.apply_change(changes[0])
    number = desk.field(changes[0].document, "number")
    assert (number.value, number.status) == (changes[0].new, FieldStatus.CORRECTED)


def test_what_a_person_has_said_or_accepted_is_not_changed(desk: Desk) -> None:  # noqa: F811
    first, second, third, fourth = corrected_club(desk, 4)
    for document in (second, third, fourth):
        desk.correct(document, "category", "invoice")
        desk.read_on(document)
    desk.correct(second, "number", "1")
    desk.pipeline.accept(desk.row(third))
    changes = changes_after(desk, first, "number", CLUB[0].truth["number"])
    assert [one.document for one in changes] == [fourth]


def test_a_value_that_has_changed_meanwhile_is_left(desk: Desk) -> None:  # noqa: F811
    first, second = corrected_club(desk, 2)
    desk.correct(second, "category", "invoice")
    desk.read_on(second)
    [change] = changes_after(desk, first, "number", CLUB[0].truth["number"])
    desk.correct(second, "number", "3")
    with pytest.raises(CorrectionError, match="has changed meanwhile"):
        desk.pipeline.apply_change(change)
    assert desk.field(second, "number").value == "3"


def test_a_confirmed_value_changes_nothing_elsewhere(desk: Desk) -> None:  # noqa: F811
    first, *_ = corrected_club(desk, 3)
    assert changes_after(desk, first, "currency", desk.field(first, "currency").value) == []


def test_nothing_is_remembered_while_learning_is_off(
    ledger: Ledger, settings: Settings, tmp_path: Path
) -> None:
    own = Desk(ledger, settings.model_copy(update={"learn": False}), tmp_path)
    first, _ = corrected_club(own, 2)
    assert changes_after(own, first, "number", CLUB[0].truth["number"]) == []


def test_documents_from_before_there_were_sketches_are_alike_too(desk: Desk) -> None:  # noqa: F811
    first, second = corrected_club(desk, 2)
    desk.ledger.db.execute("DELETE FROM sketches")
    desk.correct(second, "category", "invoice")
    desk.read_on(second)
    desk.ledger.db.execute("DELETE FROM sketches")
    [change] = changes_after(desk, first, "number", CLUB[0].truth["number"])
    assert change.document == second
    desk.ledger.db.execute("DELETE FROM sketches")
    third = desk.read(CLUB[2].text)
    assert desk.field(third, "number").value == CLUB[2].truth["number"]


def test_a_second_thought_of_a_person_is_a_correction_too(desk: Desk) -> None:  # noqa: F811
    club = [desk.read(sample.text) for sample in CLUB]
    desk.correct(club[0], "category", "other")  # confirmed by mistake
    changes = changes_after(desk, club[0], "category", "invoice")
    assert {change.document for change in changes} == set(club[1:])
