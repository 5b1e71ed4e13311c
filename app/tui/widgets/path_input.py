"""Where paths arrive: dropped on the terminal, typed by it, or typed by a person."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from textual import events, work
from textual.binding import Binding, BindingType
from textual.widgets import Input

from app.dropped import parse_dropped
from app.tui.background import in_background

if TYPE_CHECKING:
    from app.tui.app import ShoeboxApp


class PathInput(Input):
    """One line at the bottom of each screen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "take", "Take", id="paths.take", tooltip="Take in the files that are named."),
        Binding("escape", "clear", id="paths.clear", show=False, tooltip="Empty the line."),
    ]
    DEFAULT_CSS = """
    PathInput { height: 1; border: none; padding: 0 1; }
    PathInput:focus { border: none; }
    """

    def __init__(self, id: str | None = None) -> None:
        super().__init__(
            placeholder="Drop files here, or type a path", id=id, select_on_focus=False, compact=True
        )

    @property
    def shell(self) -> "ShoeboxApp":
        """The application, with its type."""
        return cast("ShoeboxApp", self.app)

    def begin(self, character: str) -> None:
        """Take the focus and a character that was typed elsewhere."""
        self.screen.set_focus(self)
        self.insert(character, len(self.value))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """While it is empty, all keys are the screen's."""
        return bool(self.value) or action == "paste"

    def on_key(self, event: events.Key) -> None:
        """A space means something to the screens as long as nothing is typed."""
        if event.character == " " and not self.value:
            event.prevent_default()

    def on_paste(self, event: events.Paste) -> None:
        """Files were dropped. `Input` would keep the first line only."""
        event.prevent_default()
        event.stop()
        self.shell.take_text(event.text)

    @work(exclusive=True, exit_on_error=False)
    async def action_take(self) -> None:
        """Take in what is named, or say why not."""
        text = self.value
        dropped = await in_background(lambda: parse_dropped(text, Path.cwd()))
        if not dropped.paths:
            self.shell.say(f"not found: {text}", severity="warning")
            return
        self.clear()
        self.shell.take_paths(dropped.paths)

    def action_clear(self) -> None:
        """Empty the line."""
        self.clear()
