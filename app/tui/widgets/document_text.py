"""The texts of a document: its pages, its summary, what a model is writing, the trace of calls."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from textual import work
from textual.message import Message

from app.trace import trace
from app.tui.background import in_background
from app.tui.document_words import page_line
from app.tui.widgets.field_list import FieldLine
from app.tui.widgets.text_view import TextView
from tasks.documents import FINAL_STATES
from tasks.ledger import DocumentRow, Ledger
from tasks.page_queries import PageHead, page_heads, page_text, quote_box

if TYPE_CHECKING:
    from app.tui.app import ShoeboxApp


class DocumentText(TextView):
    """Shows one of the texts. Each `show_` method returns what is to be said of it, in a few words."""

    @dataclass
    class TraceLoaded(Message):
        """The trace can be shown now."""

    def __init__(self) -> None:
        super().__init__()
        self._document: DocumentRow | None = None
        self._pages: list[PageHead] = []
        self._trace = ""
        self._trace_is_due = True

    @property
    def shell(self) -> "ShoeboxApp":
        """The application, with its type."""
        return cast("ShoeboxApp", self.app)

    def load(self, document: DocumentRow) -> None:
        """This is the document now."""
        if self._document is None or document.id != self._document.id:
            self._trace = ""
        self._document = document
        self._pages = page_heads(self.shell.ledger, document.id)
        self._trace_is_due = True

    def page_after(self, number: int, step: int) -> int | None:
        """The number of the page `step` pages further, if there is one."""
        numbers = [page.number for page in self._pages]
        place = (numbers.index(number) if number in numbers else 0) + step
        return numbers[place] if 0 <= place < len(numbers) else None

    def show_page(self, number: int, field: FieldLine | None) -> str:
        """A page, with the field's quote highlighted if it stands there."""
        first = self._pages[0] if self._pages else None
        page = next((page for page in self._pages if page.number == number), first)
        if self._document is None or page is None:
            self.show(None, "")
            return "No page has been read."
        quote = None
        if field is not None and field.page == page.number:
            quote = None if field.start is None or field.end is None else (field.start, field.end)
        text = page_text(self.shell.ledger, self._document.id, page.number)
        self.show((self._document.id, page.number), text, quote)
        box = quote_box(self.shell.ledger, self._document.id, page.number, *quote) if quote else None
        return page_line(page, len(self._pages), box)

    def show_summary(self) -> str:
        """What the model is writing, and when it has ended the summary."""
        document = self._document
        if document is None:
            return ""
        live = self.shell.live_text.get(document.id, "")
        if live and document.state not in FINAL_STATES:
            self.show((document.id, "live"), live, follow=True)
            return "The model writes:"
        self.show((document.id, "summary"), document.summary)
        return "" if document.summary else "There is no summary yet."

    def show_trace(self) -> str:
        """Every call to a language model; it is loaded when it is first looked at."""
        document = self._document
        if document is None:
            return ""
        self.show((document.id, "trace"), self._trace)
        if self._trace_is_due:
            self._trace_is_due = False
            self._load_trace(document)
        return "" if self._trace else "Loading"

    @work(group="trace", exclusive=True, exit_on_error=False)
    async def _load_trace(self, document: DocumentRow) -> None:
        def load() -> str:
            with Ledger.open(self.shell.settings) as ledger:
                return "\n".join(trace(ledger, document))

        loaded = await in_background(load)
        if self._document is not None and self._document.id == document.id:
            self._trace = loaded
            self.post_message(self.TraceLoaded())
