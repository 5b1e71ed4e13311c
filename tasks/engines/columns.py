"""Where the boxes of a page stand in columns of text, as against the columns of a table.

Boxes may be divided at a gutter only if what stands on its left and on its right is text that is read
down, not across: either its rows do not match, or both sides are running text.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from tasks.engines.page_boxes import Box, Row, rows

# Lengths are in line heights: the median height of the boxes that are looked at.
MIN_GUTTER = 0.5
"""A text detector's boxes reach about a quarter of a line beyond the ink."""
REACH = 2.0
"""Columns end where the whole width of the page is empty for this height."""

MIN_ROWS = 3
MIN_LETTERS = 0.5
"""Share of letters among the characters of a column of text; columns of amounts have fewer."""
MAX_MATCHED = 0.6
"""If more rows than this have a partner beyond the gutter, they may be the rows of a table."""
MIN_TEXT_LENGTH = 12
"""Characters in the median row of running text; table cells are shorter."""
MIN_FILL = 0.6
"""Share of the column's width that the median row of running text fills."""
MIN_CONTINUING = 0.2
"""Share of rows of running text that begin in mid-sentence. Table cells begin with capitals or digits."""


@dataclass(frozen=True)
class ColumnCut:
    """Boxes divided at the gutter between two columns; `above` and `below` belong to neither."""

    above: list[Box]
    left: list[Box]
    right: list[Box]
    below: list[Box]


Gap = tuple[float, float]
Band = list[Box]
"""Boxes that overlap vertically, directly or through others of the band."""


def find_columns(boxes: list[Box], line_height: float) -> ColumnCut | None:
    """Divide the boxes at the longest gutter between columns of text, if there is one."""
    bands = _bands(boxes)
    tried: set[tuple[int, Gap]] = set()
    for first, end, gaps in _runs(bands, line_height):
        for gap in sorted(gaps, key=_width, reverse=True):
            if (end, gap) in tried:  # the same gutter, beginning further down
                continue
            tried.add((end, gap))
            top, bottom = _shared(bands, first, end, gap)
            if _are_columns(*_divide(_boxes(bands[top:bottom]), gap), line_height):
                reach = REACH * line_height
                top -= _belonging(bands[top], bands[:top][::-1], gap, reach)
                bottom += _belonging(bands[bottom - 1], bands[bottom:], gap, reach)
                left, right = _divide(_boxes(bands[top:bottom]), gap)
                return ColumnCut(_boxes(bands[:top]), left, right, _boxes(bands[bottom:]))
    return None


def _boxes(bands: list[Band]) -> list[Box]:
    return [box for band in bands for box in band]


def _bands(boxes: Iterable[Box]) -> list[Band]:
    """Bands from top to bottom. The upper and lower quarter of a box may overlap its neighbours."""
    bands: list[Band] = []
    bottom = float("-inf")
    for box in sorted(boxes, key=lambda box: box.y0 + box.height / 4):
        if box.y0 + box.height / 4 >= bottom:
            bands.append([])
        bands[-1].append(box)
        bottom = max(bottom, box.y1 - box.height / 4)
    return bands


def _runs(bands: list[Band], line_height: float) -> Iterator[tuple[int, int, list[Gap]]]:
    """Runs of bands with gaps in common (first, one past the last, gaps), those of most boxes first."""
    min_width, reach = MIN_GUTTER * line_height, REACH * line_height
    runs = []
    for first, band in enumerate(bands):
        # Lines of two columns may alternate, so that no band holds both sides of the gutter.
        pair = band + bands[first + 1] if first + 1 < len(bands) else band
        gaps, end = _inner_gaps(band, min_width) or _inner_gaps(pair, min_width), first + 1
        while end < len(bands) and _distance(bands[end - 1], bands[end]) < reach:
            common = _narrowed(gaps, bands[end], min_width)
            if not common:
                break
            gaps, end = common, end + 1
        if gaps:
            runs.append((sum(map(len, bands[first:end])), first, end, gaps))
    runs.sort(key=lambda run: (-run[0], run[1]))
    return ((first, end, gaps) for _, first, end, gaps in runs)


def _inner_gaps(band: Band, min_width: float) -> list[Gap]:
    from_left = sorted(band, key=lambda box: box.x0)
    gaps, reach = [], from_left[0].x1
    for box in from_left[1:]:
        if box.x0 - reach >= min_width:
            gaps.append((reach, box.x0))
        reach = max(reach, box.x1)
    return gaps


