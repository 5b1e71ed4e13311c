"""Writing the table out: CSV for spreadsheets, JSONL with everything, Markdown to read."""

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from io import StringIO

from app.listing import Row, full_record, make_row
from app.markdown_report import markdown_report
from app.plain_text import visible_json, visible_lines
from tasks.ledger import DocumentRow, Ledger

_CSV_COLUMNS = (
    "id",
    "state",
    "name",
    "category",
    "confidence",
    "party",
    "date",
    "amount",
    "currency",
    "title",
    "summary",
    "language",
    "pages",
    "message",
    "engine",
    "provisional",
    "path",
)
# What a spreadsheet runs as a formula when a cell begins with it (owasp.org, "CSV Injection"), the full-width
# forms that some of them fold to the same signs, and white space before any of these.
_FORMULA = re.compile(r"^[\s\u00a0\u3000]*[=+\-@\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]")
_NUMBER = re.compile(r"^[+-]?\d+(\.\d+)?$")

FORM_OF_ENDING = {".csv": "csv", ".jsonl": "jsonl", ".md": "md"}


@dataclass(frozen=True, slots=True)
class CsvForm:
    """How a table of comma-separated values is written."""

    bom: bool = False
    """Begin with a byte order mark. Excel takes the file for one in the system's old code page without it."""
    delimiter: str = ","
    """Excel expects `;` where the decimal sign is a comma."""


PLAIN_CSV = CsvForm()


def export(
    ledger: Ledger, documents: Iterable[DocumentRow], form: str, csv_form: CsvForm = PLAIN_CSV
) -> Iterator[str]:
    """The documents in `csv`, `jsonl` or `md`, piece by piece."""
    match form:
        case "csv":
            yield from _csv(map(make_row, documents), csv_form)
        case "jsonl":
            for document in documents:
                yield visible_json(full_record(ledger, document)) + "\n"
        case "md":
            yield from markdown_report([make_row(document) for document in documents])
        case _:
            raise ValueError(f"unknown form {form!r}")


def defused(value: object) -> str:
    """A cell that a spreadsheet shows as it is: what it would run as a formula gets a quote before it."""
    text = "" if value is None else str(value)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.match(text) else text


def _csv(rows: Iterable[Row], form: CsvForm) -> Iterator[str]:
    if form.bom:
        yield "\ufeff"
    buffer = StringIO()
    writer = csv.writer(buffer, delimiter=form.delimiter)  # lines end in CRLF, as RFC 4180 says
    writer.writerow(_CSV_COLUMNS)
    for row in rows:
        values = asdict(row)
        writer.writerow([_cell(values[column]) for column in _CSV_COLUMNS])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()


def _cell(value: object) -> str:
    """A value without characters that act on whatever opens the file."""
    return defused(visible_lines(value) if isinstance(value, str) else value)
