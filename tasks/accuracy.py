"""How well an engine reads: its results against files whose truth is known.

A truth file is JSON, `{filename: {number, date, total, currency, seller, buyer, category}}`, all keys
optional. Dates are ISO, totals decimals with a point, currencies ISO 4217. `null` or a missing key
means that nothing is known, and is not counted.

What counts as right: dates and currencies are equal; totals are equal as numbers; numbers are equal
without white space and case; names are equal with white space collapsed and case folded, or one
contains the other whole (`contained` says how many of the right ones are only that).
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, TypeAdapter, ValidationError

from tasks.dates import detect_day_first, find_dates
from tasks.documents import Analysis, Classification, DocumentText, FieldStatus, Value
from tasks.errors import FileError, NotFoundError
from tasks.literal import stands_on
from tasks.recipes import Recipe
from tasks.values import detect_number_format, find_amounts

if TYPE_CHECKING:
    from tasks.engines.base import ReadingEngine

TRUTH_FILE = "truth.json"
CATEGORY = "category"
FIELDS = ("number", "date", "total", "currency", "seller", "buyer")
_NAMES = ("seller", "buyer")
_MIN_CONTAINED = 4
"""A name shorter than this is not counted as contained in another."""

Truth = Mapping[str, Mapping[str, str | None]]


class Outcome(StrEnum):
    """What became of one value."""

    EXACT = "exact"
    CONTAINED = "contained"
    """A name that contains the true one whole, or is contained in it."""
    WRONG = "wrong"
    MISSING = "missing"
    """The engine gave nothing."""


class Cell(Value):
    """One field of one file."""

    field: str
    truth: str
    value: str
    outcome: Outcome
    in_text: bool
    """Whether the truth stands in the document's text at all; what does not cannot be read from it."""


class FileRow(Value):
    """One file: its cells in the order of `FIELDS`, then the category."""

    file: str
    cells: tuple[Cell, ...]


class FieldAccuracy(Value):
    """Counts of one field over all files. `right + wrong + missing == total`."""

    field: str
    right: int
    contained: int
    """How many of the right ones are names of which one contains the other."""
    wrong: int
    missing: int
    total: int
    not_in_text: int
    """How many of the total have a truth that the document's text does not hold."""

    @property
    def share(self) -> float:
        """Right over total, 0 to 1; 0 where nothing is known."""
        return self.right / self.total if self.total else 0.0

    @property
    def share_in_text(self) -> float:
        """Right over those whose truth the text holds, at most 1; 0 where there is none."""
        readable = self.total - self.not_in_text
        return min(1.0, self.right / readable) if readable else 0.0


class Verified(Value):
    """How many values were marked as verified, and how many of them literally stand on the page they name."""

    values: int = 0
    on_page: int = 0
    """By the page's text as it was read."""
    by_another: int = 0
    """By the text that another reader, if there is one, finds on that page of the file."""
    missed: tuple[str, ...] = ()
    """Those that one of the two did not find: file, field and value."""


class AccuracyReport(Value):
    """Accuracy by field and the table behind it."""

    engine: str
    recipe: str
    pages: str = ""
    """What was read: text layers or scans."""
    fields: tuple[FieldAccuracy, ...]
    rows: tuple[FileRow, ...]
    verified: Verified = Verified()


class FileResult(Value):
    """What an engine made of one document."""

    document: DocumentText
    classification: Classification
    analysis: Analysis
    by_another: Mapping[int, str] = Field(default_factory=dict)
    """The text of the file's pages as another reader finds it; empty if there is none for such files."""


def measure_folder(
    folder: Path,
    read: Callable[[Path], DocumentText],
    engine: "ReadingEngine",
    recipe: Recipe,
    category: str | None = None,
    by_another: Callable[[Path], dict[int, str]] | None = None,
) -> AccuracyReport:
    """Read every file that `truth.json` in the folder names, and compare.

    `by_another` reads the pages of a file in another way, to look for the verified values there.

    Each file is analysed as the category that the engine chose for it, as in real life. `category` is the
    true one of those files whose truth names none.

    Raises:
        NotFoundError: there is no truth file, or a file that it names is missing.
        FileError: the truth file is not in the documented form, or a file cannot be read.
    """
    truth = read_truth(folder / TRUTH_FILE)
    if category is not None:
        truth = {name: {CATEGORY: category, **facts} for name, facts in truth.items()}
    results: dict[str, FileResult] = {}
    for name in truth:
        path = folder / name
        if not path.is_file():
            raise NotFoundError(
                f"{folder / TRUTH_FILE} names {name}, which is not there.", "Add or remove it."
            )
        document = read(path)
        classification = engine.classify(document, recipe)
        analysis = engine.analyse(document, recipe.category(classification.category))
        results[name] = FileResult(
            document=document,
            classification=classification,
            analysis=analysis,
            by_another=by_another(path) if by_another else {},
        )
    report = measure(truth, results, f"{engine.name} {engine.version}", f"{recipe.name} {recipe.version}")
    return report.model_copy(update={"verified": look_for_verified(results, recipe)})


