"""A question before something that cannot be taken back."""

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from app.tui.text import plain, plain_lines

_MOST_ITEMS = 10


class Confirm(ModalScreen[bool]):
    """Asks whether to do something. True if the user says so; Escape and Enter alone say no."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "refuse", "No", id="confirm.no", show=False, tooltip="Leave everything as it is."),
        Binding("left,up", "app.focus_previous", show=False),
        Binding("right,down", "app.focus_next", show=False),
    ]
    DEFAULT_CSS = """
    Confirm {
        align: center middle;
        & > Vertical {
            width: 64; max-width: 100%; height: auto; max-height: 100%;
            background: $panel; border: round $warning; padding: 0 2;
        }
        #confirm-text { height: auto; max-height: 75vh; scrollbar-size-vertical: 1; }
        #confirm-text Static { height: auto; }
        .question { text-style: bold; }
        .items { margin: 1 0 0 2; text-wrap: nowrap; text-overflow: ellipsis; }
        .detail { margin: 1 0 0 0; color: $text-muted; }
        Horizontal { height: auto; margin: 1 0 0 0; align-horizontal: right; }
        Button { margin: 0 0 0 2; min-width: 12; }
    }
    """

    def __init__(
        self, question: str, detail: str = "", *, yes: str = "Yes", no: str = "No", items: Sequence[str] = ()
    ) -> None:
        """All text may be untrusted. Of `items`, what it is about, the first are shown, and how many."""
        super().__init__()
        self._question = question
        self._detail = detail
        self._yes = yes
        self._no = no
        self._items = items

    def compose(self) -> ComposeResult:
        """Question, items, what will happen; the safe button first."""
        with Vertical():
            with VerticalScroll(id="confirm-text", can_focus=False):
                yield Static(plain_lines(self._question), classes="question")
                if self._items:
                    yield Static(Content("\n").join(_listed(self._items)), classes="items")
                if self._detail:
                    yield Static(plain_lines(self._detail), classes="detail")
            with Horizontal():
                yield Button(plain(self._no), id="no", compact=True)
                yield Button(plain(self._yes), id="yes", variant="warning", compact=True)

    def on_mount(self) -> None:
        """Enter alone does no harm."""
        self.query_one("#no").focus()

    @on(Button.Pressed)
    def _answered(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")

    def action_refuse(self) -> None:
        """Leave everything as it is."""
        self.dismiss(False)


def _listed(items: Sequence[str]) -> list[Content]:
    """A line each; a newline in a name is shown, and starts no line."""
    lines = [plain(item) for item in items[:_MOST_ITEMS]]
    if len(items) > _MOST_ITEMS:
        lines.append(plain(f"and {len(items) - _MOST_ITEMS:,} more"))
    return lines
