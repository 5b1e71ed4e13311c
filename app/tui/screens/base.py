"""What all screens share: the place for dropped files, the status line, and news."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.screen import Screen
from textual.widget import Widget

from app.tui.widgets.key_line import KeyLine
from app.tui.widgets.path_input import PathInput
from app.tui.widgets.status_line import StatusLine

if TYPE_CHECKING:
    from app.tui.app import ShoeboxApp


class ShoeboxScreen(Screen[None]):
    """A full screen. Files can be dropped on each of them."""

    NAME: ClassVar[str] = ""
    """What the screen is called, in help and palette."""
    HELP: ClassVar[str] = ""
    """What F1 says about it, as plain text; the keys are added by themselves."""

    is_ready = False
    """Whether its widgets are there; before that it can be told no news."""

    @on(events.Mount)
    def _become_ready(self) -> None:  # compose comes before this
        self.is_ready = True

    @property
    def shell(self) -> "ShoeboxApp":
        """The application, with its type."""
        from app.tui.app import ShoeboxApp

        assert isinstance(self.app, ShoeboxApp)  # noqa: S101 - for the type checker
        return self.app

    def compose(self) -> ComposeResult:
        """The body of the screen, and below it what all have."""
        yield from self.body()
        yield PathInput(id="paths")
        yield StatusLine()
        yield KeyLine(show_command_palette=False)

    def body(self) -> Iterable[Widget]:
        """The widgets that are this screen's own."""
        return ()

    # News; each is called for the screen that is on top only, and all of them when it comes on top again.

    def documents_changed(self, documents: frozenset[str]) -> None:
        """These documents are different from before, or gone; `shell.store` has them as they are now."""

    def text_written(self, document: str) -> None:
        """A language model wrote something about this document; see `shell.live_text`."""

    def machines_seen(self) -> None:
        """`shell.machines` or `shell.link` has changed."""