def read_truth(path: Path) -> Truth:
    """Read and check a truth file.

    Raises:
        NotFoundError: it is not there.
        FileError: it is not JSON of the documented form, or names a file outside its folder.
    """
    form = "Write {filename: {number, date, total, currency, seller, buyer, category}} with text values."
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NotFoundError(f"There is no {path.name} in {path.parent}.", form) from error
    except (OSError, ValueError) as error:
        raise FileError(f"{path} cannot be read as JSON: {error}.", form) from error
    try:
        truth = TypeAdapter(dict[str, dict[str, str | None]]).validate_python(raw)
    except ValidationError as error:
        where = " ".join(str(part) for part in error.errors()[0]["loc"])
        raise FileError(f"{path}: {where or 'the file'} is not of the right form.", form) from error
    for name in truth:
        if Path(name).name != name:
            raise FileError(
                f"{path} names {name!r}, which is not a file of its folder.", "Use plain file names."
            )
    return truth


def measure(
    truth: Truth, results: Mapping[str, FileResult], engine: str = "", recipe: str = ""
) -> AccuracyReport:
    """Compare results with the truth of the same file names; files without a result are left out."""
    rows = tuple(
        FileRow(file=name, cells=tuple(_cells(truth[name], results[name])))
        for name in truth
        if name in results
    )
    cells = [cell for row in rows for cell in row.cells]
    fields = tuple(
        _count(field, [cell for cell in cells if cell.field == field])
        for field in (*FIELDS, CATEGORY)
        if any(cell.field == field for cell in cells)
    )
    return AccuracyReport(engine=engine, recipe=recipe, fields=fields, rows=rows)


def look_for_verified(results: Mapping[str, FileResult], recipe: Recipe) -> Verified:
    """Look for every verified value on the page that it names, letter by letter."""
    seen = Verified()
    for name, result in results.items():
        kinds = {spec.name: spec.type for spec in recipe.category(result.classification.category).fields}
        own = {page.number: page.text for page in result.document.pages}
        for field in result.analysis.fields:
            if field.status is not FieldStatus.VERIFIED or field.page is None:
                continue
            found = [
                stands_on(field, kinds[field.name], pages.get(field.page, ""))
                for pages in (own, result.by_another or own)
            ]
            missed = () if all(found) else (f"{name}: {field.name} {field.value}",)
            seen = Verified(
                values=seen.values + 1,
                on_page=seen.on_page + found[0],
                by_another=seen.by_another + found[1],
                missed=seen.missed + missed,
            )
    return seen


def compare(field: str, truth: str, value: str) -> Outcome:
    """What a value is worth beside the truth; see the module for the rules."""
    if not value:
        return Outcome.MISSING
    if field == "total":
        return Outcome.EXACT if _decimal(truth) == _decimal(value) is not None else Outcome.WRONG
    if field in _NAMES:
        return _compare_names(_folded(truth), _folded(value))
    same = re.sub(r"\s", "", truth).casefold() == re.sub(r"\s", "", value).casefold()
    return Outcome.EXACT if same else Outcome.WRONG


def _compare_names(truth: str, value: str) -> Outcome:
    if truth == value:
        return Outcome.EXACT
    shorter, longer = sorted((truth, value), key=len)
    inside = re.search(rf"(?<!\w){re.escape(shorter)}(?!\w)", longer)
    return Outcome.CONTAINED if inside and len(shorter) >= _MIN_CONTAINED else Outcome.WRONG


def _cells(truth: Mapping[str, str | None], result: FileResult) -> Iterable[Cell]:
    values = {field.name: field.value for field in result.analysis.fields}
    for field in FIELDS:
        if true_value := truth.get(field):
            value = values.get(field, "")
            yield Cell(
                field=field,
                truth=true_value,
                value=value,
                outcome=compare(field, true_value, value),
                in_text=is_in_text(field, true_value, result.document.text),
            )
    if true_category := truth.get(CATEGORY):
        value = result.classification.category
        outcome = Outcome.EXACT if value == true_category else Outcome.WRONG
        yield Cell(field=CATEGORY, truth=true_category, value=value, outcome=outcome, in_text=True)


def _count(field: str, cells: list[Cell]) -> FieldAccuracy:
    outcomes = [cell.outcome for cell in cells]
    contained = outcomes.count(Outcome.CONTAINED)
    return FieldAccuracy(
        field=field,
        right=outcomes.count(Outcome.EXACT) + contained,
        contained=contained,
        wrong=outcomes.count(Outcome.WRONG),
        missing=outcomes.count(Outcome.MISSING),
        total=len(cells),
        not_in_text=sum(not cell.in_text for cell in cells),
    )


def is_in_text(field: str, truth: str, text: str) -> bool:
    """Whether a text states a true value, in whatever form."""
    if field == "date":
        return any(f.value.isoformat() == truth for f in find_dates(text, detect_day_first(text)))
    if field == "total":
        return any(a.value == _decimal(truth) for a in find_amounts(text, detect_number_format(text)))
    if field == "currency":
        return True  # a symbol, a code or a country may stand for it
    # A name of several lines in the truth often begins with codes; its last line is the name itself.
    return _folded(truth.splitlines()[-1]) in _folded(text)


def _decimal(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()
