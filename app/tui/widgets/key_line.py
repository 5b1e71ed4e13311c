"""The keys of a screen, at its lower edge."""

from textual.app import ComposeResult
from textual.widgets import Footer
from textual.widgets._footer import FooterKey


class KeyLine(Footer):
    """As `Footer`, which in Textual 8.2 makes all keys anew at each change of focus and never lets them go.

    That was half of what the UI computes.
    """

    _shown: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        """Keys begin compact and are told otherwise: their styles would be worked out three times each."""
        for each in super().compose():
            if isinstance(each, FooterKey):
                each.set_reactive(FooterKey.compact, self.compact)
            yield each

    async def recompose(self) -> None:
        """Show the keys as they are now where they have changed, and forget those from before.

        They are in a list of widgets that follow `compact`, and leave it only when that is set. Without this
        every page that is opened and closed costs half a megabyte.
        """
        if not self.is_attached:  # the screen was closed meanwhile
            return
        keys = tuple(
            (key, each.binding.action, each.binding.description, each.enabled, each.tooltip)
            for key, each in self.screen.active_bindings.items()
            if each.binding.show
        )
        if keys == self._shown and self.children:
            return
        self._shown = keys
        await super().recompose()
        self.mutate_reactive(Footer.compact)
