"""Files arrive in the terminal UI: dropped, typed, completed, picked; nothing that arrives triggers a key."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
from textual import events, work
from textual._xterm_parser import XTermParser
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.drivers import linux_driver
from textual.pilot import Pilot
from textual.widgets import Button, DataTable, Input

from app import intake
from app.dropped import parse_dropped
from app.requests import AddFiles
from app.tui import arrival
from app.tui.any_bytes import accept_any_bytes
from app.tui.app import ShoeboxApp
from app.tui.arrival import choose
from app.tui.screens.confirm import Confirm
from app.tui.screens.picker import Picker
from app.tui.widgets.file_list import FileList
from app.tui.widgets.path_input import PathInput
from tasks.settings import Settings
from tests.test_dropped import ANY_NAME, HOSTILE_NAMES, in_single_quotes
from tests.tui import RecordingClerk, until
from tests.tui import drive as drive_application

SCREEN_KEYS = ["enter", "space", "delete", "escape", "left", "right", "up", "down", "pageup", "pagedown"]
SCREEN_KEYS += ["home", "end", "ctrl+home", "ctrl+end", "tab", "backspace", "ctrl+d", "shift+up"]


class Host(App[None]):
    """Offers what the widgets need of the application, and notes what they do with it."""

    BINDINGS: ClassVar = [Binding(key, f"pressed('{key}')") for key in [*SCREEN_KEYS, "q", "d", "slash"]]

    def __init__(self) -> None:
        super().__init__()
        self.pressed: list[str] = []
        self.texts: list[str] = []
        self.taken: list[Path] = []
        self.said: list[str] = []
        self.answers: list[Any] = []

    def compose(self) -> ComposeResult:
        yield DataTable()
        yield Button("x")
        yield Input(id="other")
        yield PathInput()

    def on_mount(self) -> None:
        # The screen has a binding of its own for Tab.
        self.screen._bindings.key_to_bindings.pop("tab", None)

    @property
    def paths(self) -> PathInput:
        return self.screen.query_one(PathInput)

    def action_pressed(self, key: str) -> None:
        self.pressed.append(key)

    def take_text(self, text: str) -> None:
        self.texts.append(text)

    def take_paths(self, paths: Sequence[Path]) -> None:
        self.taken += paths

    def say(self, message: str, **_: object) -> None:
        self.said.append(message)

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key):
            PathInput.before_key(self.screen, event)
        await super().on_event(event)

    def on_paste(self, event: events.Paste) -> None:
        self.take_text(event.text)

    @work
    async def answer_of(self, asked: Awaitable[object]) -> None:
        self.answers.append(await asked)


Scenario = Callable[[Host, Pilot[None]], Awaitable[None]]


def drive(scenario: Scenario, size: tuple[int, int] = (80, 24)) -> Host:
    """Run the host for as long as the scenario takes."""
    app = Host()

    async def run() -> None:
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await scenario(app, pilot)

    asyncio.run(run())
    return app


def send(app: App[None], data: str) -> None:
    """What a terminal sends, all at once, through Textual's own parser."""
    assert app._driver is not None
    for event in XTermParser().feed(data):
        app._driver.process_message(event)


def paste(app: App[None], text: str) -> None:
    """A bracketed paste."""
    send(app, f"\x1b[200~{text}\x1b[201~")


def shown(app: Host) -> str:
    """What is on the screen."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Files with hostile names."""
    paths = [tmp_path / name for name in HOSTILE_NAMES]
    for path in paths:
        path.touch()
    return paths


# Dropped


@pytest.mark.parametrize("focus", [PathInput, DataTable, Button, None])
def test_a_drop_arrives_whole_in_each_form_wherever_the_focus_is(
    files: list[Path], focus: type | None
) -> None:
    # A real terminal sends no ESC in a paste.
    names = [str(path) for path in files if "\x1b" not in path.name]
    sent = [form(names) for form in ANY_NAME] + [form([name]) for form in ANY_NAME for name in names]

    async def scenario(app: Host, pilot: Pilot[None]) -> None:
        app.screen.set_focus(None if focus is None else app.query_one(focus))
        for text in sent:
            paste(app, text)
        await until(pilot, lambda: len(app.texts) == len(sent))

    app = drive(scenario)
    assert sorted(app.texts) == sorted(sent)
    assert {path for text in app.texts for path in parse_dropped(text).paths} == {
        Path(name) for name in names
    }
    assert app.pressed == []
    assert app.said == []


