"""The keys of a screen, at its lower edge."""

from textual.widgets import Footer


class KeyLine(Footer):
    """As `Footer`, which in Textual 8.2 never lets go of the keys that it has replaced."""

    async def recompose(self) -> None:
        """Show the keys as they are now, and forget those from before.

        They are in a list of widgets that follow `compact`, and leave it only when that is set. Without this
        every page that is opened and closed costs half a megabyte.
        """
        await super().recompose()
        self.mutate_reactive(Footer.compact)
