"""Writing the table out: CSV for spreadsheets, JSONL with everything, Markdown to read."""

import csv
import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from io import StringIO
from pathlib import Path

from app.listing import Row, full_record, make_row
from app.plain_text import visible
from tasks.errors import ShoeboxError
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


_FORMS = {".csv": "csv", ".jsonl": "jsonl", ".md": "md"}


def write_file(ledger: Ledger, documents: Iterable[DocumentRow], target: Path, *, replace: bool) -> None:
    """Write documents to a file, in the form that its ending says. There is never half a file.

    Raises:
        ShoeboxError: the ending is none of .csv, .jsonl and .md, the file cannot be written, or there is one
            of that name and `replace` is not set.
    """
    form = _FORMS.get(target.suffix.lower())
    if form is None:
        raise ShoeboxError(
            f"{target} has an ending that stands for no form.",
            f"End the name with one of: {', '.join(_FORMS)}.",
        )
    try:
        if target.exists() and not replace:
            raise FileExistsError
        # newline="": the csv module ends its lines itself
        with tempfile.NamedTemporaryFile(
            "w", dir=target.parent, prefix=f".{form}-", encoding="utf-8", newline="", delete=False
        ) as file:
            new = Path(file.name)
            try:
                file.writelines(export(ledger, documents, form))
                file.close()
                _put_in_place(new, target, replace=replace)
            finally:
                new.unlink(missing_ok=True)
    except FileExistsError as error:
        raise ShoeboxError(
            f"{target} is there already.", "Name another file, or have it replaced."
        ) from error
    except OSError as error:
        raise ShoeboxError(f"{target} cannot be written: {error.strerror}.", "Name another file.") from error


def _put_in_place(new: Path, target: Path, *, replace: bool) -> None:
    """Give the new file its name, without ever taking the name from another file unasked."""
    if replace:
        new.replace(target)
        return
    try:
        os.link(new, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without links, such as a USB stick's: another file may slip in between
        if target.exists():
            raise FileExistsError from None
        new.replace(target)


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