@pytest.mark.parametrize("focus", [PathInput, DataTable, Button, None])
def test_a_typed_drop_loses_no_key_and_triggers_none(tmp_path: Path, focus: type | None) -> None:
    names = ["q d b.pdf", "it's.pdf", "\u202f wide\u3000 \u200d🧾.pdf"]
    paths = [tmp_path / name for name in names]
    for path in paths:
        path.touch()
    typed = in_single_quotes(list(map(str, paths)))

    async def scenario(app: Host, pilot: Pilot[None]) -> None:
        app.screen.set_focus(None if focus is None else app.query_one(focus))
        send(app, typed)
        await until(pilot, lambda: len(app.paths.value) >= len(typed))
        assert app.paths.value == typed
        await until(pilot, lambda: app.paths.hint == "3 files; Enter takes them")
        assert app.pressed == []
        await pilot.press("enter")
        await until(pilot, lambda: app.taken)
        assert app.paths.value == ""

    app = drive(scenario)
    assert app.taken == paths
    assert app.pressed == []


def test_what_is_typed_into_another_input_stays_there() -> None:
    async def scenario(app: Host, pilot: Pilot[None]) -> None:
        app.query_one("#other").focus()
        await pilot.pause()
        send(app, "/h/a b")
        await until(pilot, lambda: app.query_one("#other", Input).value == "/h/a b")
        assert app.paths.value == ""

    drive(scenario)


def test_half_a_path_can_be_pasted_and_mended(tmp_path: Path) -> None:
    (tmp_path / "a b.pdf").touch()

    async def scenario(app: Host, pilot: Pilot[None]) -> None:
        app.paths.focus()
        paste(app, f"{tmp_path}/a b.pd")
        await until(pilot, lambda: app.said)
        assert app.paths.value == f"{tmp_path}/a b.pd"
        paste(app, "f")
        await until(pilot, lambda: app.paths.hint)
        await pilot.press("enter")
        await until(pilot, lambda: app.taken)

    app = drive(scenario)
    assert app.said == [f"not found: {tmp_path}/a b.pd"]
    assert app.taken == [tmp_path / "a b.pdf"]


def test_prose_that_is_pasted_is_handed_on_and_not_typed() -> None:
    async def scenario(app: Host, pilot: Pilot[None]) -> None:
        app.paths.focus()
        paste(app, "two\nlines")
        paste(app, "x" * 5000)
        await until(pilot, lambda: len(app.texts) == 2)
        assert app.paths.value == ""

    drive(scenario)


def test_the_application_takes_in_what_is_dropped(
    settings: Settings, files: list[Path], tmp_path: Path
) -> None:
    names = tuple(str(path) for path in files if "\x1b" not in path.name)
    plain = tmp_path / "q space.pdf"
    plain.touch()

    async def scenario(app: ShoeboxApp, pilot: Pilot[None]) -> None:
        def added() -> list[AddFiles]:
            return [request for request in clerk.requests if isinstance(request, AddFiles)]

        clerk = cast(RecordingClerk, app.clerk)
        app.screen.set_focus(None)
        send(app, in_single_quotes([str(plain)]))
        await until(pilot, lambda: app.screen.query_one(PathInput).hint)
        await pilot.press("enter")
        await until(pilot, lambda: len(added()) == 1)
        paste(app, in_single_quotes(names))
        await until(pilot, lambda: len(added()) == 2)
        paste(app, f"{tmp_path}\n/h/gone")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.press("right", "enter")
        await until(pilot, lambda: len(added()) == 3)
        assert [request.paths for request in added()] == [(str(plain),), names, (str(tmp_path),)]

    drive_application(settings, scenario)


