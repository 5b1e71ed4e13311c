"""A text of any length, wrapped and drawn line by line, with one passage highlighted.

A page may be 100 kB on one line: it is wrapped once for each width, and only lines in sight are drawn.
"""

import re
from bisect import bisect_right
from collections.abc import Hashable
from functools import lru_cache
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from textual import work
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from app.plain_text import visible
from app.tui.background import in_background

_TAB = "    "
_MOST_AT_ONCE = 200_000
"""Characters; more would be felt while keys are pressed, so they are wrapped beside."""
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
    if len(line) <= width and _cells(line) <= width:
        return [(offset, offset + len(line))]
    cells_of = len if line.isascii() and line.isprintable() else _cells
    lines, begin, used = [], 0, 0
    for word in _WORD.finditer(line):
        cells = cells_of(word[0].rstrip())
        if used and used + cells > width:
            lines.append((offset + begin, offset + word.start()))
            begin, used = word.start(), 0
        if cells > width:
            *whole, (begin, _) = _cut(line, word.start(), word.end(), width)
            lines += [(offset + first, offset + last) for first, last in whole]
            used = cells_of(line[begin : word.end()])
        else:
            used += cells_of(word[0])
    lines.append((offset + begin, offset + len(line)))
    return lines


def _cut(line: str, start: int, end: int, width: int) -> list[Span]:
    """A word that is longer than a line, in pieces."""
    pieces, begin, used = [], start, 0
    for at in range(start, end):
        cells = _character_cells(line[at])
        if used + cells > width and at > begin:
            pieces.append((begin, at))
            begin, used = at, 0
        used += cells
    return [*pieces, (begin, end)]


def _cells(raw: str) -> int:
    return cell_len(drawn(raw))


_character_cells = lru_cache(maxsize=4096)(_cells)


class TextView(ScrollView, can_focus=False):
    """Shows a text; long lines are wrapped. Each text has a place of its own, to which it comes back."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"text--highlight"}
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
        self._about: Hashable = None
        self._places: dict[Hashable, int] = {}
        """Which character was at the top of each text."""
        self._goal: int | None = None
        """Which character shall be at the top once the text has been wrapped."""
        self._text = ""
        self._highlight: Span | None = None
        self._sought: tuple[Hashable, Span] | None = None
        """The highlight that was brought into sight; scrolling away from it is allowed."""
        self._lines: list[Span] = []
        self._wrapped_for = -1
        self._is_wrapping = False
        """In the background; until that has ended the lines are those of before, or none."""

    @property
    def text(self) -> str:
        """What is shown, as it came."""
        return self._text

    def show(
        self, about: Hashable, text: str, highlight: Span | None = None, *, follow: bool = False
    ) -> None:
        """Show a text.

        Args:
            about: what the text is of. The place stays as long as it is the same, also if the text grows.
            text: untrusted.
            highlight: its characters stand out; when they are others than before they come into sight.
            follow: stay at the end while the text grows, unless the user scrolls away from there.
        """
        is_other = about != self._about
        at_end = is_other or self.scroll_offset.y >= self.max_scroll_y
        if is_other:
            self._places[self._about] = self._top
            self._about, self._goal = about, self._places.get(about, 0)
        if text != self._text:
            self._aim(self._top)
            self._text, self._lines, self._wrapped_for = text, [], -1
        if follow and at_end:
            self._goal = len(text)
        self._highlight = highlight
        self._wrap()
        self.refresh()

    def on_resize(self) -> None:
        """Lines are as long as the window is wide. The text that was at the top stays there."""
        self._wrap()

    @property
    def _top(self) -> int:
        line = self.scroll_offset.y
        return self._lines[line][0] if line < len(self._lines) else 0

    def _aim(self, character: int) -> None:
        self._goal = character if self._goal is None else self._goal

    def _wrap(self) -> None:
        width = self.scrollable_content_region.width
        if width <= 0:
            return  # it is not on the screen yet
        if width == self._wrapped_for:
            if not self._is_wrapping:
                self._arrive()
            return
        self._aim(self._top)
        self._wrapped_for = width
        if len(self._text) > _MOST_AT_ONCE:
            self._is_wrapping = True
            self._wrap_in_background(self._text, width)
        else:
            self._take(wrap(self._text, width), width)

    @work(group="wrap", exclusive=True, exit_on_error=False)
    async def _wrap_in_background(self, text: str, width: int) -> None:
        lines = await in_background(lambda: wrap(text, width))
        if text is self._text and width == self._wrapped_for:
            self._take(lines, width)

    def _take(self, lines: list[Span], width: int) -> None:
        self._lines, self._is_wrapping = lines, False
        self.virtual_size = Size(width, len(lines))
        self._arrive()
        self.refresh()

    def _arrive(self) -> None:
        if self._goal is not None:
            self.scroll_to(y=self._line_of(self._goal), animate=False, force=True, immediate=True)
            self._goal = None
        # Only after the layout is it known how many lines are in sight.
        self.call_after_refresh(self._bring_into_sight)

    def _line_of(self, character: int) -> int:
        return max(0, bisect_right(self._lines, (character, len(self._text) + 1)) - 1)

    def _bring_into_sight(self) -> None:
        if self._highlight is None or self._sought == (self._about, self._highlight):
            return
        height = self.scrollable_content_region.height
        if height <= 0 or not self._lines:
            return  # it is not on the screen yet
        self._sought = (self._about, self._highlight)
        line = self._line_of(self._highlight[0])
        if not self.scroll_offset.y <= line < self.scroll_offset.y + height:
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
