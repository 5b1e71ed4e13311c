"""Where paths arrive: dropped on the terminal, typed by it, or typed by a person."""

import asyncio
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from rich.segment import Segment
from textual import events, work
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.reactive import reactive
from textual.screen import Screen
from textual.strip import Strip

from app.dropped import parse_dropped
from app.intake import counted
from app.tui.background import in_background
from app.tui.completion import Completion, complete
from app.tui.widgets.plain_input import PlainInput

if TYPE_CHECKING:
    from app.tui.app import ShoeboxApp

T = TypeVar("T")

_LOOK_SECONDS = 0.1
"""What is typed is looked at so often; terminals type faster than disks answer."""
_PATIENCE_SECONDS = 3.0
"""A share that answers later than this offers no completion."""
_LONGEST_MENDED = 1_000
"""Characters of a pasted line that is put into the input to be mended; more is no typing error."""


@dataclass(frozen=True, slots=True)
class _Look:
    """What is known of a typed text."""

    completion: Completion
    hint: str = ""


class PathInput(PlainInput):
    """One line at the bottom of each screen. As long as it is empty it leaves all keys to the screen.

    Names are shown made safe; the value stays as it is.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "take", "Take in", id="paths.take", tooltip="Take in the files that are named."),
        Binding("escape", "clear", "Clear", id="paths.clear", tooltip="Empty the line for paths."),
        Binding(
            "tab",
            "complete",
            "Complete",
            id="paths.complete",
            tooltip="Complete the path as far as it is clear.",
        ),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"path-input--hint"}
    DEFAULT_CSS = """
    PathInput {
        height: 1; border: none; padding: 0 1;
        &:focus { border: none; }
        & > .path-input--hint { color: $text-muted; text-style: italic; }
    }
    """
    hint: reactive[str] = reactive("")
    """What Enter would do, at the right end of the line."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(
            placeholder="Drop files here, or type a path", id=id, select_on_focus=False, compact=True
        )
        self._look_is_due = False
        self._is_looking = False

    @property
    def shell(self) -> "ShoeboxApp":
        """The application, with its type."""
        return cast("ShoeboxApp", self.app)

    @staticmethod
    def before_key(screen: Screen[Any], event: events.Key) -> None:
        """Have what is typed end in the screen's path input. For `App.on_event`, before a key goes its way.

        Terminals type a dropped path faster than key events climb from widget to screen: if the focus moved
        only when the first of them got there, those behind it would be lost or change places.
        """
        if event.is_forwarded or not event.is_printable or event.character == " ":
            return
        focused = screen.focused
        if focused is not None and focused.check_consume_key(event.key, event.character):
            return
        for paths in screen.query(PathInput):
            screen.set_focus(paths)

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """While it is empty, all keys are the screen's."""
        return bool(self.value) or action == "paste"

    def check_consume_key(self, key: str, character: str | None) -> bool:
        """Which keys the screen cannot have. `Input` would claim the space, too."""
        return super().check_consume_key(key, character) and not (character == " " and not self.value)

    def on_key(self, event: events.Key) -> None:
        """Leave a first space to the screen; take what `Input` leaves: rare spaces, joiners, lone bytes."""
        character = event.character or ""
        if character == " " and not self.value:
            event.prevent_default()
        elif character > "\x9f" and not event.is_printable:
            event.stop()
            self.replace(character, *self.selection)

    def action_clear(self) -> None:
        """Empty the line."""
        self.clear()

    @property
    def selected_text(self) -> str:
        """What is copied. A lone surrogate could not be sent to the clipboard."""
        return super().selected_text.encode("utf-8", "replace").decode()

    # Files arrive

    def on_paste(self, event: events.Paste) -> None:
        """Files were dropped. `Input` would keep the first line only."""
        event.prevent_default()
        event.stop()
        self._take_or_mend(event.text)

    @work(group="paste", exit_on_error=False)
    async def _take_or_mend(self, text: str) -> None:
        """A single line that names nothing may be half a path: it is put where it can be mended."""
        line = text.strip("\r\n")
        if len(line) > _LONGEST_MENDED or re.search(r"[\r\n]", line):
            self.shell.take_text(text)
            return
        dropped = await in_background(lambda: parse_dropped(text))
        if dropped.paths:
            self.shell.take_text(text)
            return
        was_empty = not self.value
        self.replace(line, *self.selection)
        if was_empty and not (await in_background(lambda: parse_dropped(line, Path.cwd()))).paths:
            self._say_not_found(line)

    @work(group="take", exclusive=True, exit_on_error=False)
    async def action_take(self) -> None:
        """Take in what is named. What is not there stays, to be mended."""
        text = self.value
        dropped = await in_background(lambda: parse_dropped(text, Path.cwd()))
        if dropped.unknown:
            self._say_not_found(*dropped.unknown)
        if dropped.paths:
            self.shell.take_paths(dropped.paths)
            if self.value == text:
                self.value = " ".join(map(shlex.quote, dropped.unknown))
                self.cursor_position = len(self.value)

    def _say_not_found(self, *names: str) -> None:
        shown = [f"not found: {name[:200]}" for name in names[:5]]
        if len(names) > len(shown):
            shown.append(f"and {len(names) - len(shown):,} more")
        self.shell.say("\n".join(shown), title="Not taken", severity="warning")

    # Completion and hint

    def watch_value(self, old: str, value: str) -> None:
        """Look at it soon; the footer shows which keys are whose."""
        self.hint = ""
        if bool(old) != bool(value):
            self.refresh_bindings()
        if value and not self._look_is_due:
            self._look_is_due = True
            self.set_timer(_LOOK_SECONDS, self._look)

    @work(group="look", exit_on_error=False)
    async def _look(self) -> None:
        self._look_is_due = False
        if self._is_looking:
            return
        self._is_looking = True
        try:
            await self._look_until_it_stands()
        finally:
            self._is_looking = False

    async def _look_until_it_stands(self) -> None:
        text = ""
        while self.value and text != self.value:
            text = self.value
            look = await _patiently(partial(_look_at, text, Path.cwd()), _Look(Completion()))
            if self.value == text:
                self._suggestion = look.completion.likeliest
                self.hint = look.hint or self.hint

    @work(group="complete", exclusive=True, exit_on_error=False)
    async def action_complete(self) -> None:
        """Complete the path as far as it is clear."""
        text = self.value
        completion = await _patiently(lambda: complete(text, Path.cwd()), Completion())
        if self.value != text or not completion.count:
            return
        self.value = completion.common
        self.cursor_position = len(self.value)
        if self.value == text and completion.count > 1:
            self.hint = f"{completion.count:,} names begin so"

    # Drawing

    def watch_hint(self, hint: str) -> None:
        """Leave room for it, so that it never hides what is typed."""
        self.styles.padding = (0, len(hint) + 3 if hint else 1, 0, 1)
        self.call_after_refresh(self._scroll_to_cursor)

    def _scroll_to_cursor(self) -> None:
        self.scroll_to_region(Region(self._cursor_offset, 0, 1, 1), force=True, animate=False)

    def render_lines(self, crop: Region) -> list[Strip]:
        """The line, with the hint in its padding."""
        strips = super().render_lines(crop)
        if self.hint and strips and crop.y == 0:
            left = self.size.width + self.styles.gutter.width - len(self.hint) - 1 - crop.x
            hint = Strip([Segment(self.hint, self.get_component_rich_style("path-input--hint"))])
            line = strips[0]
            end = left + hint.cell_length
            strips[0] = Strip.join([line.crop(0, left), hint, line.crop(end)]).crop(0, line.cell_length)
        return strips


def _look_at(text: str, base: Path) -> _Look:
    dropped = parse_dropped(text, base)
    completion = complete(text, base)
    if not dropped.paths:
        return _Look(completion)
    folders = sum(path.is_dir() for path in dropped.paths)
    found = counted(len(dropped.paths) - folders, folders)
    if dropped.unknown:
        return _Look(completion, f"{found}; {len(dropped.unknown):,} not found")
    return _Look(completion, f"{found}; Enter takes {'it' if len(dropped.paths) == 1 else 'them'}")


async def _patiently(function: Callable[[], T], otherwise: T) -> T:
    try:
        return await asyncio.wait_for(in_background(function), _PATIENCE_SECONDS)
    except TimeoutError:
        return otherwise
