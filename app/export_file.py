"""Writing an export to a file, whole or not at all."""

import os
from collections.abc import Iterable
from pathlib import Path

from app.export import FORM_OF_ENDING, CsvForm, export
from tasks.errors import ShoeboxError
from tasks.ledger import DocumentRow, Ledger
from tasks.whole_file import whole_file

FOR_SPREADSHEETS = CsvForm(bom=True)


def form_of(target: Path) -> str:
    """The form that the ending of a name stands for.

    Raises:
        ShoeboxError: the ending is none of .csv, .jsonl and .md.
    """
    form = FORM_OF_ENDING.get(target.suffix.lower())
    if form is None:
        raise ShoeboxError(
            f"{target} has an ending that stands for no form.",
            f"End the name with one of: {', '.join(FORM_OF_ENDING)}.",
        )
    return form


def write_file(
    ledger: Ledger,
    documents: Iterable[DocumentRow],
    target: Path,
    form: str,
    csv_form: CsvForm = FOR_SPREADSHEETS,
    *,
    replace: bool,
) -> None:
    """Write documents to a file. There is never half a file.

    Raises:
        ShoeboxError: the file cannot be written, or there is one of that name and `replace` is not set.
    """
    try:
        if target.exists() and not replace:
            raise FileExistsError
        with whole_file(target, Path.replace if replace else _take_free_name) as file:
            file.writelines(export(ledger, documents, form, csv_form))
    except FileExistsError as error:
        raise ShoeboxError(
            f"{target} is there already.", "Name another file, or have it replaced."
        ) from error
    except OSError as error:
        raise ShoeboxError(f"{target} cannot be written: {error.strerror}.", "Name another file.") from error


def _take_free_name(new: Path, target: Path) -> None:
    """Give the new file its name, without taking that from another file.

    Raises:
        FileExistsError: there is one.
    """
    try:
        os.link(new, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without links, such as a USB stick's: another file may slip in between
        if target.exists():
            raise FileExistsError from None
        new.replace(target)
