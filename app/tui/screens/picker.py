"""Choosing files with the keyboard or the mouse."""

from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import OptionList

from app.tui.text import plain


class Picker(ModalScreen[tuple[Path, ...]]):
    """Lists a folder. Gives the chosen paths; none when the user goes away."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", show=False)]

    def __init__(self, start: Path | None = None) -> None:
        super().__init__()
        self._folder = start or Path.home()
        self._entries: list[Path] = []

    def compose(self) -> ComposeResult:
        """The folder."""
        yield OptionList()

    def on_mount(self) -> None:
        """List it."""
        self._show()

    def _show(self) -> None:
        self._entries = [self._folder.parent, *sorted(self._folder.iterdir())]
        names = self.query_one(OptionList)
        names.clear_options()
        names.add_options(plain(path.name) for path in self._entries)

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        path = self._entries[event.option_index]
        if path.is_dir():
            self._folder = path
            self._show()
        else:
            self.dismiss((path,))

    def action_leave(self) -> None:
        """Choose nothing."""
        self.dismiss(())
