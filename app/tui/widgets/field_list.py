"""The fields of a document, one a row, to look through and to correct in place."""

import asyncio
import re
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

from app.tui.text import plain
from app.tui.widgets.text_input import TextInput


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


class _ValueInput(TextInput):
    """The value while it is being corrected."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", show=False)]

    class Left(Message):
        """The user changed nothing after all."""

    def __init__(self, value: str) -> None:
        super().__init__(
            value, placeholder="empty: the document does not say", compact=True, select_on_focus=False
        )

    def action_leave(self) -> None:
        """Stop correcting."""
        self.post_message(self.Left())


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

    @dataclass
    class Clicked(Message):
        """A click on the row; `times` is 2 for a double click."""

        row: "_Row"
        times: int

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

    @property
    def typed(self) -> _ValueInput | None:
        """Where the value is being typed, if it is."""
        return next(iter(self.query_children(_ValueInput)), None)

    async def edit(self, value: str) -> None:
        """Have a value typed, beginning with this one."""
        self.query_one(".value").display = False
        await self.mount(_ValueInput(value), after=0)

    async def show_value(self) -> None:
        """No longer have it typed."""
        await self.query_children(_ValueInput).remove()
        self.query_one(".value").display = True

    def on_click(self, event: events.Click) -> None:
        self.post_message(self.Clicked(self, event.chain))


class FieldList(VerticalScroll, can_focus=False):
    """Fields with a cursor. It leaves the focus to the path input, except while a value is typed."""

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

    class Left(Message):
        """A value is no longer being typed."""

    class Chosen(Message):
        """The user clicked twice on a field."""

    def __init__(self) -> None:
        super().__init__()
        self._index = 0
        self._document = ""
        self._one_at_a_time = asyncio.Lock()

    @property
    def cursor(self) -> FieldLine | None:
        """The field under the cursor."""
        rows = self._rows
        return rows[self._index].line if self._index < len(rows) else None

    @property
    def is_editing(self) -> bool:
        """Whether a value is being corrected."""
        return self._edited is not None

    @property
    def _rows(self) -> list[_Row]:
        return list(self.query_children(_Row))

    @property
    def _edited(self) -> _Row | None:
        return next((row for row in self._rows if row.typed is not None), None)

    async def show(self, lines: Sequence[FieldLine], document: str = "", doubted: str = "") -> None:
        """Show these fields. The cursor stays on its field, and what is being typed is kept.

        Of another document the cursor begins at the first field that the words `doubted` name.
        """
        async with self._one_at_a_time:
            await self._show(lines)
            if document != self._document and not self.is_editing:
                self._document = document
                self._place(_named(lines, doubted))

    async def _show(self, lines: Sequence[FieldLine]) -> None:
        rows = self._rows
        if [row.line.name for row in rows] == [line.name for line in lines]:
            for row, line in zip(rows, lines, strict=True):
                row.show(line)
            return
        edited, name = self._edited, self.cursor.name if self.cursor else ""
        typed = edited.typed.value if edited is not None and edited.typed is not None else ""
        with self.app.batch_update():
            await self.remove_children(_Row)
            await self.mount_all(_Row(line) for line in lines)
            self._place(next((at for at, line in enumerate(lines) if line.name == name), 0))
            if edited is not None:
                await self._edit_again(edited.line.name, typed)

    async def _edit_again(self, name: str, typed: str) -> None:
        row = next((row for row in self._rows if row.line.name == name), None)
        if row is None:  # its category has no such field any more
            self.post_message(self.Left())
            return
        await row.edit(typed)
        self.focus_typed()

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
        """Let the user type the value of the field under the cursor, or go on with the one begun."""
        rows = self._rows
        if rows and not self.is_editing:
            await rows[self._index].edit(rows[self._index].line.value)
        self.focus_typed()

    def focus_typed(self) -> None:
        """If a value is being typed, go on with it."""
        if self._edited is not None and self._edited.typed is not None:
            self._edited.typed.focus()

    async def leave(self) -> None:
        """Forget what is being typed."""
        if self._edited is not None:
            await self._edited.show_value()
            self.post_message(self.Left())

    @on(Input.Submitted)
    async def _save(self, message: Input.Submitted) -> None:
        message.stop()
        edited = self._edited
        if edited is not None:
            await self.leave()
            self.post_message(self.Corrected(edited.line.name, message.value.strip()))

    @on(_ValueInput.Left)
    async def _left(self) -> None:
        await self.leave()

    @on(_Row.Clicked)
    def _row_clicked(self, message: _Row.Clicked) -> None:
        """A click moves the cursor, a double click corrects. Neither takes a value out of the hand."""
        message.stop()
        if self.is_editing:
            self.focus_typed()
            return
        self._place(self._rows.index(message.row))
        if message.times == 2:
            self.post_message(self.Chosen())


def _named(lines: Sequence[FieldLine], words: str) -> int:
    """The line whose field sentences such as `The due date ... is before the date ...` name first; else 0."""
    places = {}
    for at, line in enumerate(lines):
        name = re.escape(line.name.replace("_", " "))
        if found := re.search(rf"(?:^|\bthe |\band ){name}\b", words, re.IGNORECASE):
            places[at] = found.start()
    return min(places, key=lambda at: places[at], default=0)
