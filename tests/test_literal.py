"""The independent look at verified values: it finds what stands there and nothing else."""

import json
from pathlib import Path

import pytest

from tasks.documents import Field, FieldStatus
from tasks.literal import stands_on
from tasks.recipes import FieldType
from tests.samples import make_corpus
from tests.system import System

PAGE = "Rechnung Nr. RE-7 vom 3. März 2024\nSumme 1.234,50 €\nMüller & Söhne\nGmbH"


def field(value: str, quote: str) -> Field:
    return Field(name="x", value=value, quote=quote, page=1, status=FieldStatus.VERIFIED)


@pytest.mark.parametrize(
    ("kind", "value", "quote"),
    [
        ("amount", "1234.50", "1.234,50 €"),
        ("amount", "-1234.50", "1.234,50"),
        ("date", "2024-03-03", "3. März 2024"),
        ("currency", "EUR", "€"),
        ("identifier", "RE-7", "RE-7"),
        ("party", "Müller & Söhne GmbH", "Müller & Söhne GmbH"),
    ],
)
def test_what_stands_there_is_found(kind: FieldType, value: str, quote: str) -> None:
    assert stands_on(field(value, quote), kind, PAGE)


@pytest.mark.parametrize(
    ("kind", "value", "quote"),
    [
        ("amount", "1234.60", "1.234,50 €"),
        ("amount", "1234.50", "1.234,60 €"),  # the quote is not on the page
        ("date", "2024-03-04", "3. März 2024"),
        ("date", "2023-03-03", "3. März 2024"),
        ("currency", "USD", "€"),
        ("identifier", "RE-8", "RE-7"),
        ("party", "Müller AG", "Müller & Söhne GmbH"),
        ("party", "Müller", ""),
    ],
)
def test_what_does_not_is_not(kind: FieldType, value: str, quote: str) -> None:
    assert not stands_on(field(value, quote), kind, PAGE)


@pytest.mark.ocr
def test_one_command_reads_text_layers_and_scans_and_looks_for_what_is_verified(tmp_path: Path) -> None:
    make_corpus(tmp_path / "invoices", 2)
    done = System(tmp_path).run("accuracy", str(tmp_path / "invoices"), "--scans", "--json")
    by_text, by_scan = json.loads(done.stdout)
    assert (by_text["pages"], by_scan["pages"]) == ("text layer", "scans, 200 dpi")
    for report in (by_text, by_scan):
        assert [field["field"] for field in report["fields"]] == [
            "number",
            "date",
            "total",
            "currency",
            "seller",
            "buyer",
            "category",
        ]
        assert all(field["right"] == field["total"] == 2 for field in report["fields"])
        verified = report["verified"]
        assert verified["values"] == verified["on_page"] == verified["by_another"] > 10
        assert verified["missed"] == []