def _narrowed(gaps: list[Gap], band: Band, min_width: float) -> list[Gap]:
    """What the band leaves of the gaps; one that a box cuts in two leaves both parts."""
    for box in band:
        parts: list[Gap] = []
        for start, end in gaps:
            if box.x1 <= start or box.x0 >= end:
                parts.append((start, end))
            else:
                parts += [(start, box.x0), (box.x1, end)]
        gaps = [part for part in parts if _width(part) >= min_width]
    return gaps


def _width(gap: Gap) -> float:
    return gap[1] - gap[0]


def _divide(boxes: Iterable[Box], gap: Gap) -> tuple[list[Box], list[Box]]:
    """Boxes left and right of a gap that none of them reaches into."""
    left: list[Box] = []
    right: list[Box] = []
    for box in boxes:
        (left if box.x1 <= gap[0] else right).append(box)
    return left, right


def _shared(bands: list[Band], first: int, end: int, gap: Gap) -> tuple[int, int]:
    """The run without the bands at its two ends that stand over or under one column only."""
    sides = [_side(band, gap) for band in bands[first:end]]
    top = first + _lonely(sides)
    return top, max(top, end - _lonely(sides[::-1]))


def _lonely(sides: list[int]) -> int:
    """How many bands at the beginning stand on one and the same side."""
    return next((index for index, side in enumerate(sides) if not side or side != sides[0]), len(sides))


def _side(band: Band, gap: Gap) -> int:
    """-1 for a band on the left of the gap, 1 for one on the right, 0 for one on both sides."""
    if all(box.x1 <= gap[0] for box in band):
        return -1
    return 1 if all(box.x0 >= gap[1] for box in band) else 0


def _belonging(inner: Band, outward: list[Band], gap: Gap, reach: float) -> int:
    """How many of the bands that lead away from two columns are part of one of them.

    Those over or under one column only, as far as the widest gap: a heading is nearer to what it heads.
    """
    taken, widest = 0, float("-inf")
    for passed, (near, far) in enumerate(pairwise([inner, *outward])):
        distance = _distance(near, far)
        if distance >= widest:
            taken, widest = passed, distance
        if distance >= reach or not _side(far, gap):
            return taken
    return len(outward)


def _distance(band: Band, other: Band) -> float:
    (top, bottom), (other_top, other_bottom) = _extent(band), _extent(other)
    return max(other_top - bottom, top - other_bottom)


def _extent(band: Band) -> tuple[float, float]:
    return min(box.y0 for box in band), max(box.y1 for box in band)


def _are_columns(left: list[Box], right: list[Box], line_height: float) -> bool:
    left_rows, right_rows = rows(left), rows(right)
    if min(len(left_rows), len(right_rows)) < MIN_ROWS:
        return False
    if min(_letters(left), _letters(right)) < MIN_LETTERS:
        return False
    if _matched(left_rows, right_rows, line_height) <= MAX_MATCHED:
        return True
    return _is_running_text(left_rows) and _is_running_text(right_rows)


def _letters(boxes: list[Box]) -> float:
    text = "".join("".join(box.line.text.split()) for box in boxes)
    return sum(map(str.isalpha, text)) / max(1, len(text))


def _matched(left: list[Row], right: list[Row], line_height: float) -> float:
    """Share of the rows of the shorter side that have a partner on the same base line."""
    fewer, more = sorted((left, right), key=len)
    middles = [_middle(row) for row in more]
    near = line_height / 4
    return sum(any(abs(_middle(row) - middle) < near for middle in middles) for row in fewer) / len(fewer)


def _middle(row: Row) -> float:
    return sum(box.middle for box in row) / len(row)


def _is_running_text(column: list[Row]) -> bool:
    left, right = min(row[0].x0 for row in column), max(row[-1].x1 for row in column)
    fill = median((row[-1].x1 - row[0].x0) / (right - left) for row in column)
    length = median(sum(len(box.line.text) for box in row) for row in column)
    continuing = sum(_begins_in_mid_sentence(row[0].line.text) for row in column) / len(column)
    return length >= MIN_TEXT_LENGTH and fill >= MIN_FILL and continuing >= MIN_CONTINUING


def _begins_in_mid_sentence(text: str) -> bool:
    """Whether a line begins with a small letter, or one of a script that has no capitals."""
    return text[:1].isalpha() and not text[:1].isupper()
