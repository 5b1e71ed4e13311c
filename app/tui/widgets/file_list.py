"""A folder's entries, a line each, drawn as they are scrolled to."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from rich.cells import set_cell_size
from rich.filesize import decimal
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from app.folders import Entry
from app.plain_text import shortened

_MARK_WIDTH = 2
_SIZE_WIDTH = 10
_DATE_WIDTH = 18


class FileList(ScrollView, can_focus=True):
    """Entries with a cursor and marks. Names are plain text, whatever they hold."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", show=False),
        Binding("down", "move(1)", show=False),
        Binding("pageup", "move_page(-1)", show=False),
        Binding("pagedown", "move_page(1)", show=False),
        Binding("home", "go_to(0)", show=False),
        Binding("end", "go_to(-1)", show=False),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "files--cursor",
        "files--folder",
        "files--mark",
    }
    DEFAULT_CSS = """
    FileList {
        height: 1fr;
        scrollbar-size-vertical: 1;
        & > .files--cursor { background: $block-cursor-blurred-background; text-style: bold; }
        &:focus > .files--cursor {
            background: $block-cursor-background; color: $block-cursor-foreground; text-style: bold;
        }
        & > .files--folder { color: $text-accent; }
        & > .files--mark { color: $accent; text-style: bold; }
    }
    """
    cursor: reactive[int] = reactive(0)
    """The line that keys are for."""

    @dataclass
    class Chosen(Message):
        """An entry was clicked that had the cursor already."""

        entry: Entry

    @dataclass
    class MarkWanted(Message):
        """The place for the mark beside an entry was clicked."""

        entry: Entry

    def __init__(self) -> None:
        super().__init__()
        self._entries: Sequence[Entry] = ()
        self._marked: frozenset[Path] = frozenset()

    @property
    def current(self) -> Entry | None:
        """The entry under the cursor."""
        return self._entries[self.cursor] if self._entries else None

    def show(self, entries: Sequence[Entry], at: Path | None = None) -> None:
        """Show these, with the cursor on `at` where that is among them."""
        self._entries = entries
        self.virtual_size = Size(0, len(entries))
        paths = [entry.path for entry in entries] if at else []
        self.cursor = paths.index(at) if at in paths else 0
        self._scroll_to_cursor()
        self.refresh()

    def show_marks(self, marked: frozenset[Path]) -> None:
        """Mark these and no others."""
        self._marked = marked
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One entry."""
        index = y + self.scroll_offset.y
        width = self.scrollable_content_region.width
        if index >= len(self._entries):
            return Strip.blank(width, self.rich_style)
        line = self.rich_style
        if index == self.cursor:
            line += self.get_component_rich_style("files--cursor")
        return Strip(self._segments(self._entries[index], width, line)).adjust_cell_length(width, line)

    def _segments(self, entry: Entry, width: int, line: Style) -> list[Segment]:
        def styled(part: str) -> Style:
            return line + self.get_component_rich_style(f"files--{part}", partial=True)

        mark = "● " if entry.path in self._marked else "  "
        name = entry.path.name + "/" * entry.is_folder
        name_width = max(10, width - _MARK_WIDTH - _SIZE_WIDTH - _DATE_WIDTH)
        size = "" if entry.is_folder else decimal(entry.size)
        figures = size.rjust(_SIZE_WIDTH) + _date(entry.changed).rjust(_DATE_WIDTH)
        return [
            Segment(mark, styled("mark")),
            Segment(
                set_cell_size(shortened(name, name_width), name_width),
                styled("folder") if entry.is_folder else line,
            ),
            Segment(figures, line),
        ]

    # Moving

    def validate_cursor(self, cursor: int) -> int:
        """It stays among the entries."""
        return max(0, min(cursor, len(self._entries) - 1))

    def watch_cursor(self, before: int, now: int) -> None:
        """Draw the lines it left and came to."""
        self._scroll_to_cursor()
        for line in (before, now):
            self.refresh(Region(0, line - self.scroll_offset.y, self.size.width, 1))

    def _scroll_to_cursor(self) -> None:
        self.scroll_to_region(Region(0, self.cursor, 1, 1), animate=False, force=True)

    def action_move(self, step: int) -> None:
        """Move by lines."""
        self.cursor += step

    def action_move_page(self, step: int) -> None:
        """Move by a screenful."""
        self.cursor += step * max(1, self.size.height - 1)

    def action_go_to(self, line: int) -> None:
        """Move to the first line, or with -1 to the last."""
        self.cursor = line if line >= 0 else len(self._entries) - 1

    def on_click(self, event: events.Click) -> None:
        """Move there; what has the cursor already is chosen, or marked at its left."""
        line = event.y + self.scroll_offset.y
        if line >= len(self._entries):
            return
        was_there = line == self.cursor
        self.cursor = line
        if event.x < _MARK_WIDTH:
            self.post_message(self.MarkWanted(self._entries[line]))
        elif was_there:
            self.post_message(self.Chosen(self._entries[line]))


def _date(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M")
    except (ValueError, OSError, OverflowError):  # a file system may say anything
        return "?"
