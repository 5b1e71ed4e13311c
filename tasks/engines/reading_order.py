"""From lines that OCR saw anywhere on a page to text in reading order, by a recursive XY-cut.

The page is divided at gutters between columns of text; everything else is read row by row, so that the
rows of a table stay whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from tasks.engines.columns import find_columns
from tasks.engines.page_boxes import Box, Row, SeenLine, rows, straight_boxes

# In line heights:
WIDE_SPACE = 1.0
"""A gap of this width within a row becomes a tab, as between the cells of a table."""
PARAGRAPH_GAP = 0.6
"""A gap of this height between rows becomes a blank line, unless most gaps of the column are like it."""

Block = list[Row]
"""Rows without a blank line between them; never empty."""


@dataclass(frozen=True)
class Arranged:
    """Lines in reading order, and the text they make."""

    lines: tuple[SeenLine, ...]
    text: str


def arrange(lines: Sequence[SeenLine]) -> Arranged:
    """Bring the lines of an upright page into reading order.

    In the text, lines of one row are joined by a space or, over a wide gap, by a tab; rows by a newline;
    paragraphs and columns by a blank line.
    """
    boxes = straight_boxes(lines)
    blocks = _blocks([box for box in boxes if not _is_vertical(box)])
    # Such as an archive mark along the margin: it would tie together all the rows that it passes.
    blocks += [[[box]] for box in boxes if _is_vertical(box)]
    return Arranged(
        tuple(box.line for block in blocks for row in block for box in row),
        "\n\n".join("\n".join(_row_text(row) for row in block) for block in blocks),
    )


def _is_vertical(box: Box) -> bool:
    return box.height > 2 * box.width and len(box.line.text) > 2


def _blocks(boxes: list[Box]) -> list[Block]:
    if not boxes:
        return []
    line_height = median(box.height for box in boxes)
    cut = find_columns(boxes, line_height)
    if cut is None:
        return _paragraphs(rows(boxes), line_height)
    return [block for part in (cut.above, cut.left, cut.right, cut.below) for block in _blocks(part)]


def _paragraphs(column: list[Row], line_height: float) -> list[Block]:
    gaps = [_top(lower) - _bottom(upper) for upper, lower in pairwise(column)]
    wide = max(PARAGRAPH_GAP * line_height, 1.5 * median(gaps)) if gaps else 0.0
    blocks = [[column[0]]]
    for row, gap in zip(column[1:], gaps, strict=True):
        if gap > wide:
            blocks.append([])
        blocks[-1].append(row)
    return blocks


def _top(row: Row) -> float:
    return median(box.y0 for box in row)


def _bottom(row: Row) -> float:
    return median(box.y1 for box in row)


def _row_text(row: Row) -> str:
    text = row[0].line.text
    for left, right in pairwise(row):
        wide = right.x0 - left.x1 > WIDE_SPACE * min(left.height, right.height)
        text += ("\t" if wide else " ") + right.line.text
    return text
