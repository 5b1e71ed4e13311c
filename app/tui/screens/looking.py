"""A screen that shows what a journal says, and looks again every second while it is in front."""

from typing import Generic, TypeVar

from textual import work

from app.tui.background import in_background
from app.tui.screens.base import ShoeboxScreen
from tasks.settings import Settings

_LOOK_SECONDS = 1.0
Look = TypeVar("Look")


class LookingScreen(ShoeboxScreen, Generic[Look]):
    """Reads in a thread of its own; draws only what is different from before."""

    def __init__(self) -> None:
        super().__init__()
        self.look: Look | None = None
        self._looking = False

    def read(self, settings: Settings) -> Look:
        """What is to be shown. Called in another thread."""
        raise NotImplementedError

    def show(self, look: Look) -> None:
        """Show it."""
        raise NotImplementedError

    def begin_looking(self) -> None:
        """Look now, and every second from now on."""
        self.look_again()
        self.set_interval(_LOOK_SECONDS, self.look_again)

    @work(group="look", exit_on_error=False)
    async def look_again(self) -> None:
        """Read, and show what is different; never twice at a time."""
        if self._looking or self.shell.front is not self:
            return
        self._looking = True
        settings = self.shell.settings
        try:
            look = await in_background(lambda: self.read(settings))
        finally:
            self._looking = False
        if look != self.look:
            self.look = look
            self.show(look)