def test_bytes_that_are_not_utf_8_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linux_driver, "getincrementaldecoder", linux_driver.getincrementaldecoder)
    accept_any_bytes()
    # The name that Textual's driver looks up when it starts to read.
    assert "getincrementaldecoder" in linux_driver.LinuxDriver.run_input_thread.__code__.co_names
    decoder = linux_driver.getincrementaldecoder("utf-8")()
    assert decoder.decode(b"/h/\xe4\xc3") + decoder.decode(b"\xa4") == "/h/\udce4ä"


# Keys


def test_an_empty_input_leaves_all_keys_to_the_screen() -> None:
    async def scenario(app: Host, pilot: Pilot[None]) -> None:
        app.paths.focus()
        await pilot.press(*SCREEN_KEYS)

    assert drive(scenario).pressed == SCREEN_KEYS


def test_an_input_with_text_has_its_keys() -> None:
    async def scenario(app: Host, pilot: Pilot[None]) -> None:
        app.paths.focus()
        await pilot.press("a", "space", "b", "left", "delete", "home", "right", "backspace")
        assert app.paths.value == " "
        await pilot.press("x", "up", "pagedown", "ctrl+end", "escape")
        assert app.paths.value == ""
        await pilot.press("escape")

    assert drive(scenario).pressed == ["up", "pagedown", "ctrl+end", "escape"]


def test_what_is_not_there_is_said_and_stays(tmp_path: Path) -> None:
    (tmp_path / "a b.pdf").touch()

    async def scenario(app: Host, pilot: Pilot[None]) -> None:
        app.paths.focus()
        send(app, "/no[/such]")
        await pilot.press("enter")
        await until(pilot, lambda: app.said)
        assert app.paths.value == "/no[/such]"
        app.paths.value = f"'{tmp_path}/a b.pdf' /gone 'and this'"
        await pilot.press("enter")
        await until(pilot, lambda: len(app.said) == 2)
        assert app.taken == []
        app.paths.value = f"'{tmp_path}/a b.pdf' '/go ne'"
        await until(pilot, lambda: app.paths.hint == "1 file; 1 not found")
        await pilot.press("enter")
        await until(pilot, lambda: app.taken)
        await until(pilot, lambda: app.paths.value == "'/go ne'")

    app = drive(scenario)
    assert app.said[0] == "not found: /no[/such]"
    assert app.said[2] == "not found: /go ne"
    assert app.taken == [tmp_path / "a b.pdf"]


def test_a_typed_path_may_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)

    async def scenario(app: Host, pilot: Pilot[None]) -> None:
        app.paths.focus()
        send(app, "sub")
        await until(pilot, lambda: app.paths.hint == "1 folder; Enter takes it")
        await pilot.press("enter")
        await until(pilot, lambda: app.taken)

    assert drive(scenario).taken == [tmp_path / "sub"]


def test_nothing_in_the_input_acts_on_the_terminal() -> None:
    text = "/h/[@click=app.quit]\x1b]0;owned\x07\x9b31m\u202e\udcff\t\n書類 x"

    async def scenario(app: Host, pilot: Pilot[None]) -> None:
        app.paths.focus()
        app.paths.value = text
        await pilot.press("end", "ctrl+shift+a", "ctrl+c")
        line = next(line for line in shown(app).splitlines() if "/h/" in line)
        assert "[@click=app.quit]�]0;owned��31m����書類 x" in line
        assert app.paths.value == text
        assert "\udcff" not in app.clipboard

    drive(scenario)


# Completion


