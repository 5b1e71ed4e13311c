"""The line above the In-tray: which documents are shown, with the number of each kind."""

from collections.abc import Iterator
from dataclasses import dataclass

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from app.tui.store import DocumentStore, Filter


class FilterBar(Widget):
    """The filters with their counts; a click chooses one."""

    DEFAULT_CSS = "FilterBar { height: 1; background: $panel; color: $foreground; }"

    @dataclass
    class Chosen(Message):
        """The user clicked a filter."""

        filter: Filter

    def __init__(self, store: DocumentStore) -> None:
        super().__init__()
        self._store = store

    def render_line(self, y: int) -> Strip:  # noqa: ARG002 - there is only one
        """All filters; the chosen one is in brackets as well as reversed, for screens without colour."""
        style = self.rich_style
        parts = [Segment(" ", style)]
        for chosen, text in self._labels():
            own = style + Style(bold=True, reverse=True) if chosen is self._store.filter else style
            parts += [Segment(text, own), Segment(" ", style)]
        if marked := len(self._store.marked):
            parts.append(Segment(f" {marked} marked", style + Style(bold=True)))
        return Strip(parts).adjust_cell_length(self.size.width, style)

    def _labels(self) -> Iterator[tuple[Filter, str]]:
        for chosen in Filter:
            text = f"{chosen.value} {self._store.count(chosen)}"
            yield chosen, f"[{text}]" if chosen is self._store.filter else f" {text} "

    def on_click(self, event: events.Click) -> None:
        """Choose the filter under the pointer."""
        left = 1
        for chosen, text in self._labels():
            if left <= event.x < left + len(text):
                self.post_message(self.Chosen(chosen))
                return
            left += len(text) + 1
