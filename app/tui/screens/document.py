"""A document's page: fields with their quotes in the text, summary, text by page, trace of calls."""

from collections.abc import Iterable, Sequence
from enum import StrEnum

from textual import events, on, work
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import Static

from app.looks import look_line
from app.requests import Correct
from app.tui.actions import DocumentActions
from app.tui.document_words import field_lines, heading
from app.tui.screens.choose_category import ChooseCategory
from app.tui.screens.document_keys import KEYS
from app.tui.widgets.choice_bar import ChoiceBar
from app.tui.widgets.document_text import DocumentText
from app.tui.widgets.field_list import FieldLine, FieldList
from app.tui.widgets.path_input import PathInput
from tasks.calibration import Sureness
from tasks.documents import FINAL_STATES, State
from tasks.errors import ConfigError
from tasks.ledger import DocumentRow
from tasks.said import CATEGORY

_WIDE = 110
"""Columns from which fields and text have room side by side."""


class View(StrEnum):
    """What is shown beside the fields, or instead of them where there is no room."""

    FIELDS = "Fields"
    TEXT = "Text"
    SUMMARY = "Summary"
    TRACE = "Trace"


class DocumentScreen(DocumentActions):
    """One document."""

    NAME = "Document"
    HELP = """\
The fields with their values. "verified": the quote stands on the page. "corrected": you said so.
Moving over the fields highlights the quote in the text.

F4 or Enter corrects the field under the cursor. An empty value says that the document does not tell.
After a corrected category its fields are read anew.
What you corrected stays, also when the document is read again."""
    BINDINGS = KEYS
    DEFAULT_CSS = """
    DocumentScreen {
        #heading { height: auto; max-height: 6; padding: 0 1; margin: 0 0 1 0; }
        #fields-side { display: none; width: 1fr; padding: 0 1; }
        #text-side { width: 1fr; }
        &.-wide #fields-side { display: block; width: 46%; }
        &.-wide #text-side { border-left: vkey $primary-muted; }
        &.-fields #fields-side { display: block; }
        &.-fields #text-side { display: none; }
    }
    """

    def __init__(self, document: str, *, correct: bool = False, page: int | None = None) -> None:
        """With `correct`, correcting begins at once; with `page`, its text is shown first."""
        super().__init__()
        self._first_page = page
        self._document_id = document
        self._correct_at_once = correct
        self._document: DocumentRow | None = None
        self._page = 1
        self._place = 0
        """Where it is in the In-tray, or was before it left what is shown there."""
        self._view = View.FIELDS

    def body(self) -> Iterable[Widget]:
        """The heading; fields and text below."""
        yield Static(id="heading", markup=False)
        yield ChoiceBar()
        with Horizontal():
            with Vertical(id="fields-side"):
                yield FieldList()
            with Vertical(id="text-side"):
                yield DocumentText()

    async def on_mount(self) -> None:
        """Show what is known."""
        self.query_one(PathInput).focus()
        await self._load()
        if self._document is not None and self._document.state not in FINAL_STATES:
            self._view = View.SUMMARY  # what the model writes can be watched
        if self._first_page is not None:
            self._page, self._view = self._first_page, View.TEXT
        self._show_view()
        if self._correct_at_once:
            self.action_correct()

    def on_resize(self, event: events.Resize) -> None:
        """Fields and text side by side need room."""
        self.set_class(event.size.width >= _WIDE, "-wide")
        fields = self.query_one(FieldList)
        if not self._is_wide and fields.is_editing:
            self._view = View.FIELDS
        self._show_view()
        self.call_after_refresh(fields.focus_typed)

    def on_screen_resume(self) -> None:
        """Another screen or a dialog was in front meanwhile."""
        if self._document is not None:
            self._reload()

    @property
    def chosen(self) -> Sequence[str]:
        """The document."""
        return [self._document_id]

    @property
    def _is_wide(self) -> bool:
        return self.has_class("-wide")

    # News

    def documents_changed(self, documents: frozenset[str]) -> None:
        """Show what is new, and leave cursor, view and what is being typed."""
        if self._document_id in documents:
            self._reload()

    def text_written(self, document: str) -> None:
        """Show what the model writes."""
        if document == self._document_id and self._view is View.SUMMARY:
            self._show_text()

    @work(group="reload-document", exit_on_error=False)
    async def _reload(self) -> None:
        if self.shell.ledger.document(self._document_id) is None:
            if self.app.screen is self:  # else as soon as the dialog in front is answered
                self.shell.say("The document was forgotten.")
                self.dismiss()
            return
        await self._load()
        self._show_view()

    async def _load(self) -> None:
        ledger = self.shell.ledger
        document, row = ledger.document(self._document_id), self.shell.store.get(self._document_id)
        if document is None or row is None:
            return
        self._document = document
        position = self.shell.store.position(self._document_id)
        if position is not None:
            self._place = position
        place = "" if position is None else f"{position + 1:,} of {len(self.shell.store.view):,}"
        self.query_one("#heading", Static).update(heading(document, row, place, look_line(ledger, document)))
        self.query_one(DocumentText).load(document)
        lines = field_lines(document, ledger.fields(self._document_id), Sureness(ledger, document))
        # Who came for a page stays there.
        doubted = "" if self._first_page is not None else _doubted(document)
        await self.query_one(FieldList).show(list(lines), document.id, doubted=doubted)

    # What is shown

    def _show_view(self) -> None:
        if not self.is_ready:
            return
        if self._is_wide and self._view is View.FIELDS:
            self._view = View.TEXT
        self.set_class(self._view is View.FIELDS, "-fields")
        self._show_text()

    def _show_text(self) -> None:
        text = self.query_one(DocumentText)
        words = ""
        match self._view:
            case View.TEXT:
                words = text.show_page(self._page, self.query_one(FieldList).cursor)
            case View.SUMMARY:
                words = text.show_summary()
            case View.TRACE:
                words = text.show_trace()
        self.query_one(ChoiceBar).show([(view, view) for view in self._views], self._view, words)

    @property
    def _views(self) -> list[View]:
        return [view for view in View if not (self._is_wide and view is View.FIELDS)]

    # What the widgets say

    @on(FieldList.CursorMoved)
    def _field_moved(self, message: FieldList.CursorMoved) -> None:
        if message.line.page is not None:
            self._page = message.line.page
        if self._view in {View.TEXT, View.FIELDS}:
            self._show_text()

    @on(FieldList.Chosen)
    def _field_chosen(self) -> None:
        self.action_correct()

    @on(FieldList.Corrected)
    def _corrected(self, message: FieldList.Corrected) -> None:
        self.shell.ask(Correct(self._document_id, message.name, message.value))

    @on(FieldList.Left)
    def _editing_left(self) -> None:
        self.query_one(PathInput).focus()

    @on(DocumentText.TraceLoaded)
    def _trace_loaded(self) -> None:
        if self._view is View.TRACE:
            self._show_text()

    @on(ChoiceBar.Chosen)
    def _view_chosen(self, message: ChoiceBar.Chosen) -> None:
        self._choose(View(message.name))

    # Actions

    async def action_back(self) -> None:
        """Leave what is being typed, or the page."""
        fields = self.query_one(FieldList)
        if fields.is_editing:
            await fields.leave()
        else:
            self.dismiss()

    def action_move(self, step: int) -> None:
        """Move over the fields, or through the text where only that is shown."""
        if self._is_wide or self._view is View.FIELDS:
            self.query_one(FieldList).move(step)
        else:
            self.query_one(DocumentText).scroll_relative(y=step, animate=False)

    def action_scroll_text(self, step: int) -> None:
        """Scroll the text; at its end turn the page."""
        text = self.query_one(DocumentText)
        at_end = text.scroll_y >= text.max_scroll_y if step > 0 else text.scroll_y <= 0
        if at_end and self._view is View.TEXT:
            self.action_turn(step)
        else:
            text.scroll_relative(y=step * max(1, text.size.height - 1), animate=False)

    def action_scroll_to_end(self, last: bool) -> None:
        """Show the beginning or the end of the text."""
        text = self.query_one(DocumentText)
        text.scroll_to(y=text.max_scroll_y if last else 0, animate=False)

    def action_turn(self, step: int) -> None:
        """Show another page of the text."""
        page = self.query_one(DocumentText).page_after(self._page, step)
        if page is not None:
            self._page = page
            self._choose(View.TEXT)

    def action_next_view(self, step: int) -> None:
        """Show the next view."""
        views = self._views
        place = views.index(self._view) if self._view in views else 0
        self._choose(views[(place + step) % len(views)])

    def _choose(self, view: View) -> None:
        self._view = view
        self._show_view()
        if self._is_wide or view is View.FIELDS:
            self.call_after_refresh(self.query_one(FieldList).focus_typed)

    def action_copy_value(self) -> None:
        """Copy the value under the cursor."""
        line = self.query_one(FieldList).cursor
        if line is not None and line.value:
            self.app.copy_to_clipboard(line.value)
            self.shell.say(f"{line.name} copied, if this terminal lets programs copy.")

    def accepted(self) -> None:
        """Go on with the next document."""
        if self._neighbour(1) is None:
            self.shell.say("That was the last one.")
        self.run_worker(self.action_neighbour(1), exit_on_error=False)

    def _neighbour(self, step: int) -> str | None:
        store = self.shell.store
        if store.position(self._document_id) is not None:
            return store.neighbour(self._document_id, step)
        # A decision may have taken it out of what is shown: the next one stands in its place.
        at = self._place if step > 0 else self._place - 1
        return store.view[at] if 0 <= at < len(store.view) else None

    async def action_neighbour(self, step: int) -> None:
        """Show another document of the In-tray."""
        neighbour = self._neighbour(step)
        fields = self.query_one(FieldList)
        if neighbour is None or fields.is_editing:
            return
        self._document_id, self._first_page = neighbour, None
        await self._load()
        self._page = (fields.cursor.page if fields.cursor else None) or 1
        self._show_view()

    @work(group="correct", exclusive=True, exit_on_error=False)
    async def action_correct(self) -> None:
        """Let the user say what the field under the cursor really is."""
        fields = self.query_one(FieldList)
        line = fields.cursor
        if line is None or self._document is None:
            self.shell.say("There is nothing to correct yet.", severity="warning")
            return
        if not self._is_wide:
            self._choose(View.FIELDS)
        if line.name == CATEGORY:
            await self._choose_category(line, self._document)
        else:
            await fields.edit()

    async def _choose_category(self, line: FieldLine, document: DocumentRow) -> None:
        from tasks.recipes import load_recipe

        try:
            recipe = load_recipe(document.recipe, self.shell.settings.recipes_path)
        except ConfigError as error:
            self.shell.say(f"{error.message}\n{error.remedy}", severity="error")
            return
        categories = [(category.name, category.describe) for category in recipe.categories]
        chosen = await self.app.push_screen_wait(ChooseCategory(categories, line.value))
        if chosen is not None:
            self.shell.ask(Correct(document.id, CATEGORY, chosen))


def _doubted(document: DocumentRow) -> str:
    """What review is about, as words that name a field; empty if nothing is in doubt."""
    return document.message if document.state is State.REVIEW else ""
