"""Which category a document really is."""

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from app.tui.text import plain


class ChooseCategory(ModalScreen[str | None]):
    """A list of the recipe's categories; None if the user leaves it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "escape", "dismiss(None)", "Leave", id="category.leave", tooltip="Leave the category as it is."
        )
    ]
    DEFAULT_CSS = """
    ChooseCategory {
        align: center middle;
        OptionList {
            width: 72; max-width: 100%; height: auto; max-height: 80%;
            border: round $primary; background: $panel;
        }
    }
    """

    def __init__(self, categories: Sequence[tuple[str, str]], present: str) -> None:
        """`categories` are names with descriptions, in the recipe's order."""
        super().__init__()
        self._categories = categories
        self._present = present

    def compose(self) -> ComposeResult:
        """The present one is under the cursor."""
        options = [
            Option(plain(name, "bold") + plain(f"  {words}", "dim"), id=name)
            for name, words in self._categories
        ]
        chosen = OptionList(*options, markup=False)
        names = [name for name, _ in self._categories]
        chosen.highlighted = names.index(self._present) if self._present in names else 0
        yield chosen

    @on(OptionList.OptionSelected)
    def _take(self, message: OptionList.OptionSelected) -> None:
        self.dismiss(message.option.id)
