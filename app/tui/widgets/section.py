"""A heading with lines below it."""

from collections.abc import Iterable

from textual.content import Content
from textual.widgets import Static


class Section(Static):
    """A heading with lines below it."""

    DEFAULT_CSS = "Section { height: auto; margin: 0 0 1 0; }"

    def __init__(self, title: str) -> None:
        super().__init__(markup=False)
        self._title = title
        self._shown: Content | None = None

    def show(self, lines: Iterable[Content]) -> None:
        """Show these lines; nothing is drawn if they are shown already."""
        content = Content("\n").join([Content.styled(self._title, "bold $accent"), *lines])
        if self._shown is None or not _same(content, self._shown):
            self._shown = content
            self.update(content)


def _same(one: Content, other: Content) -> bool:
    return one.plain == other.plain and one.spans == other.spans
