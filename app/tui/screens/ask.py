"""The Ask screen: a question is typed, the answer comes sentence by sentence with its sources."""

import uuid
from collections.abc import Iterable
from contextlib import aclosing
from typing import ClassVar

from textual import on, work
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widget import Widget
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from app.requests import AskQuestion
from app.tui.answer_feed import follow_answer
from app.tui.answer_view import AnswerView, source_text
from app.tui.screens.base import ShoeboxScreen
from app.tui.text import plain
from app.tui.widgets.text_input import TextInput
from tasks.asking.answers import Source
from tasks.errors import ShoeboxError

_NAMED = 3


class AskScreen(ShoeboxScreen):
    """Asks all documents, or the marked ones."""

    NAME = "Ask"
    HELP = """\
A language model answers from the pages that say most about the question: of the documents that are marked
in the In-tray, else of all. Each sentence names what it stands on; Enter there opens the page. A sentence
whose citation is not found does not count, and is listed as unsupported. Without a language model the
passages themselves are shown."""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "down",
            "to_sources",
            "Sources",
            id="ask.sources",
            tooltip="Go to the sources; Enter opens one at its page.",
            priority=True,  # an input has the key for scrolling, which it never does
        ),
        Binding(
            "f8", "stop", "Stop", id="ask.stop", show=False, tooltip="Stop the answer that is being written."
        ),
        Binding(
            "escape", "back", "Back", id="ask.back", tooltip="Stop the answer, and back to where you were."
        ),
    ]
    DEFAULT_CSS = """
    AskScreen {
        Vertical { padding: 1 1 0 1; }
        TextInput, TextInput:focus { height: 1; border: none; padding: 0 1; }
        #ask-scope { height: 1; color: $text-muted; padding: 0 1; margin: 0 0 1 0; }
        #answer-side { height: auto; max-height: 60%; padding: 0 1; margin: 0 0 1 0; }
        #answer { height: auto; }
        OptionList, OptionList:focus { height: 1fr; border: none; padding: 0; }
    }
    """

    def __init__(self, documents: Iterable[str] = ()) -> None:
        super().__init__()
        self._documents = tuple(documents)
        """Empty for all."""
        self._view = AnswerView()
        self._sources: list[Source] = []

    def body(self) -> Iterable[Widget]:
        """The question, what is read for it, the answer, and what that stands on."""
        with Vertical():
            yield TextInput(placeholder="A question, then Enter", compact=True, id="question")
            yield Static(plain(self._scope()), id="ask-scope")
            with VerticalScroll(id="answer-side", can_focus=False):
                yield Static(id="answer", markup=False)
            yield OptionList(id="sources", markup=False)

    def on_mount(self) -> None:
        """Typing begins at once."""
        self.query_one("#question").focus()

    def on_unmount(self) -> None:
        """Nobody waits for the answer any more."""
        self._stop()

    def _scope(self) -> str:
        if not self._documents:
            count = len(self.shell.store)
            return "Of the one document there is." if count == 1 else f"Of all {count:,} documents."
        rows = [self.shell.store.get(document) for document in self._documents[:_NAMED]]
        names = [row.name for row in rows if row is not None]
        more = ", ..." if len(self._documents) > _NAMED else ""
        noun = "document" if len(self._documents) == 1 else "documents"
        return f"Of {len(self._documents):,} marked {noun}: {', '.join(names)}{more}"

    @on(Input.Submitted, "#question")
    def _submitted(self, event: Input.Submitted) -> None:
        if event.value.strip():
            self._ask(event.value.strip())

    @work(group="ask", exclusive=True, exit_on_error=False)
    async def _ask(self, question: str) -> None:
        """Ask, and show what comes; another question ends this one."""
        view = self._view = AnswerView()
        self._show(view)
        try:
            question_id = uuid.uuid4().hex
            reply = await self.shell.ask_and_wait(AskQuestion(question_id, question, self._documents))
            if not reply.ok:
                raise ShoeboxError(reply.message, reply.remedy)
            view.waiting("Waiting for the language model.")
            self._show(view)
            home = self.shell.ledger.home
            async with aclosing(follow_answer(self.shell.settings, home, question_id)) as entries:
                async for entry in entries:
                    view.take(entry)
                    self._show(view)
        except ShoeboxError as error:
            view.problem = f"{error.message}\n{error.remedy}".strip()
            self._show(view)

    def _show(self, view: AnswerView) -> None:
        if view is not self._view or not self.is_mounted:
            return
        self.query_one("#answer", Static).update(view.content())
        sources = view.sources
        if sources == self._sources:
            return
        self._sources = sources
        options = self.query_one(OptionList)
        at = options.highlighted
        options.clear_options()
        options.add_options(Option(source_text(number, one)) for number, one in enumerate(sources, start=1))
        options.highlighted = (at or 0) if sources else None

    def _stop(self) -> None:
        self.workers.cancel_group(self, "ask")

    # Actions

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """In the list of sources the key is the list's."""
        return action != "to_sources" or self.focused is self.query_one("#question")

    def action_to_sources(self) -> None:
        """Choose between the sources."""
        if self._sources:
            self.query_one(OptionList).focus()

    def action_stop(self) -> None:
        """Write no more of the answer."""
        if not self._view.is_whole:
            self._stop()
            self._view.problem = "Stopped."
            self._show(self._view)

    def action_back(self) -> None:
        """Go back. Nobody waits for the answer any more."""
        self._stop()
        self.app.pop_screen()

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        if event.option_index < len(self._sources):
            source = self._sources[event.option_index]
            self.shell.open_document(source.document, page=source.page)