def test_names_are_completed_as_far_as_they_are_clear(tmp_path: Path) -> None:
    for name in ("Invoice 1.pdf", "Invoice 2.pdf", "other.pdf", ".hidden", "esc\x1b.pdf"):
        (tmp_path / name).touch()
    (tmp_path / "Sub").mkdir()

    async def scenario(app: Host, pilot: Pilot[None]) -> None:
        app.paths.focus()

        async def completed(typed: str, key: str = "tab") -> str:
            app.paths.value = f"{tmp_path}/{typed}"
            app.paths.cursor_position = len(app.paths.value)
            await pilot.press(key)
            await app.workers.wait_for_complete()
            return app.paths.value.removeprefix(f"{tmp_path}/")

        assert await completed("In") == "Invoice "
        assert await completed("Invoice ") == "Invoice "
        assert app.paths.hint == "2 names begin so"
        assert await completed("oth") == "other.pdf"
        assert await completed("OTH") == "other.pdf"
        assert await completed("S") == "Sub/"
        assert await completed(".h") == ".hidden"
        assert await completed("h") == "h"
        assert await completed("esc") == "esc"
        assert await completed("none/x") == "none/x"
        assert await completed("\udcff\0") == "\udcff\0"
        app.paths.value = "~\0\ud800/x"
        await pilot.press("tab")
        await app.workers.wait_for_complete()

        app.paths.value = f"{tmp_path}/inv"
        app.paths.cursor_position = len(app.paths.value)
        await until(pilot, lambda: "oice 1.pdf" in shown(app))
        await pilot.press("right")
        assert app.paths.value == f"{tmp_path}/Invoice 1.pdf"

    drive(scenario, size=(200, 30))  # wide enough for the folder of any test run


def test_home_is_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.pdf").touch()

    async def scenario(app: Host, pilot: Pilot[None]) -> None:
        app.paths.focus()
        send(app, "~")
        await pilot.press("tab")
        await until(pilot, lambda: app.paths.value == "~/")
        await pilot.press("tab")
        await until(pilot, lambda: app.paths.value == "~/a.pdf")
        await pilot.press("enter")
        await until(pilot, lambda: app.taken)

    assert drive(scenario).taken == [tmp_path / "a.pdf"]


# The question


def ask(app: Host, confirm: Confirm) -> None:
    app.push_screen(confirm, app.answers.append)


@pytest.mark.parametrize(
    ("keys", "answer"),
    [
        (["enter"], False),
        (["escape"], False),
        (["right", "enter"], True),
        (["tab", "enter"], True),
        (["down", "up", "enter"], False),
        (["y"], None),
        (["space"], None),
    ],
)
def test_a_question_is_answered_by_keys_of_which_none_is_a_letter(
    keys: list[str], answer: bool | None
) -> None:
    async def scenario(app: Host, pilot: Pilot[None]) -> None:
        ask(app, Confirm("Forget 3 documents?", "The files stay."))
        await pilot.pause()
        await pilot.press(*keys)
        await pilot.pause()

    assert drive(scenario).answers == ([] if answer is None else [answer])


def test_a_drop_answers_no_question() -> None:
    async def scenario(app: Host, pilot: Pilot[None]) -> None:
        ask(app, Confirm("Forget 3 documents?"))
        await pilot.pause()
        send(app, "'/h/q y n.pdf' '/h/it'\\''s.pdf' ")
        paste(app, "'/h/a b.pdf' ")
        await until(pilot, lambda: app.texts)
        assert isinstance(app.screen, Confirm)

    app = drive(scenario)
    assert app.texts == ["'/h/a b.pdf' "]
    assert app.answers == app.pressed == []


def test_a_question_with_hostile_names_fits_a_small_terminal() -> None:
    names = [*HOSTILE_NAMES[:12], "long " + "x" * 100_000]

    async def scenario(app: Host, pilot: Pilot[None]) -> None:
        ask(
            app,
            Confirm(
                "Forget " + "[/]" + "y" * 300 + "?", "No\nfile\nis\ntouched.", yes="[b]Forget", items=names
            ),
        )
        await pilot.pause()
        text = shown(app)
        assert "[b]Forget" in text
        assert "\x1b" not in text
        assert "and 3 more" in text or app.screen.query_one("#confirm-text").max_scroll_y
        await pilot.click("#yes")
        await until(pilot, lambda: app.answers)

    assert drive(scenario).answers == [True]


# Folders


