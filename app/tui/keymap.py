"""Keys that a user has chosen: what is wrong with them, in words."""

from collections.abc import Iterator, Mapping

from textual.binding import Binding


def problems_of(keys: Mapping[str, str]) -> Iterator[str]:
    """A sentence for each entry of the setting `keys` that can have no effect."""
    if not keys:
        return
    known = _known_actions()
    for action, key in keys.items():
        if action not in known:
            yield f"There is no action {action!r}; docs/ui.md lists them."
        elif any(len(one.strip()) == 1 for one in key.split(",")):
            yield f"{action} cannot be on {key!r}: terminals type the letters of dropped paths as keys."


def _known_actions() -> frozenset[str]:
    from app.tui.keys import KEYS
    from app.tui.screens.ask import AskScreen
    from app.tui.screens.document import DocumentScreen
    from app.tui.screens.intray import InTray
    from app.tui.screens.machines import MachinesScreen
    from app.tui.screens.search import SearchScreen
    from app.tui.screens.tidy import TidyScreen
    from app.tui.screens.watch import WatchScreen

    screens = (InTray, DocumentScreen, MachinesScreen, WatchScreen, TidyScreen, SearchScreen, AskScreen)
    bindings = [*KEYS, *(binding for screen in screens for binding in screen.BINDINGS)]
    return frozenset(one.id for one in bindings if isinstance(one, Binding) and one.id)
