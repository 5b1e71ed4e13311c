"""An input whose text may hold anything: what acts on a terminal is drawn as a replacement character."""

from rich.text import Text
from textual.widgets import Input

from app.plain_text import visible


class PlainInput(Input):
    """As `Input`; the value stays as it is, one character for one."""

    @property
    def _value(self) -> Text:
        return Text(_drawn(self.value), no_wrap=True, overflow="ignore", end="")

    def _position_to_cell(self, position: int) -> int:
        return Text(_drawn(self.value[:position])).cell_len


def _drawn(value: str) -> str:
    """A text of the same length, so that the cursor stands where it belongs, in which nothing acts."""
    if visible(value) == value:
        return value
    return "".join(character if visible(character) == character else "�" for character in value)
