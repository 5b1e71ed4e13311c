"""Checks: values that do not agree with each other send a document to review, with the reason in words."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.check_digits import NumberKind, number_problem
from tasks.checks import failed_checks
from tasks.documents import Field, FieldStatus, State
from tasks.recipes import BUILTIN, load_recipe
from tasks.settings import Settings
from tests.test_corrections import INVOICE, Desk, desk  # noqa: F401 - a fixture


def invoice(status: FieldStatus = FieldStatus.VERIFIED, **values: str) -> list[Field]:
    return [Field(name=name, value=value, status=status) for name, value in values.items()]


def checked(fields: list[Field], category: str = "invoice") -> list[str]:
    return failed_checks(load_recipe(BUILTIN, Settings().recipes_path).category(category), fields)


@pytest.mark.parametrize(
    "values",
    [
        {"net": "100.00", "tax": "19.00", "total": "119.00"},
        {"net": "100.00", "tax": "19.02", "total": "119.00"},  # rounded lines
        {"net": "-100.00", "tax": "-19.00", "total": "-119.00"},  # a credit note
        {"net": "100.00", "total": "119.00"},
        {"net": "", "tax": "19.00", "total": "119.00"},
        {"net": "about a hundred", "tax": "19.00", "total": "119.00"},
        {"date": "2026-03-01", "due_date": "2026-03-01"},
        {"date": "2026-03-01"},
        {},
    ],
)
def test_what_agrees_or_cannot_be_told_is_no_reason(values: dict[str, str]) -> None:
    assert checked(invoice(**values)) == []


def test_net_and_tax_have_to_make_the_total() -> None:
    values = {"net": "1420.00", "tax": "269.80", "total": "1589.80"}
    assert checked(invoice(**values)) == [
        "Net 1420.00 and tax 269.80 make 1689.80, not the total of 1589.80."
    ]
    assert checked(invoice(**values), "receipt") == checked(invoice(**values))


def test_nothing_is_due_before_it_was_written() -> None:
    values = {"date": "2026-03-02", "due_date": "2026-03-01"}
    assert checked(invoice(**values)) == ["The due date 2026-03-01 is before the date 2026-03-02."]


def test_what_a_person_has_said_in_full_is_not_doubted() -> None:
    said = invoice(FieldStatus.CORRECTED, net="1.00", tax="1.00", total="5.00")
    assert checked(said) == []
    assert checked([*said[:2], *invoice(total="5.00")]) != []


def test_a_document_that_does_not_add_up_needs_review_until_it_does(desk: Desk) -> None:  # noqa: F811
    document = desk.read(INVOICE)
    total = desk.field(document, "total").value
    tax = desk.field(document, "tax").value
    assert (total, bool(tax)) == ("1234.50", True)
    desk.correct(document, "total", "9999.00")
    row = desk.row(document)
    assert row.state is State.REVIEW
    assert "not the total of 9999.00" in row.message
    desk.correct(document, "total", total)
    assert desk.row(document).state is State.DONE


@pytest.mark.parametrize(
    ("name", "number", "problem"),
    [
        ("iban", "DE02120300000000202051", ""),
        ("iban", "DE12120300000000202051", "is no valid IBAN: its check digits do not fit"),
        ("iban", "1234567", ""),  # an account number has no common form
        ("vat_id", "DE136695976", ""),
        ("vat_id", "ATU13585627", ""),
        ("vat_id", "CHE-107.787.577 IVA", ""),
        ("vat_id", "EL094259216", ""),
        ("vat_id", "DE136695967", "is no valid VAT id: its check digits do not fit"),
        ("vat_id", "FR1", "is no valid VAT id: it has another form"),
        ("vat_id", "201/113/40209", ""),
        ("vat_id", "XX123", ""),
        ("vat_id", "DE١٣٦٦٩٥٩٧٦", "is no valid VAT id: it has another form"),
    ],
)
def test_check_digits_have_to_fit(name: str, number: str, problem: str) -> None:
    expected = [f"The {name.replace('_', ' ')} {number} {problem}."] if problem else []
    assert checked(invoice(**{name: number})) == expected
    assert checked(invoice(FieldStatus.CORRECTED, **{name: number})) == []


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [
        ("bic", "COBADEFF", "COBADEF"),
        ("creditor_reference", "RF18539007547034", "RF18539007547035"),
        ("isin", "US0378331005", "US0378331004"),
        ("lei", "213800KUD8LAJWSQ9D15", "213800KUD8LAJWSQ9D16"),
        ("luhn", "79927398713", "79927398710"),
    ],
)
def test_other_kinds_of_number_are_there_for_recipes(kind: NumberKind, right: str, wrong: str) -> None:
    assert number_problem(kind, right) == ""
    assert number_problem(kind, wrong).startswith("is no valid ")


@given(st.text(max_size=40))
def test_any_text_can_be_asked_about(text: str) -> None:
    for kind in get_args(NumberKind):
        assert isinstance(number_problem(kind, text), str)
