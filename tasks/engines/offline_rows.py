"""The lines of a document as its parties stand in them: columns one after the other, headings left out."""

import copy
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tasks.engines.offline_text import Reading, TextLine

_GAP = re.compile(r"\t[ \t]{0,20}| {3,400}")
"""Between two columns of a row that was read as one line."""
_SLACK = 2
"""Cells of one column may begin by so many characters apart."""


def _spaced(word: str) -> str:
    """The word, also letter-spaced as in `I N V O I C E`."""
    return " ?".join(word)


_KINDS = "|".join(
    [
        *map(_spaced, ("INVOICE", "RECEIPT", "RECHNUNG", "GUTSCHRIFT", "QUITTUNG", "FACTURE", "FACTURA")),
        r"[^\W\d_]{1,20}rechnung",
        *("CREDIT NOTE", "REMINDER", "MAHNUNG", "KASSENBON", "KONTOAUSZUG", "FATTURA", "FACTUUR", "REÇU"),
    ]
)
_HEADING = (
    rf"(?:(?:tax|sales|commercial|pro ?forma|final|copy) ){{0,2}}(?:{_KINDS})"
    r"(?:\s{1,3}(?:no|nr|number|nummer|n°|#)?[.:]?\s{0,3}[\w/-]{0,20}\d[\w/-]{0,20})?"
)
_ONLY_HEADING = re.compile(rf"\W{{0,10}}{_HEADING}\W{{0,10}}", re.IGNORECASE)
_HEADING_AT_END = re.compile(rf"(?<=\S)(?P<heading>\s{{1,400}}{_HEADING})$", re.IGNORECASE)


@dataclass(frozen=True)
class _Cell:
    """A part of a row. `place` counts characters from the row's beginning, or columns between tabs."""

    line: TextLine
    place: int


def apart(reading: Reading) -> Reading:
    """The same document for finding names in.

    A row with wide gaps or tabs becomes its cells, and rows below each other are read column by column. A
    heading such as `INVOICE` is left out, whether it has a line of its own or stands behind a name.
    """
    changed = copy.copy(reading)
    changed.lines = [line for block in _blocks(reading.lines) for line in _by_column(block)]
    return changed


def _blocks(lines: list[TextLine]) -> Iterator[list[list[_Cell]]]:
    """Rows without an empty line between them."""
    rows: list[list[_Cell]] = []
    previous: TextLine | None = None
    for line in lines:
        if previous and not _is_next_row(previous, line):
            yield rows
            rows = []
        rows.append(_cells(line))
        previous = line
    yield rows


def _is_next_row(above: TextLine, line: TextLine) -> bool:
    between = line.page.text[above.start + len(above.text) : line.start]
    return above.page is line.page and between.count("\n") <= 1


def _by_column(rows: list[list[_Cell]]) -> Iterator[TextLine]:
    """Runs of rows that reach into a second column are read one column after the other."""
    run: list[list[_Cell]] = []
    second = math.inf
    for row in rows:
        if len(row) > 1:
            second = min(second, row[1].place)
        if len(row) > 1 or row[0].place >= second - _SLACK:
            run.append(row)
            continue
        yield from _columns(run, second)
        run, second = [], math.inf
        yield from _without_heading(row)
    yield from _columns(run, second)


def _columns(run: list[list[_Cell]], second: float) -> Iterator[TextLine]:
    columns: dict[int, list[_Cell]] = {}
    for row in run:
        first = int(row[0].place >= second - _SLACK)
        for number, cell in enumerate(row, start=first):
            columns.setdefault(number, []).append(cell)
    for number in sorted(columns):
        yield from _without_heading(columns[number])


def _cells(line: TextLine) -> list[_Cell]:
    page = line.page.text
    begin = max(page.rfind("\n", 0, line.start), page.rfind("\f", 0, line.start)) + 1
    tabs = "\t" in page[begin : line.start] + line.text
    cells, start = [], 0
    for end, following in [*((gap.start(), gap.end()) for gap in _GAP.finditer(line.text)), (-1, -1)]:
        text = line.text[start:] if end < 0 else line.text[start:end]
        left = page[begin : line.start + start]
        # A tab leads to the next column wherever that begins.
        place = left.count("\t") * 10 if tabs else len(left)
        cells.append(_Cell(replace(line, start=line.start + start, text=text), place))
        start = following
    return cells


def _without_heading(cells: list[_Cell]) -> Iterator[TextLine]:
    for cell in cells:
        line = cell.line
        if _ONLY_HEADING.fullmatch(line.text):
            continue
        heading = _HEADING_AT_END.search(line.text)
        yield replace(line, text=line.text[: heading.start("heading")]) if heading else line
