"""Writing an export to a file, whole or not at all."""

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from app.export import FORM_OF_ENDING, CsvForm, export
from tasks.errors import ShoeboxError
from tasks.ledger import DocumentRow, Ledger

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
        # newline="": the csv module ends its lines itself
        with tempfile.NamedTemporaryFile(
            "w", dir=target.parent, prefix=f".{form}-", encoding="utf-8", newline="", delete=False
        ) as file:
            new = Path(file.name)
            try:
                file.writelines(export(ledger, documents, form, csv_form))
                file.flush()
                os.fsync(file.fileno())  # else a power cut can leave the new name with nothing in it
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
