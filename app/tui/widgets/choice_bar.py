"""A line of choices, one of them chosen."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget


class ChoiceBar(Widget):
    """Choices side by side; a click chooses another."""

    DEFAULT_CSS = "ChoiceBar { height: 1; background: $panel; color: $foreground; }"

    @dataclass
    class Chosen(Message):
        """The user clicked a choice."""

        name: str

    def __init__(self) -> None:
        super().__init__()
        self._choices: Sequence[tuple[str, str]] = ()
        self._chosen = ""
        self._words = ""

    def show(self, choices: Sequence[tuple[str, str]], chosen: str, words: str = "") -> None:
        """Show these choices (name and text), and after them `words`. All text is ours."""
        self._choices, self._chosen, self._words = choices, chosen, words
        self.refresh()

    def _labels(self) -> list[tuple[str, str]]:
        return [(name, f"[{text}]" if name == self._chosen else f" {text} ") for name, text in self._choices]

    def render_line(self, y: int) -> Strip:  # noqa: ARG002 - there is only one
        """The chosen one is in brackets as well as reversed, for screens without colour."""
        style = self.rich_style
        parts = [Segment(" ", style)]
        for name, text in self._labels():
            own = style + Style(bold=True, reverse=True) if name == self._chosen else style
            parts += [Segment(text, own), Segment(" ", style)]
        parts.append(Segment(f" {self._words}", style + Style(bold=True)))
        return Strip(parts).adjust_cell_length(self.size.width, style)

    def on_click(self, event: events.Click) -> None:
        """Choose what is under the pointer."""
        left = 1
        for name, text in self._labels():
            if left <= event.x < left + len(text):
                self.post_message(self.Chosen(name))
                return
            left += len(text) + 1
