"""Writing the table out: CSV for spreadsheets, JSONL with everything, Markdown to read."""

import csv
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from io import StringIO

from app.listing import Row, full_record, make_row
from app.plain_text import visible
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
    "pages",
    "message",
    "engine",
    "provisional",
    "path",
)
_FORMULA = re.compile(r"^[=+\-@\t\r]")
_NUMBER = re.compile(r"^[+-]?\d+(\.\d+)?$")


def export(ledger: Ledger, documents: Iterable[DocumentRow], form: str) -> Iterator[str]:
    """The documents in `csv`, `jsonl` or `md`, piece by piece."""
    match form:
        case "csv":
            yield from _csv(map(make_row, documents))
        case "jsonl":
            for document in documents:
                yield json.dumps(full_record(ledger, document), ensure_ascii=False) + "\n"
        case "md":
            yield from _markdown(map(make_row, documents))
        case _:
            raise ValueError(f"unknown form {form!r}")


def defused(value: object) -> str:
    """A cell that a spreadsheet shows as it is: what it would run as a formula gets a quote before it."""
    text = "" if value is None else str(value)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.match(text) else text


def _csv(rows: Iterable[Row]) -> Iterator[str]:
    buffer = StringIO()
    writer = csv.writer(buffer)
    writer.writerow(_CSV_COLUMNS)
    for row in rows:
        values = asdict(row)
        writer.writerow([defused(values[column]) for column in _CSV_COLUMNS])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()


def _markdown(rows: Iterable[Row]) -> Iterator[str]:
    yield "| id | state | name | category | party | date | amount | title |\n"
    yield "|---|---|---|---|---|---|---:|---|\n"
    for row in rows:
        amount = f"{row.amount} {row.currency}".strip()
        cells = (row.id, row.state, row.name, row.category, row.party, row.date, amount, row.title)
        yield "| " + " | ".join(map(_markdown_cell, cells)) + " |\n"


def _markdown_cell(text: str) -> str:
    """Markup of Markdown and HTML in a cell is shown, not acted on."""
    return re.sub(r"([\\|`*_\[\]<>#!~])", r"\\\1", visible(text))