def choosing(paths: Sequence[Path], *keys: str) -> tuple[Host, str]:
    """Choose, with these keys as the answer. Returns also what was asked."""
    asked = ""

    async def scenario(app: Host, pilot: Pilot[None]) -> None:
        nonlocal asked
        app.answer_of(choose(app, paths))  # type: ignore[arg-type]
        if keys:
            await until(pilot, lambda: isinstance(app.screen, Confirm) and app.focused)
            await pilot.pause()
            asked = shown(app)
            await pilot.press(*keys)
        await until(pilot, lambda: app.answers)

    return drive(scenario), asked


def test_files_are_taken_without_a_question(files: list[Path], tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    app, _ = choosing([*files, gone])
    assert app.answers == [(*map(str, files), str(gone))]


def test_folders_are_asked_about_once_with_what_they_hold(tmp_path: Path) -> None:
    for name in ("one/a.pdf", "one/deep/b.pdf", "one/.hidden", "one/c.tmp", "[bold]two/d.pdf", "beside.pdf"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "one" / "loop").symlink_to(tmp_path / "one")
    os.mkfifo(tmp_path / "one" / "pipe")
    paths = [tmp_path / "one", tmp_path / "beside.pdf", tmp_path / "[bold]two"]

    app, asked = choosing(paths, "right", "enter")
    assert app.answers == [tuple(map(str, paths))]
    assert "Take in 3 files from 2 folders?" in asked
    assert "[bold]two" in asked
    assert "2 hidden, temporary or system files are left out." in asked
    assert "1 symbolic link is not followed." in asked
    assert "1 device or pipe is left out." in asked
    assert "1 file beside them" in asked

    app, _ = choosing(paths, "enter")
    assert app.answers == [(str(tmp_path / "beside.pdf"),)]


def test_an_empty_folder_is_said_and_not_asked_about(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / ".x").touch()
    app, _ = choosing([tmp_path / "empty"])
    assert app.answers == [()]
    assert app.said == ["No files in 1 folder.\n1 hidden, temporary or system file is left out."]


def test_counting_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrival, "_MOST_COUNTED", 5)
    for number in range(9):
        (tmp_path / f"{number}.pdf").touch()
    app, asked = choosing([tmp_path], "right", "enter")
    assert "Take in more than 5 files from 1 folder?" in asked
    assert app.answers == [(str(tmp_path),)]


def test_an_unreadable_folder_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "locked").mkdir()
    (tmp_path / "a.pdf").touch()
    scandir = os.scandir

    def refusing(folder: Path) -> Any:
        if Path(folder).name == "locked":
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(intake.os, "scandir", refusing)
    _, asked = choosing([tmp_path], "enter")
    assert "1 folder cannot be opened." in asked


def test_folders_may_be_nested_deeper_than_python_calls(tmp_path: Path) -> None:
    folder = tmp_path
    for _ in range(1200):
        folder /= "d"
        folder.mkdir()
    file = folder / "x.pdf"
    file.touch()
    try:
        assert list(intake.find_files([tmp_path])) == [file]
    finally:
        file.unlink()
        os.removedirs(folder)  # pytest's own way of removing it is recursive


# The picker


def picking(start: Path | None, scenario: Scenario) -> Host:
    """Open a picker and do something with it."""

    async def run(app: Host, pilot: Pilot[None]) -> None:
        app.push_screen(Picker(start), app.answers.append)
        await until(pilot, lambda: isinstance(app.screen, Picker) and app.screen._folder)
        await scenario(app, pilot)

    return drive(run)


def names_in(app: Host) -> list[str]:
    return [entry.path.name for entry in app.screen.query_one(FileList)._entries]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a invoice.pdf", "b.pdf", "c Invoice.pdf", ".hidden.pdf"):
        (tmp_path / name).write_text("12345")
    for name in ("Sub", "zub"):
        (tmp_path / name).mkdir()
    (tmp_path / "Sub" / "inside.pdf").touch()
    (tmp_path / "dead").symlink_to(tmp_path / "nowhere")
    return tmp_path


