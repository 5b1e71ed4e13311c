"""The fields of a document, one a row, to look through and to correct in place."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from app.dropped import parse_dropped
from app.tui.text import plain
from app.tui.widgets.plain_input import PlainInput


@dataclass(frozen=True, slots=True)
class FieldLine:
    """What a row shows. Value and quote are untrusted text."""

    name: str
    value: str
    note: str
    """Status and page, in our words."""
    page: int | None = None
    start: int | None = None
    end: int | None = None


class _ValueInput(PlainInput):
    """The value while it is being corrected."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", show=False)]

    class Left(Message):
        """The user changed nothing after all."""

    def action_leave(self) -> None:
        """Stop correcting."""
        self.post_message(self.Left())

    def on_paste(self, event: events.Paste) -> None:
        """Files may be dropped here, too; any other text is what it is."""
        if parse_dropped(event.text).paths:
            event.prevent_default()  # and let it climb to the application, which takes them


class _Row(Horizontal):
    DEFAULT_CSS = """
    _Row {
        height: auto;
        &.-cursor { background: $primary 40%; }
        .name { width: 16; color: $text-muted; }
        .value { width: 1fr; height: auto; }
        .note { width: 20; color: $text-muted; }
        _ValueInput { width: 1fr; height: 1; border: none; padding: 0; }
    }
    """

    def __init__(self, line: FieldLine) -> None:
        super().__init__()
        self.line = line

    def compose(self) -> ComposeResult:
        yield Static(plain(self.line.name), classes="name", markup=False)
        yield Static(self._value(), classes="value", markup=False)
        yield Static(plain(self.line.note), classes="note", markup=False)

    def _value(self) -> Content:
        return plain(self.line.value, "bold") if self.line.value else Content.styled("not found", "dim")

    def show(self, line: FieldLine) -> None:
        """Show another value; what is being typed stays."""
        if line == self.line:
            return
        self.line = line
        self.query_one(".value", Static).update(self._value())
        self.query_one(".note", Static).update(plain(line.note))


class FieldList(VerticalScroll, can_focus=True):
    """Fields with a cursor."""

    DEFAULT_CSS = "FieldList { scrollbar-size-vertical: 1; }"

    @dataclass
    class CursorMoved(Message):
        """The cursor is on another field."""

        line: FieldLine

    @dataclass
    class Corrected(Message):
        """The user says what the value of a field is. An empty value: the document does not say."""

        name: str
        value: str

    @dataclass
    class Chosen(Message):
        """The user clicked twice on a field."""

    def __init__(self) -> None:
        super().__init__()
        self._index = 0
        self._wanted: list[FieldLine] = []

    @property
    def cursor(self) -> FieldLine | None:
        """The field under the cursor."""
        rows = self._rows
        return rows[self._index].line if self._index < len(rows) else None

    @property
    def is_editing(self) -> bool:
        """Whether a value is being corrected."""
        return bool(self.query(_ValueInput))

    @property
    def _rows(self) -> list[_Row]:
        return list(self.query_children(_Row))

    async def show(self, lines: Sequence[FieldLine]) -> None:
        """Show these fields. The cursor stays on its field, and what is being typed is kept."""
        rows = self._rows
        if [row.line.name for row in rows] == [line.name for line in lines]:
            for row, line in zip(rows, lines, strict=True):
                row.show(line)
            return
        name = self.cursor.name if self.cursor else ""
        await self.remove_children(_Row)
        await self.mount_all(_Row(line) for line in lines)
        self._index = next((at for at, line in enumerate(lines) if line.name == name), 0)
        self._place(self._index)

    def move(self, step: int) -> None:
        """Move the cursor."""
        if not self.is_editing:
            self._place(self._index + step)

    def _place(self, index: int) -> None:
        rows = self._rows
        if not rows:
            return
        self._index = max(0, min(index, len(rows) - 1))
        for at, row in enumerate(rows):
            row.set_class(at == self._index, "-cursor")
        rows[self._index].scroll_visible(animate=False)
        self.post_message(self.CursorMoved(rows[self._index].line))

    async def edit(self) -> None:
        """Let the user type the value of the field under the cursor."""
        rows = self._rows
        if self.is_editing or not rows:
            return
        row = rows[self._index]
        row.query_one(".value").display = False
        typed = _ValueInput(
            row.line.value,
            placeholder="empty: the document does not say",
            compact=True,
            select_on_focus=False,
        )
        await row.mount(typed, after=0)
        typed.focus()

    @on(Input.Submitted)
    async def _save(self, message: Input.Submitted) -> None:
        message.stop()
        name = self._rows[self._index].line.name
        await self._end_editing()
        self.post_message(self.Corrected(name, message.value.strip()))

    @on(_ValueInput.Left)
    async def _end_editing(self) -> None:
        for typed in self.query(_ValueInput):
            row = typed.parent
            await typed.remove()
            if isinstance(row, _Row):
                row.query_one(".value").display = True
        self.focus()

    def on_click(self, event: events.Click) -> None:
        """A click moves the cursor, a double click corrects."""
        for at, row in enumerate(self._rows):
            if event.widget is row or (event.widget is not None and row in event.widget.ancestors):
                self._place(at)
                if event.chain == 2:
                    self.post_message(self.Chosen())
                return
