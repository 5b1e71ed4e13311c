"""What is known of the document under the cursor, beside the In-tray on wide terminals."""

from typing import TYPE_CHECKING, cast

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from app.tui.columns import stage_bar
from app.tui.text import plain, plain_lines
from tasks.documents import Field, FieldStatus, State
from tasks.overview import Overview

if TYPE_CHECKING:
    from app.tui.app import ShoeboxApp

_LIVE_LINES = 24


class Preview(VerticalScroll, can_focus=False):
    """Live tokens while a model writes, then summary and fields."""

    DEFAULT_CSS = """
    Preview {
        padding: 0 1;
        border-left: vkey $primary-muted;
        scrollbar-size-vertical: 1;
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._document: str | None = None

    @property
    def shell(self) -> "ShoeboxApp":
        """The application, with its type."""
        return cast("ShoeboxApp", self.app)

    def compose(self) -> ComposeResult:
        """One block of text."""
        yield Static(id="preview-text", markup=False)

    def show(self, document: str | None) -> None:
        """Show a document as it is now."""
        if document != self._document:
            self._document = document
            self.scroll_home(animate=False)
        row = None if document is None else self.shell.store.get(document)
        content = Content("") if row is None else self._content(row)
        self.query_one("#preview-text", Static).update(content)

    @property
    def document(self) -> str | None:
        """The document that is shown."""
        return self._document

    def _content(self, row: Overview) -> Content:
        blocks = [self._heading(row)]
        if row.state in {State.WAITING, State.RUNNING} and (live := self.shell.live_text.get(row.id)):
            blocks.append(_live(live))
        document = self.shell.ledger.document(row.id)
        if document is not None and document.summary:
            blocks.append(plain_lines(document.summary))
        if fields := [_field(field) for field in self.shell.ledger.fields(row.id)]:
            blocks.append(Content("\n").join(fields))
        return Content("\n\n").join(blocks)

    def _heading(self, row: Overview) -> Content:
        lines = [plain(row.name, "bold")]
        state = Content(f"{row.state.value}   {stage_bar(row)}")
        lines.append(state if row.state not in {State.FAILED, State.QUARANTINED} else state.stylize("$error"))
        if row.title and row.title != row.name:
            lines.append(plain(row.title))
        if row.message:
            lines.append(plain(row.message, "$warning"))
        if row.remedy:
            lines.append(plain(row.remedy))
        return Content("\n").join(lines)


def _live(text: str) -> Content:
    lines = text.split("\n")[-_LIVE_LINES:]
    return Content("\n").join([Content.styled("The model writes:", "$accent"), plain_lines("\n".join(lines))])


def _field(field: Field) -> Content:
    name = plain(f"{field.name}: ", "dim")
    if field.status is FieldStatus.MISSING:
        return name + Content("not found")
    if not field.value:
        return name + Content("not in the document, you say")
    where = f"p. {field.page}, " if field.page else ""
    return name + plain(field.value, "bold") + plain(f"  ({where}{field.status.value})", "dim")