def test_a_file_is_picked(folder: Path) -> None:
    async def scenario(app: Host, pilot: Pilot[None]) -> None:
        assert names_in(app) == ["Sub", "zub", "a invoice.pdf", "b.pdf", "c Invoice.pdf"]
        await pilot.press("enter")
        await until(pilot, lambda: names_in(app) == ["inside.pdf"])
        await pilot.press("enter")

    assert picking(folder, scenario).answers == [(folder / "Sub" / "inside.pdf",)]
    # The next one starts where files were taken.
    assert picking(None, lambda app, pilot: pilot.press("enter")).answers == [
        (folder / "Sub" / "inside.pdf",)
    ]


def test_several_are_marked_and_taken_together(folder: Path) -> None:
    async def scenario(app: Host, pilot: Pilot[None]) -> None:
        await pilot.press("down", "space", "space", "space", "up", "space")
        await until(pilot, lambda: "2 marked" in shown(app))
        await pilot.press("ctrl+n")

    assert picking(folder, scenario).answers == [(folder / "a invoice.pdf", folder / "zub")]


def test_typing_narrows_the_list_and_triggers_nothing(folder: Path) -> None:
    async def scenario(app: Host, pilot: Pilot[None]) -> None:
        send(app, "cinv")
        await until(pilot, lambda: names_in(app) == ["c Invoice.pdf"])
        await pilot.press("backspace", "backspace", "backspace", "backspace")
        assert len(names_in(app)) == 5
        send(app, "'/h/a b.pdf' ")
        await until(pilot, lambda: names_in(app) == [])
        await pilot.press("enter", "space", "right")
        assert "no such name" in shown(app)
        assert app.answers == []
        await pilot.press("escape")
        assert len(names_in(app)) == 5
        await pilot.press("escape")

    assert picking(folder, scenario).answers == [()]


def test_going_up_leaves_the_cursor_where_it_came_from(folder: Path) -> None:
    async def scenario(app: Host, pilot: Pilot[None]) -> None:
        for key in ("left", "backspace"):
            await until(pilot, lambda: names_in(app) == [])
            await pilot.press(key)
            await until(pilot, lambda: names_in(app))
            current = app.screen.query_one(FileList).current
            assert current is not None
            assert current.path == folder / "zub"
            await pilot.press("right")

    picking(folder / "zub", scenario)


def test_hidden_files_are_shown_when_asked(folder: Path) -> None:
    async def scenario(app: Host, pilot: Pilot[None]) -> None:
        await pilot.press("ctrl+r")
        assert ".hidden.pdf" in names_in(app)
        await pilot.press("ctrl+r")
        assert ".hidden.pdf" not in names_in(app)

    picking(folder, scenario)


def test_hostile_names_are_shown_plain_and_come_back_whole(files: list[Path], tmp_path: Path) -> None:
    async def scenario(app: Host, pilot: Pilot[None]) -> None:
        text = shown(app)
        assert "\\x1b[31m" in text
        assert "[@click=app.quit]x.pdf" in text
        await pilot.press("ctrl+r", "home", *["space"] * len(files), "ctrl+n")

    assert set(picking(tmp_path, scenario).answers[0]) == set(files)


def test_the_picker_works_with_the_mouse(folder: Path) -> None:
    async def scenario(app: Host, pilot: Pilot[None]) -> None:
        await pilot.click(FileList, offset=(0, 3))
        await until(pilot, lambda: "1 marked" in shown(app))
        await pilot.click(FileList, offset=(6, 0))
        await pilot.click(FileList, offset=(6, 0))
        await until(pilot, lambda: names_in(app) == ["inside.pdf"])
        await pilot.click("#picker-up")
        await until(pilot, lambda: "b.pdf" in names_in(app))
        await pilot.click("#picker-take")
        await until(pilot, lambda: app.answers)

    assert picking(folder, scenario).answers == [(folder / "b.pdf",)]


def test_a_folder_that_cannot_be_read_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))

    async def scenario(app: Host, pilot: Pilot[None]) -> None:
        assert "b.pdf" in names_in(app)  # home, as the folder to start in is not there
        (folder / "Sub" / "inside.pdf").unlink()
        (folder / "Sub").rmdir()
        await pilot.press("enter")
        await until(pilot, lambda: "Sub cannot be opened: No such file" in shown(app))
        assert "b.pdf" in names_in(app)

    picking(folder / "gone", scenario)
