"""Each key that docs/tour.md tells of does something on the screen it is told of."""

import re
from itertools import pairwise
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

PAGE = (Path(__file__).parent.parent / "docs" / "tour.md").read_text(encoding="utf-8")
SCREENS: dict[str, type[Screen[None]]] = {
    "The In-tray": InTray,
    "A document": DocumentScreen,
    "Review": DocumentScreen,
    "Search": SearchScreen,
    "Ask": AskScreen,
    "Watch": WatchScreen,
    "Tidy": TidyScreen,
    "Machines": MachinesScreen,
    "When you are lost": InTray,
}
KEY = re.compile(r"`((?:(?:Ctrl|Shift)\+)?(?:F\d+|[A-Z]|Enter|Esc|Space|Del|Up|Down|Left|Right))`")
NAMES = {"esc": "escape", "del": "delete"}
LISTS_OWN = {("Ask", "enter")}
"""Keys of a list that has the focus, not of its screen."""


def _sections() -> dict[str, str]:
    marks = [*re.finditer(r"^## (.+)$", PAGE, re.MULTILINE)]
    ends = [*(mark.start() for mark in marks), len(PAGE)]
    return {mark[1]: PAGE[start:end] for mark, (start, end) in zip(marks, pairwise(ends), strict=True)}


def _keys(node: type[Screen[None]] | type[ShoeboxApp]) -> set[str]:
    bindings = [binding for binding in node.BINDINGS if isinstance(binding, Binding)]
    return {key for binding in bindings for key in binding.key.split(",")}


@pytest.mark.parametrize("title", SCREENS)
def test_every_key_of_the_tour_is_one_of_its_screen(title: str) -> None:
    told = {
        "+".join(NAMES.get(part, part) for part in key.lower().split("+"))
        for key in KEY.findall(_sections()[title])
    }
    there = _keys(SCREENS[title]) | _keys(ShoeboxApp)
    assert told
    assert {key for key in told if (title, key) not in LISTS_OWN} - there == set()


def test_every_section_with_a_screen_is_looked_at() -> None:
    assert set(_sections()) == set(SCREENS)
