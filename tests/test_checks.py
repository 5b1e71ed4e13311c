"""Checks: values that do not agree with each other send a document to review, with the reason in words."""

import pytest

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
