"""The Watch screen: folders are chosen, switched off and on, and what was not taken is said."""

from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Checkbox, OptionList

from app.requests import UnwatchFolder, WatchFolder
from app.tui.app import ShoeboxApp
from app.tui.screens.options import Options
from app.tui.screens.picker import FolderPicker, Picker
from app.tui.screens.watch import WatchScreen
from app.tui.widgets.section import Section
from app.watch.journal import FileState, Journal, WatchedFile, WhenTaken
from app.watch.sight import Sight
from tasks.settings import Settings
from tests.tui import HOSTILE, drive

SIGHT = Sight(1, 2, 3, 4)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data")


async def finished(app: ShoeboxApp, pilot: Pilot[Any], group: str) -> None:
    """Wait for these workers; there may be none any more."""
    for worker in [one for one in app.workers if one.group == group]:
        await worker.wait()
    await pilot.pause()


async def shown(app: ShoeboxApp, pilot: Pilot[Any]) -> str:
    """The words of the Watch screen, once it has looked."""
    screen = app.screen
    assert isinstance(screen, WatchScreen)
    screen.look_again()
    await finished(app, pilot, "look")
    sections = [str(section.render()) for section in screen.query(Section) if section.display]
    folders = screen.query_one(OptionList)
    options = [str(folders.get_option_at_index(at).prompt) for at in range(folders.option_count)]
    return "\n".join([*sections, *options])


def test_without_a_folder_it_says_how_to_begin(settings: Settings) -> None:
    async def scenario(app: ShoeboxApp, pilot: Pilot[Any]) -> None:
        await pilot.press("ctrl+l")
        assert "F2 chooses one" in await shown(app, pilot)
        await pilot.press("f8")

    assert not [one for one in drive(settings, scenario).requests if isinstance(one, UnwatchFolder)]
    assert not (settings.data_dir / "watch.sqlite3").exists()  # looking makes nothing


def test_folders_and_files_that_were_not_taken_are_shown_as_plain_text(settings: Settings) -> None:
    with Journal.open(settings) as journal:
        for name in HOSTILE:
            if "\x00" not in name and len(name) < 200:
                journal.put_folder(Path("/watched") / name, "builtin", WhenTaken.LEAVE, only_new=False)
        first, *_ = journal.folders()
        for name in HOSTILE:
            path = first.path / name[:200].replace("\x00", "")
            journal.put(WatchedFile(path, first.id, FileState.REFUSED, SIGHT, reason=name))
        journal.put(WatchedFile(Path("/fine.pdf"), first.id, FileState.TAKEN, SIGHT, document="d1"))
        journal.note(first.id, mode="[b]notices", problem="[red]it is \x1b[31mnot there")

    async def scenario(app: ShoeboxApp, pilot: Pilot[Any]) -> None:
        await pilot.press("ctrl+l")
        words = await shown(app, pilot)
        assert "Problem: [red]it is" in words
        assert "/fine.pdf  d1" in words
        assert "[@click=app.quit]click" in words
        assert "\x1b" not in words
        assert "\u202e" not in words

    drive(settings, scenario)


def test_a_folder_is_switched_off_and_on_again_as_it_was(settings: Settings) -> None:
    with Journal.open(settings) as journal:
        journal.put_folder(Path("/watched"), "builtin", WhenTaken.MOVE, only_new=False)
        (folder,) = journal.folders()

        async def scenario(app: ShoeboxApp, pilot: Pilot[Any]) -> None:
            await pilot.press("ctrl+l")
            await shown(app, pilot)
            await pilot.press("f8")
            journal.switch_off(folder.id)
            assert "not watched" in await shown(app, pilot)
            await pilot.press("f8")

        requests = drive(settings, scenario).requests
    assert [one for one in requests if isinstance(one, UnwatchFolder | WatchFolder)] == [
        UnwatchFolder("/watched"),
        WatchFolder("/watched", move_taken=True),
    ]


def test_a_folder_is_chosen_with_its_options(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "scans"
    (folder / "below").mkdir(parents=True)
    (folder / "a.txt").touch()

    async def scenario(app: ShoeboxApp, pilot: Pilot[Any]) -> None:
        Picker.last_folder = folder
        await pilot.press("ctrl+l", "f2")
        picker = app.screen
        assert isinstance(picker, FolderPicker)
        await finished(app, pilot, "folder")
        await pilot.press("ctrl+n")
        await pilot.pause()
        assert isinstance(app.screen, Options)
        app.screen.query_one("#move", Checkbox).value = True
        await pilot.press("enter")
        await pilot.pause()

    requests = drive(settings, scenario).requests
    assert [one for one in requests if isinstance(one, WatchFolder)] == [
        WatchFolder(str(folder), move_taken=True)
    ]


def test_escape_watches_nothing(settings: Settings, tmp_path: Path) -> None:
    async def scenario(app: ShoeboxApp, pilot: Pilot[Any]) -> None:
        Picker.last_folder = tmp_path
        await pilot.press("ctrl+l", "f2")
        await finished(app, pilot, "folder")
        await pilot.press("ctrl+n")
        await pilot.pause()
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(app.screen, WatchScreen)
        await pilot.press("escape")
        await pilot.pause()
        assert not isinstance(app.screen, WatchScreen)

    assert not [one for one in drive(settings, scenario).requests if isinstance(one, WatchFolder)]
