"""An input for words. Files may be dropped on it all the same."""

import re
from typing import TYPE_CHECKING, cast

from textual import events, work

from app.dropped import parse_dropped
from app.tui.background import in_background
from app.tui.widgets.plain_input import PlainInput

if TYPE_CHECKING:
    from app.tui.app import ShoeboxApp


class TextInput(PlainInput):
    """As `PlainInput`; what is pasted and names files is taken in."""

    def on_paste(self, event: events.Paste) -> None:
        """Files may be dropped here, too; of any other text `Input` would keep the first line."""
        event.prevent_default()
        event.stop()
        self._take(event.text)

    @work(group="paste", exit_on_error=False)
    async def _take(self, text: str) -> None:
        dropped = await in_background(lambda: parse_dropped(text))
        if dropped.paths:
            cast("ShoeboxApp", self.app).take_text(text)
        else:
            self.replace(re.split(r"[\r\n]", text.strip("\r\n"), maxsplit=1)[0], *self.selection)
