"""The Tidy screen: plans are made, applied and undone after a question; steps are plain text."""

from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Button, OptionList

from app.plans.journal import Action, Journal, Step, StepState
from app.requests import ApplyPlan, MakePlan, UndoPlan
from app.tui.app import ShoeboxApp
from app.tui.screens.confirm import Confirm
from app.tui.screens.options import Options
from app.tui.screens.picker import Picker
from app.tui.screens.tidy import TidyScreen
from app.tui.widgets.section import Section
from tasks.settings import Settings
from tests.test_tui_watch import finished
from tests.tui import HOSTILE, drive


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data")


def enter_plan(settings: Settings, *states: StepState, action: Action = Action.COPY) -> None:
    with Journal.open(settings) as journal:
        steps = [
            Step(
                0, 0, "d", Path("/papers") / f"{number}.pdf", PurePosixPath(f"letter/{number}.pdf"), "", state
            )
            for number, state in enumerate(states)
        ]
        journal.add(Path("/tidy"), action, "{name}", steps)


async def shown(app: ShoeboxApp, pilot: Pilot[Any]) -> str:
    """The words of the screen, once it has looked."""
    screen = app.screen
    assert isinstance(screen, TidyScreen)
    screen.look_again()
    await finished(app, pilot, "look")
    sections = [str(section.render()) for section in screen.query(Section) if section.display]
    plans = screen.query_one(OptionList)
    return "\n".join(
        [*sections, *(str(plans.get_option_at_index(at).prompt) for at in range(plans.option_count))]
    )


def test_without_a_plan_it_says_how_to_begin(settings: Settings) -> None:
    async def scenario(app: ShoeboxApp, pilot: Pilot[Any]) -> None:
        await pilot.press("ctrl+g")
        assert "F2 makes one" in await shown(app, pilot)
        await pilot.press("f5", "f8")

    requests = drive(settings, scenario).requests
    assert not [one for one in requests if isinstance(one, ApplyPlan | UndoPlan)]
    assert not (settings.data_dir / "plans.sqlite3").exists()  # looking makes nothing


def test_steps_are_plain_text(settings: Settings) -> None:
    with Journal.open(settings) as journal:
        steps = [
            Step(0, 0, "d", Path("/p") / name.replace("\x00", "")[:200], PurePosixPath("x"), "", message=name)
            for name in HOSTILE
        ]
        journal.add(Path("/tidy[red]"), Action.MOVE, "{name}", steps)

    async def scenario(app: ShoeboxApp, pilot: Pilot[Any]) -> None:
        await pilot.press("ctrl+g")
        words = await shown(app, pilot)
        assert "[@click=app.quit]click" in words
        assert "move to /tidy[red]" in words
        assert "\x1b" not in words
        assert "\u202e" not in words

    drive(settings, scenario)


@pytest.mark.parametrize(
    ("key", "state", "request_"),
    [("f5", StepState.PLANNED, ApplyPlan(1)), ("f8", StepState.DONE, UndoPlan(1))],
)
def test_applying_and_undoing_ask_first(
    settings: Settings, key: str, state: StepState, request_: ApplyPlan | UndoPlan
) -> None:
    enter_plan(settings, state, state)

    async def scenario(app: ShoeboxApp, pilot: Pilot[Any]) -> None:
        await pilot.press("ctrl+g")
        await shown(app, pilot)
        await pilot.press(key)
        await pilot.pause()
        assert isinstance(app.screen, Confirm)
        await pilot.press("enter")  # the safe answer has the focus
        await pilot.pause()
        await pilot.press(key)
        await pilot.pause()
        app.screen.query_one("#yes", Button).press()
        await pilot.pause()

    requests = [one for one in drive(settings, scenario).requests if isinstance(one, ApplyPlan | UndoPlan)]
    assert requests == [request_]


def test_the_steps_of_the_plan_under_the_cursor_are_shown(settings: Settings) -> None:
    enter_plan(settings, StepState.DONE)
    enter_plan(settings, StepState.PLANNED, StepState.PLANNED, action=Action.MOVE)

    async def scenario(app: ShoeboxApp, pilot: Pilot[Any]) -> None:
        await pilot.press("ctrl+g")
        assert "planned   /papers/1.pdf -> letter/1.pdf" in await shown(app, pilot)
        await pilot.press("down")
        words = await shown(app, pilot)
        assert "done      /papers/0.pdf" in words
        assert "planned   " not in words

    drive(settings, scenario)


def test_a_plan_is_made_for_the_open_folder(settings: Settings, tmp_path: Path) -> None:
    async def scenario(app: ShoeboxApp, pilot: Pilot[Any]) -> None:
        Picker.last_folder = tmp_path
        await pilot.press("ctrl+g", "f2")
        await finished(app, pilot, "folder")
        await pilot.press("ctrl+n")
        await pilot.pause()
        assert isinstance(app.screen, Options)
        await pilot.press("enter")
        await pilot.pause()

    assert MakePlan(str(tmp_path)) in drive(settings, scenario).requests
