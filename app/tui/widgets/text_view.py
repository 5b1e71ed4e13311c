"""A text of any length, wrapped and drawn line by line, with one passage highlighted.

A page may be 100 kB on one line: it is wrapped once for each width, and only lines in sight are drawn.
"""

import re
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from app.plain_text import visible

_TAB = "    "
_WORD = re.compile(r"\S+\s*|\s+")

Span = tuple[int, int]
"""From which character of the raw text, up to which."""


def drawn(raw: str) -> str:
    """One line of a text as it is drawn."""
    return visible(raw.replace("\t", _TAB))


def wrap(text: str, width: int) -> list[Span]:
    """The lines of a text that is drawn `width` cells wide, broken between words where that is possible."""
    lines: list[Span] = []
    start = 0
    for line in text.split("\n"):
        lines += _wrap_line(line, start, max(1, width))
        start += len(line) + 1
    return lines


def _wrap_line(line: str, offset: int, width: int) -> list[Span]:
    if len(line) <= width and cell_len(drawn(line)) <= width:
        return [(offset, offset + len(line))]
    lines, begin, used = [], 0, 0
    for word in _WORD.finditer(line):
        cells = cell_len(drawn(word[0].rstrip()))
        if used and used + cells > width:
            lines.append((offset + begin, offset + word.start()))
            begin, used = word.start(), 0
        if cells > width:
            *whole, (begin, _) = _cut(line, word.start(), word.end(), width)
            lines += [(offset + first, offset + last) for first, last in whole]
            used = cell_len(drawn(line[begin : word.end()]))
        else:
            used += cell_len(drawn(word[0]))
    lines.append((offset + begin, offset + len(line)))
    return lines


def _cut(line: str, start: int, end: int, width: int) -> list[Span]:
    """A word that is longer than a line, in pieces."""
    pieces, begin, used = [], start, 0
    for at in range(start, end):
        cells = cell_len(drawn(line[at]))
        if used + cells > width and at > begin:
            pieces.append((begin, at))
            begin, used = at, 0
        used += cells
    return [*pieces, (begin, end)]


class TextView(ScrollView, can_focus=True):
    """Shows a text; long lines are wrapped."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"text--highlight"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "scroll_up", show=False),
        Binding("down", "scroll_down", show=False),
        Binding("home", "scroll_home", show=False),
        Binding("end", "scroll_end", show=False),
    ]
    DEFAULT_CSS = """
    TextView {
        scrollbar-size-vertical: 1;
        scrollbar-gutter: stable;
        padding: 0 1;
        & > .text--highlight { background: $warning; color: $background; text-style: bold; }
    }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._text = ""
        self._highlight: Span | None = None
        self._lines: list[Span] = []
        self._wrapped_for = -1

    @property
    def text(self) -> str:
        """What is shown, as it came."""
        return self._text

    def show(self, text: str, highlight: Span | None = None) -> None:
        """Show a text, with the characters of `highlight` standing out and in sight."""
        if text != self._text:
            self._text, self._wrapped_for = text, -1
            self.scroll_home(animate=False)
        self._highlight = highlight
        self._wrap()
        self.refresh()
        if highlight is not None:
            # Only after the layout is it known how many lines are in sight.
            self.call_after_refresh(self._bring_into_sight)

    def on_resize(self) -> None:
        """Lines are as long as the window is wide."""
        self._wrap()

    def _wrap(self) -> None:
        width = self.scrollable_content_region.width
        if width <= 0 or width == self._wrapped_for:
            return
        self._wrapped_for = width
        self._lines = wrap(self._text, width)
        self.virtual_size = Size(width, len(self._lines))
        self.refresh()

    def _bring_into_sight(self) -> None:
        if self._highlight is None:
            return
        start = self._highlight[0]
        line = next((number for number, (_, end) in enumerate(self._lines) if start < end), len(self._lines))
        top, height = self.scroll_offset.y, self.scrollable_content_region.height
        if not top <= line < top + height:
            self.scroll_to(y=max(0, line - height // 3), animate=False, force=True)

    def render_line(self, y: int) -> Strip:
        """One line, in up to three parts: before, in and after the highlight."""
        width = self.scrollable_content_region.width
        index = y + self.scroll_offset.y
        if index >= len(self._lines):
            return Strip.blank(width, self.rich_style)
        start, end = self._lines[index]
        first, last = self._highlight or (end, end)
        first, last = min(max(first, start), end), min(max(last, start), end)
        style = self.rich_style
        strong = self.get_component_rich_style("text--highlight")
        parts = ((start, first, style), (first, last, strong), (last, end, style))
        segments = [Segment(drawn(self._text[a:b]), own) for a, b, own in parts if a < b]
        return Strip(segments).adjust_cell_length(width, style)
