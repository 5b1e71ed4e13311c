"""What docs/ui.md says of the UI is true: every action is there, and every one has help."""

from pathlib import Path

import pytest
from textual.binding import Binding
from textual.screen import Screen

from app.tui.app import ShoeboxApp
from app.tui.screens.ask import AskScreen
from app.tui.screens.document import DocumentScreen
from app.tui.screens.intray import InTray
from app.tui.screens.machines import MachinesScreen
from app.tui.screens.search import SearchScreen
from app.tui.screens.tidy import TidyScreen
from app.tui.screens.watch import WatchScreen

PAGE = (Path(__file__).parent.parent / "docs" / "ui.md").read_text()
NODES: tuple[type[ShoeboxApp] | type[Screen[None]], ...] = (
    ShoeboxApp,
    InTray,
    DocumentScreen,
    MachinesScreen,
    WatchScreen,
    TidyScreen,
    SearchScreen,
    AskScreen,
)
BINDINGS = [
    binding for node in NODES for binding in node.BINDINGS if isinstance(binding, Binding) and binding.id
]


@pytest.mark.parametrize("binding", BINDINGS, ids=lambda binding: binding.id)
def test_every_action_is_documented_and_explained(binding: Binding) -> None:
    assert f"`{binding.id}`" in PAGE
    assert binding.tooltip.endswith(".")
    assert binding.description


def test_no_id_is_used_twice() -> None:
    ids = [binding.id for binding in BINDINGS]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("binding", BINDINGS, ids=lambda binding: binding.id)
def test_no_letter_is_a_command(binding: Binding) -> None:
    assert all(len(key) > 1 for key in binding.key.split(","))
