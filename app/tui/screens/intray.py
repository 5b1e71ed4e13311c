"""The In-tray: a row a document, and beside it what is known of the one under the cursor."""

from collections.abc import Iterable
from typing import ClassVar

from textual import events, on
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import Static

from app.tui.actions import DocumentActions
from app.tui.screens.intray_keys import KEYS
from app.tui.store import Filter, Sort
from app.tui.widgets.document_list import DocumentList, ListHeader
from app.tui.widgets.filter_bar import FilterBar
from app.tui.widgets.path_input import PathInput
from app.tui.widgets.preview import Preview

_WIDE = 124
"""Columns from which the preview has room beside the list."""
_AGE_SECONDS = 20.0
_EMPTY = """Nothing here yet.

Drop files or folders on this window, type a path below, or press Ctrl+N to choose files.
F1 says what else you can do."""
_NONE_SHOWN = "No document is in this state. F6 shows others."


class InTray(DocumentActions):
    """All documents."""

    NAME = "In-tray"
    HELP = """\
Every document is a row: its state, how far it has come, what it is and from whom, the amount and the date.
A * behind a category means that no language model has looked yet: the offline engine found it.
A ! behind a state means urgent.

Drop files or folders anywhere on the window, or type a path: Tab completes it, Enter takes it.
Originals are only read, never moved or changed. Quitting stops nothing: the workers go on."""
    BINDINGS: ClassVar[list[BindingType]] = KEYS
    DEFAULT_CSS = """
    InTray {
        #list-side { width: 1fr; }
        Preview { width: 36%; display: none; }
        &.-wide-preview Preview { display: block; }
        #empty { height: 1fr; content-align: center middle; text-align: center; color: $text-muted;
                 display: none; }
        &.-empty #empty { display: block; }
        &.-empty DocumentList { display: none; }
    }
    """

    def body(self) -> Iterable[Widget]:
        """Filters above; list and preview side by side."""
        store = self.shell.store
        yield FilterBar(store)
        with Horizontal():
            with Vertical(id="list-side"):
                yield ListHeader(store)
                yield DocumentList(store)
                yield Static(_EMPTY, id="empty", markup=False)
            yield Preview()

    def on_mount(self) -> None:
        """The path input has the focus: whatever a terminal sends when files are dropped ends there."""
        self.query_one(PathInput).focus()
        self.set_interval(_AGE_SECONDS, self._list.refresh)
        self._show_all()

    def on_screen_resume(self) -> None:
        """Another screen was in front meanwhile."""
        self._show_all()

    def on_resize(self, event: events.Resize) -> None:
        """The preview needs room."""
        self.set_class(event.size.width >= _WIDE, "-wide-preview")
        self.call_after_refresh(self._show_preview)

    @property
    def _list(self) -> DocumentList:
        return self.query_one(DocumentList)

    @property
    def chosen(self) -> list[str]:
        """What an action is for: the marked documents in the order shown, else the one under the cursor."""
        store = self.shell.store
        if store.marked:
            return sorted(store.marked, key=lambda document: store.position(document) or 0)
        return [] if self._list.cursor is None else [self._list.cursor]

    # News

    def documents_changed(self, documents: frozenset[str]) -> None:
        """Draw what is different; the view has been arranged anew where that was needed."""
        self._show_view()
        self._list.rows_changed(documents)
        if self.query_one(Preview).document in documents:
            self._show_preview()

    def text_written(self, document: str) -> None:
        """Show it if it is about the document under the cursor."""
        if document == self.query_one(Preview).document:
            self._show_preview()

    def _show_all(self) -> None:
        self._list.rearranged()
        self._list.refresh()
        self._show_view()
        self._show_preview()

    def _show_view(self) -> None:
        store = self.shell.store
        self.set_class(not store.view, "-empty")
        if not store.view:
            self.query_one("#empty", Static).update(_NONE_SHOWN if len(store) else _EMPTY)
        self.query_one(FilterBar).show_store()
        if self._list.arrangement != store.arrangement:
            self._list.rearranged()

    def _show_preview(self) -> None:
        preview = self.query_one(Preview)
        if preview.display:
            preview.show(self._list.cursor)

    # What the widgets say

    @on(DocumentList.CursorMoved)
    def _cursor_moved(self) -> None:
        self._show_preview()

    @on(DocumentList.Chosen)
    def _row_chosen(self, message: DocumentList.Chosen) -> None:
        self.shell.open_document(message.document)

    @on(FilterBar.Chosen)
    def _filter_chosen(self, message: FilterBar.Chosen) -> None:
        self._show_filter(Filter(message.name))

    @on(ListHeader.SortChosen)
    def _sort_chosen(self, message: ListHeader.SortChosen) -> None:
        store = self.shell.store
        self._sort(message.sort, descending=store.sort is message.sort and not store.descending)

    def _show_filter(self, chosen: Filter) -> None:
        self.shell.store.show(chosen)
        self._show_all()

    def _sort(self, sort: Sort, *, descending: bool) -> None:
        self.shell.store.show(sort=sort, descending=descending)
        self.query_one(ListHeader).refresh()
        self._show_all()

    # Actions

    def export_documents(self) -> list[str]:
        """The marked documents, else all that are shown."""
        return self.chosen if self.shell.store.marked else list(self.shell.store.view)

    def action_move(self, step: int) -> None:
        """Move the cursor."""
        self._list.move(step)

    def action_move_page(self, step: int) -> None:
        """Move the cursor by a screenful."""
        self._list.move_page(step)

    def action_move_to_end(self, last: bool) -> None:
        """Move the cursor to the first or the last document."""
        self._list.move_to_end(last=last)

    def action_open(self) -> None:
        """Open the document under the cursor."""
        if self._list.cursor is not None:
            self.shell.open_document(self._list.cursor)

    def action_correct(self) -> None:
        """Open the document under the cursor to correct it."""
        if self._list.cursor is not None:
            self.shell.open_document(self._list.cursor, correct=True)

    def action_mark(self) -> None:
        """Mark the document under the cursor, or take its mark away, and go on."""
        self.action_mark_on(1)

    def action_mark_on(self, step: int) -> None:
        """Mark, and move."""
        if self._list.cursor is not None:
            self.shell.store.toggle_mark(self._list.cursor)
            self._list.move(step)
            self._list.refresh()
            self.query_one(FilterBar).show_store()

    def action_mark_all(self) -> None:
        """Mark all documents that are shown, or none."""
        self.shell.store.toggle_marks()
        self._list.refresh()
        self.query_one(FilterBar).show_store()

    def action_no_marks(self) -> None:
        """Take all marks away."""
        self.shell.store.marked.clear()
        self._list.refresh()
        self.query_one(FilterBar).show_store()

    def action_next_filter(self) -> None:
        """Show the next filter's documents, and after the last the first's."""
        self.action_step_filter(1)

    def action_step_filter(self, step: int) -> None:
        """Show the documents of a filter beside this one."""
        filters = list(Filter)
        place = filters.index(self.shell.store.filter)
        self._show_filter(filters[(place + step) % len(filters)])

    def action_next_sort(self) -> None:
        """Sort by the next column."""
        sorts = list(Sort)
        self._sort(sorts[(sorts.index(self.shell.store.sort) + 1) % len(sorts)], descending=False)

    def action_reverse(self) -> None:
        """Turn the order round."""
        store = self.shell.store
        self._sort(store.sort, descending=not store.descending)
