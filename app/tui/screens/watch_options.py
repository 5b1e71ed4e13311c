"""How a folder is to be watched: asked when it is chosen."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Checkbox, Static

from app.tui.text import plain


@dataclass(frozen=True, slots=True)
class ChosenOptions:
    """What the user has chosen."""

    move_taken: bool
    only_new: bool


class _Box(Checkbox):
    """Textual draws a cross in either case, in another colour; colours alone must not tell."""

    @property
    def BUTTON_INNER(self) -> str:  # type: ignore[override]  # noqa: N802 - Textual's name
        """What stands in the box."""
        return "X" if self.value else " "


class WatchOptionsDialog(ModalScreen[ChosenOptions | None]):
    """Asks what happens to files that are taken, and to those that are there already."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "No", id="watch_options.no", show=False, tooltip="Do not watch it."),
        Binding("up", "app.focus_previous", show=False),
        Binding("down", "app.focus_next", show=False),
    ]
    DEFAULT_CSS = """
    WatchOptionsDialog {
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

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def compose(self) -> ComposeResult:
        """The folder, two choices, two buttons."""
        with Vertical():
            yield Static(plain(f"Watch {self._folder} and the folders below it?", "bold"))
            yield _Box(plain("Move taken files to its subfolder Taken"), id="move", compact=True)
            yield _Box(plain("Leave alone what is there already"), id="only-new", compact=True)
            with Horizontal():
                yield Button(plain("Watch"), id="yes", variant="primary", compact=True)
                yield Button(plain("Cancel"), id="no", compact=True)

    def on_mount(self) -> None:
        """Watching takes nothing away, so that Enter alone may do it."""
        self.query_one("#yes").focus()

    @on(Button.Pressed)
    def _answered(self, event: Button.Pressed) -> None:
        if event.button.id != "yes":
            self.dismiss(None)
            return
        self.dismiss(
            ChosenOptions(
                move_taken=self.query_one("#move", Checkbox).value,
                only_new=self.query_one("#only-new", Checkbox).value,
            )
        )

    def action_leave(self) -> None:
        """Do not watch it."""
        self.dismiss(None)
