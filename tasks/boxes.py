"""Where words stand on the image of a page that was read by OCR."""

from collections.abc import Iterator

from tasks.documents import Line, Page

Box = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels of the upright page image."""


def box_of(page: Page, start: int, end: int) -> Box | None:
    """The box around a span of a page's text; None if it was not read by OCR.

    OCR gives a box for each line. Within the first and the last one the span is found by its share of the
    line's characters, so its ends are near, not exact.
    """
    boxes = [
        _part(line, max(start - at, 0), min(end - at, len(line.text)))
        for at, line in _placed(page)
        if at < end and start < at + len(line.text)
    ]
    if not boxes:
        return None
    x0, y0, x1, y1 = zip(*boxes, strict=True)
    return min(x0), min(y0), max(x1), max(y1)


def _placed(page: Page) -> Iterator[tuple[int, Line]]:
    """The lines with their offsets: a page's text is made of them in order (`engines.reading_order`)."""
    at = 0
    for line in page.lines:
        found = page.text.find(line.text, at)
        if found >= 0:
            yield found, line
            at = found + len(line.text)


def _part(line: Line, first: int, last: int) -> Box:
    x0, y0, x1, y1 = line.box
    if y1 - y0 > x1 - x0:  # it runs from top to bottom
        return line.box
    width = (x1 - x0) / len(line.text)
    return round(x0 + first * width), y0, round(x0 + last * width), y1
