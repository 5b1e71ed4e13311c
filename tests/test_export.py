"""Exports: tables that open right in a spreadsheet, a report to read, and the documented ledger."""

import csv
import re
from io import StringIO
from pathlib import Path

import pytest

from app.export import CsvForm, defused, export
from app.export_file import form_of, write_file
from tasks.documents import State
from tasks.errors import ShoeboxError
from tasks.ledger import Ledger
from tests.test_tui_store import enter

SCHEMA = (Path(__file__).parent.parent / "docs" / "ledger-schema.md").read_text()
TABLES = re.split(r"^## ", SCHEMA, flags=re.MULTILINE)
QUERIES = re.findall(r"```sql\n(.*?)```", SCHEMA, flags=re.DOTALL)


def enter_three(ledger: Ledger) -> None:
    """Two invoices in one month, and one that needs review."""
    enter(
        ledger,
        "a.pdf",
        state=State.DONE,
        category="invoice",
        date="2026-03-04",
        amount="10.10",
        currency="EUR",
    )
    enter(
        ledger,
        "b.pdf",
        state=State.DONE,
        category="invoice",
        date="2026-03-09",
        amount="0.20",
        currency="EUR",
    )
    enter(ledger, "*c*.pdf", state=State.REVIEW, category="letter", message="Look <b>here</b>.")


@pytest.mark.parametrize("sign", "=+-@\uff1d\uff0b\uff0d\uff20")
@pytest.mark.parametrize("before", ["", " ", "\u3000", "\t", "\r\n"])
def test_no_cell_begins_as_a_formula(sign: str, before: str) -> None:
    assert defused(f"{before}{sign}cmd|' /C calc'!A0").startswith("'")


@pytest.mark.parametrize("number", ["-12.50", "+3", "0.1", "-7"])
def test_numbers_stay_numbers(number: str) -> None:
    assert defused(number) == number


def test_a_file_begins_with_a_byte_order_mark_and_a_pipe_does_not(ledger: Ledger, tmp_path: Path) -> None:
    enter(ledger, "Müller;=1.pdf", party="=SUM(A1)\x1b[31m")
    target = tmp_path / "out.csv"
    write_file(ledger, ledger.documents(), target, form_of(target), replace=False)
    assert target.read_bytes().startswith(b"\xef\xbb\xbfid,")
    assert b"\r\n" in target.read_bytes()
    piped = "".join(export(ledger, ledger.documents(), "csv", CsvForm(delimiter=";")))
    assert piped.startswith("id;")
    (row,) = csv.DictReader(StringIO(piped), delimiter=";")
    assert (row["name"], row["party"]) == ("Müller;=1.pdf", "'=SUM(A1)\\x1b[31m")


def test_the_ending_says_the_form(tmp_path: Path) -> None:
    assert [form_of(Path(name)) for name in ("a.CSV", "b.jsonl", "c.md")] == ["csv", "jsonl", "md"]
    with pytest.raises(ShoeboxError, match=r"x\.xlsx"):
        form_of(tmp_path / "x.xlsx")


def test_a_failed_export_leaves_what_was_there(ledger: Ledger, tmp_path: Path) -> None:
    enter_three(ledger)
    target = tmp_path / "out.csv"
    target.write_text("precious")
    with pytest.raises(ShoeboxError, match="there already"):
        write_file(ledger, ledger.documents(), target, "csv", replace=False)
    with pytest.raises(ValueError, match="unknown form"):
        write_file(ledger, ledger.documents(), target, "pdf", replace=True)
    assert target.read_text() == "precious"
    assert list(tmp_path.glob(".*")) == []


def test_the_report_adds_up_and_says_what_to_look_at(ledger: Ledger) -> None:
    enter_three(ledger)
    report = "".join(export(ledger, ledger.documents(), "md"))
    assert "3 documents: 2 done, 1 review." in report
    assert "| invoice | 2 | 10.30 EUR |" in report
    assert "| 2026-03 | 2 | 10.30 EUR |" in report
    assert "## Needs review\n\n- **\\*c\\*.pdf**" in report
    assert "Look \\<b\\>here\\</b\\>." in report


def test_an_empty_report_is_one(ledger: Ledger) -> None:
    assert "".join(export(ledger, [], "md")).startswith("# Documents\n\n0 documents: none.")


def test_every_table_and_column_is_documented(ledger: Ledger) -> None:
    tables = ledger.db.execute(
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type != 'shadow'"
        " AND name NOT LIKE 'sqlite%'"
    ).fetchall()
    for (table,) in tables:
        (section,) = (text for text in TABLES if text.startswith(f"{table}\n"))
        columns = {row["name"] for row in ledger.db.execute(f"PRAGMA table_info({table})")}
        documented = {name for line in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
                      for name in re.findall(r"`(\w+)`", line)}  # fmt: skip
        assert documented == columns, table


@pytest.mark.parametrize("query", QUERIES)
def test_every_example_query_runs(ledger: Ledger, query: str) -> None:
    enter_three(ledger)
    ledger.db.execute(query).fetchall()


def test_there_are_example_queries() -> None:
    assert len(QUERIES) >= 4


def test_an_export_replaces_a_link_and_not_what_it_leads_to(ledger: Ledger, tmp_path: Path) -> None:
    private = tmp_path / "private.txt"
    private.write_text("private")
    target = tmp_path / "table.csv"
    target.symlink_to(private)
    with pytest.raises(ShoeboxError, match="there already"):
        write_file(ledger, [], target, "csv", replace=False)
    write_file(ledger, [], target, "csv", replace=True)
    assert private.read_text() == "private"
    assert not target.is_symlink()
