"""The list of documents: a row a document, drawn line by line.

A widget of Textual's Line API, because 10,000 rows of a DataTable take a second to show and a third of a
core to keep up to date; here only the lines that are seen are ever drawn (docs/architecture.md has figures).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from app.tui.columns import Column, columns_at
from app.tui.store import DocumentStore, Sort
from tasks.documents import State
from tasks.overview import Overview

if TYPE_CHECKING:
    from app.tui.app import ShoeboxApp

_MARK = "● "
_NO_MARK = "  "
_SCROLLBAR = 1
_CLASS_OF_STATE = {
    State.WAITING: "waiting",
    State.QUEUED: "waiting",
    State.RUNNING: "running",
    State.DONE: "done",
    State.REVIEW: "review",
    State.FAILED: "failed",
    State.QUARANTINED: "failed",
    State.CANCELLED: "cancelled",
}


def _cell(text: str, width: int, *, right: bool) -> str:
    if cell_len(text) > width:
        return set_cell_size(text, width - 1) + "…"
    return set_cell_size(text.rjust(width) if right else text, width)


class ListHeader(Widget):
    """The titles of the columns; a click sorts."""

    DEFAULT_CSS = "ListHeader { height: 1; color: $text-muted; text-style: bold; }"

    @dataclass
    class SortChosen(Message):
        """The user clicked a title."""

        sort: Sort

    def __init__(self, store: DocumentStore) -> None:
        super().__init__()
        self._store = store

    def render_line(self, y: int) -> Strip:  # noqa: ARG002 - there is only one
        """Titles above their columns; an arrow shows the order."""
        style = self.rich_style
        parts = [Segment(_NO_MARK, style)]
        for column, width in columns_at(self.size.width - _SCROLLBAR):
            title = column.title
            if column.sort is self._store.sort and not (title == "stage" and column.sort is Sort.STATE):
                title += " ▼" if self._store.descending else " ▲"
            parts.append(Segment(_cell(title, width, right=column.right) + " ", style))
        return Strip(parts).adjust_cell_length(self.size.width, style)

    def on_click(self, event: events.Click) -> None:
        """Sort by the column under the pointer."""
        left = len(_NO_MARK)
        for column, width in columns_at(self.size.width - _SCROLLBAR):
            if left <= event.x <= left + width:
                self.post_message(self.SortChosen(column.sort))
                return
            left += width + 1


class DocumentList(ScrollView, can_focus=True):
    """The documents of the store's view, with a cursor that stays on its document."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "list--cursor",
        *(f"list--{name}" for name in set(_CLASS_OF_STATE.values())),
        "list--mark",
        "list--quiet",
    }
    DEFAULT_CSS = """
    DocumentList {
        height: 1fr;
        scrollbar-size-vertical: 1;
        scrollbar-gutter: stable;
        & > .list--cursor { background: $primary 40%; }
        & > .list--waiting { color: $text-muted; }
        & > .list--running { color: $accent; }
        & > .list--done { color: $success; }
        & > .list--review { color: $warning; }
        & > .list--failed { color: $error; }
        & > .list--cancelled { color: $text-muted; }
        & > .list--mark { color: $accent; text-style: bold; }
        & > .list--quiet { color: $text-muted; }
    }
    """

    @dataclass
    class CursorMoved(Message):
        """The cursor is on another document, or on none."""

        document: str | None

        def can_replace(self, message: Message) -> bool:
            """Only where the cursor came to rest matters."""
            return isinstance(message, DocumentList.CursorMoved)

    @dataclass
    class Chosen(Message):
        """The user wants to see a document."""

        document: str

    def __init__(self, store: DocumentStore) -> None:
        super().__init__()
        self._store = store
        self.arrangement = -1
        """That of the store's view which is drawn."""
        self._index = 0
        self._cursor: str | None = None
        self._styles: dict[str, Style] = {}

    @property
    def shell(self) -> "ShoeboxApp":
        """The application, with its type."""
        return cast("ShoeboxApp", self.app)

    @property
    def cursor(self) -> str | None:
        """The document under the cursor."""
        return self._cursor

    def on_mount(self) -> None:
        """Show what there is."""
        self.rearranged()

    def notify_style_update(self) -> None:
        """The theme has changed."""
        super().notify_style_update()
        self._styles.clear()

    # What is shown

    def rearranged(self) -> None:
        """The store's view is another one; the cursor stays on its document where that is shown."""
        view = self._store.view
        self.arrangement = self._store.arrangement
        position = None if self._cursor is None else self._store.position(self._cursor)
        row_on_screen = self._index - self.scroll_offset.y
        self.virtual_size = Size(self.scrollable_content_region.width, len(view))
        if position is not None and position != self._index:
            self.scroll_to(y=max(0, position - row_on_screen), animate=False, force=True)
        self._place(self._index if position is None else position)
        self.refresh()

    def rows_changed(self, documents: frozenset[str]) -> None:
        """Draw these documents again, where they are seen."""
        top = self.scroll_offset.y
        positions = (self._store.position(document) for document in documents)
        seen = [
            place - top for place in positions if place is not None and 0 <= place - top < self.size.height
        ]
        if seen:
            self.refresh(*(Region(0, y, self.size.width, 1) for y in seen))

    def render_line(self, y: int) -> Strip:
        """One document."""
        index = y + self.scroll_offset.y
        width = self.scrollable_content_region.width
        if index >= len(self._store.view):
            return Strip.blank(width, self.rich_style)
        row = self._store.get(self._store.view[index])
        if row is None:
            return Strip.blank(width, self.rich_style)
        over = self._style("cursor") if index == self._index else Style.null()
        return Strip(self._segments(row, width, over)).adjust_cell_length(width, self.rich_style + over)

    def _segments(self, row: Overview, width: int, over: Style) -> list[Segment]:
        mark = _MARK if row.id in self._store.marked else _NO_MARK
        segments = [Segment(mark, self._style("mark") + over)]
        for column, cells in columns_at(width):
            text = _cell(column.cell(row), cells, right=column.right)
            segments.append(Segment(text + " ", self._cell_style(column, row) + over))
        return segments

    def _cell_style(self, column: Column, row: Overview) -> Style:
        if column.sort is Sort.STATE:
            return self._style(_CLASS_OF_STATE[row.state])
        if column.sort is Sort.AGE:
            return self._style("quiet")
        return self.rich_style

    def _style(self, name: str) -> Style:
        if name not in self._styles:
            style = self.get_component_rich_style(f"list--{name}")
            # The cursor's row keeps the colours of its cells.
            own = Style(bgcolor=style.bgcolor, bold=True) if name == "cursor" else style
            self._styles[name] = own
        return self._styles[name]

    # Moving

    def move(self, step: int) -> None:
        """Move the cursor by so many rows, as far as there are any."""
        self._place(self._index + step)

    def move_page(self, step: int) -> None:
        """Move the cursor by so many screenfuls."""
        self.move(step * max(1, self.size.height - 1))

    def move_to_end(self, *, last: bool) -> None:
        """Move the cursor to the first or the last row."""
        self._place(len(self._store.view) - 1 if last else 0)

    def move_to(self, document: str) -> None:
        """Move the cursor to a document, if it is shown."""
        position = self._store.position(document)
        if position is not None:
            self._place(position)

    def _place(self, index: int) -> None:
        view = self._store.view
        before = self._index
        self._index = max(0, min(index, len(view) - 1))
        cursor = view[self._index] if view else None
        for place in {before, self._index}:
            self.refresh(Region(0, place - self.scroll_offset.y, self.size.width, 1))
        self._keep_in_sight()
        if cursor != self._cursor:
            self._cursor = cursor
            self.post_message(self.CursorMoved(cursor))

    def _keep_in_sight(self) -> None:
        top, height = self.scroll_offset.y, self.scrollable_content_region.height
        if self._index < top:
            self.scroll_to(y=self._index, animate=False, force=True)
        elif height and self._index >= top + height:
            self.scroll_to(y=self._index - height + 1, animate=False, force=True)

    def on_resize(self) -> None:
        """Columns depend on the width."""
        self.virtual_size = Size(self.scrollable_content_region.width, len(self._store.view))
        self._keep_in_sight()
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        """A click moves the cursor, with Ctrl it marks, a double click opens."""
        index = event.y + self.scroll_offset.y
        if index >= len(self._store.view):
            return
        self._place(index)
        if event.ctrl:
            self._store.toggle_mark(self._store.view[index])
        elif event.chain == 2:
            self.post_message(self.Chosen(self._store.view[index]))
