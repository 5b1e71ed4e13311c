"""F1: what the screen is for, and its keys."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from app.tui.palette import Command


class HelpScreen(ModalScreen[None]):
    """A screen's help. Any of Escape, Enter and F1 closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,f1", "dismiss(None)", "Close", id="help.close", tooltip="Close the help.")
    ]
    DEFAULT_CSS = """
    HelpScreen {
        align: center middle;
        & > VerticalScroll {
            width: 90%;
            max-width: 92;
            height: auto;
            max-height: 90%;
            padding: 1 2;
            border: round $primary;
            background: $surface;
        }
    }
    """

    def __init__(self, name: str, text: str, commands: Sequence[Command]) -> None:
        super().__init__()
        self._heading = name
        self._text = text
        self._commands = commands

    def compose(self) -> ComposeResult:
        """Words first, keys below."""
        with VerticalScroll():
            yield Static(self._content(), markup=False)

    def _content(self) -> Content:
        width = max((len(command.key) for command in self._commands), default=0)
        keys = [
            Content.assemble((f"{command.key:>{width}}", "bold $accent"), f"  {command.name}: {command.help}")
            for command in self._commands
        ]
        return Content("\n").join(
            [Content.styled(self._heading, "bold"), Content(self._text), Content(""), *keys]
        )
