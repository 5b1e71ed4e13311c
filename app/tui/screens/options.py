"""A question with options to tick, before something that takes nothing away."""

from collections.abc import Mapping
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Checkbox, Static

from app.tui.text import plain


class _Box(Checkbox):
    """Textual draws a cross in either case, in another colour; colours alone must not tell."""

    @property
    def BUTTON_INNER(self) -> str:  # type: ignore[override]  # noqa: N802 - Textual's name
        """What stands in the box."""
        return "X" if self.value else " "


class Options(ModalScreen[frozenset[str] | None]):
    """Gives the names of the options that are ticked; None when the user goes away."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "No", id="options.no", show=False, tooltip="Do nothing."),
        Binding("up", "app.focus_previous", show=False),
        Binding("down", "app.focus_next", show=False),
    ]
    DEFAULT_CSS = """
    Options {
        align: center middle;
        & > Vertical {
            width: 68; max-width: 100%; height: auto; max-height: 100%;
            background: $panel; border: round $primary; padding: 0 2;
        }
        Static { height: auto; margin: 0 0 1 0; }
        Horizontal { height: auto; margin: 1 0 0 0; align-horizontal: right; }
        Button { margin: 0 0 0 2; min-width: 12; }
    }
    """

    def __init__(self, question: str, options: Mapping[str, str], *, yes: str) -> None:
        """The question may be untrusted. Options: words by name; a name is a CSS identifier."""
        super().__init__()
        self._question = question
        self._options = options
        self._yes = yes

    def compose(self) -> ComposeResult:
        """The question, the options, two buttons."""
        with Vertical():
            yield Static(plain(self._question, "bold"))
            for name, words in self._options.items():
                yield _Box(plain(words), id=name, compact=True)
            with Horizontal():
                yield Button(plain(self._yes), id="yes", variant="primary", compact=True)
                yield Button(plain("Cancel"), id="no", compact=True)

    def on_mount(self) -> None:
        """Enter alone does it: it takes nothing away."""
        self.query_one("#yes").focus()

    @on(Button.Pressed)
    def _answered(self, event: Button.Pressed) -> None:
        if event.button.id != "yes":
            self.dismiss(None)
            return
        self.dismiss(frozenset(box.id for box in self.query(_Box) if box.value and box.id))

    def action_leave(self) -> None:
        """Do nothing."""
        self.dismiss(None)
