"""The Watch screen: which folders are watched, and what was not taken from them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from textual import work
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from app.requests import UnwatchFolder, WatchFolder
from app.tui.screens.looking import LookingScreen
from app.tui.screens.options import Options
from app.tui.screens.picker import FolderPicker
from app.tui.text import plain
from app.tui.widgets.section import Section
from app.watch.journal import FileState, Journal, WatchedFile, WatchedFolder, journal_path
from app.watch.lock import watcher_runs
from app.watch.words import count_words, file_line, how_watched
from tasks.settings import Settings

_MOST_FILES = 200
_LATEST = 20
_OPTIONS = {
    "move": "Move taken files to its subfolder Taken",
    "only-new": "Leave alone what is there already",
}


@dataclass(frozen=True, slots=True)
class WatchLook:
    """What the journal says."""

    folders: tuple[WatchedFolder, ...] = ()
    runs: bool = False
    """Whether there is a watcher."""
    counts: Mapping[int, Mapping[FileState, int]] | None = None
    for_attention: tuple[WatchedFile, ...] = ()
    latest: tuple[WatchedFile, ...] = ()


class WatchScreen(LookingScreen[WatchLook]):
    """Watched folders and their files."""

    NAME = "Watch"
    HELP = """\
Files that are put into a watched folder are taken in by themselves, once they have come to rest: their size
and times have not changed for a while, no program writes them, and their end is there.

Folders are watched in the background, also when this UI is closed. What came meanwhile is caught up."""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f2", "add", "Watch a folder", id="watch.add", tooltip="Choose a folder and watch it."),
        Binding(
            "f8",
            "switch",
            "On/off",
            id="watch.switch",
            tooltip="Watch this folder no longer, or again. Nothing is lost.",
        ),
        Binding("escape", "app.pop_screen", "Back", id="watch.back", tooltip="Back to where you were."),
    ]
    DEFAULT_CSS = """
    WatchScreen {
        VerticalScroll { padding: 1 2 0 2; }
        OptionList { height: auto; max-height: 50%; padding: 0; margin: 0 0 1 0; }
        OptionList, OptionList:focus { border: none; }
    }
    """

    def body(self) -> Iterable[Widget]:
        """The folders to choose from, and the files below."""
        with VerticalScroll():
            yield Section("Watched folders")
            yield OptionList(id="folders", markup=False)
            yield Section("Not taken")
            yield Section("Taken last")

    def on_mount(self) -> None:
        """The arrow keys choose a folder."""
        self.query_one(OptionList).focus()
        self.begin_looking()

    def read(self, settings: Settings) -> WatchLook:
        """What the journal says; looking makes none."""
        if not journal_path(settings).exists():
            return WatchLook()
        with Journal.open(settings) as journal:
            folders = tuple(journal.folders())
            return WatchLook(
                folders=folders,
                runs=watcher_runs(settings),
                counts={folder.id: journal.counts(folder.id) for folder in folders},
                for_attention=tuple(journal.for_attention()),
                latest=tuple(journal.latest_entered(_LATEST)),
            )

    def show(self, look: WatchLook) -> None:
        """The folders, then the files."""
        self._show_folders(look)
        heading, not_taken, taken = self.query(Section)
        heading.show(
            [] if look.folders else [Content("None yet. F2 chooses one; files that are put there are taken.")]
        )
        not_taken.display = bool(look.for_attention)
        not_taken.show(_file_lines(look.for_attention))
        taken.display = bool(look.latest)
        taken.show(_file_lines(look.latest))

    def _show_folders(self, look: WatchLook) -> None:
        folders = self.query_one(OptionList)
        at = folders.highlighted
        folders.clear_options()
        counts = look.counts or {}
        folders.add_options(
            Option(_folder_text(folder, look.runs, counts.get(folder.id, {})), id=str(folder.id))
            for folder in look.folders
        )
        folders.display = bool(look.folders)
        if look.folders:
            folders.highlighted = min(at or 0, len(look.folders) - 1)

    @property
    def _current(self) -> WatchedFolder | None:
        at = self.query_one(OptionList).highlighted
        return None if self.look is None or at is None else self.look.folders[at]

    @work(group="watch-add", exclusive=True, exit_on_error=False)
    async def action_add(self) -> None:
        """Choose a folder and how to watch it."""
        chosen = await self.app.push_screen_wait(FolderPicker("Watch"))
        if not chosen:
            return
        (folder,) = chosen
        ticked = await self.app.push_screen_wait(
            Options(f"Watch {folder} and the folders below it?", _OPTIONS, yes="Watch")
        )
        if ticked is not None:
            self.shell.ask(
                WatchFolder(str(folder), move_taken="move" in ticked, only_new="only-new" in ticked)
            )

    def action_switch(self) -> None:
        """Watch the folder no longer, or again as it was."""
        folder = self._current
        if folder is None:
            self.shell.say("No folder is watched; F2 chooses one.")
        elif folder.is_on:
            self.shell.ask(UnwatchFolder(str(folder.path)))
        else:
            self.shell.ask(WatchFolder(str(folder.path), move_taken=folder.moves_taken))


def _folder_text(folder: WatchedFolder, runs: bool, counts: Mapping[FileState, int]) -> Content:
    lines = [
        plain(str(folder.path), "bold"),
        plain(f"  {how_watched(folder, runs)}", "" if folder.is_on else "dim"),
    ]
    if folder.problem:
        lines.append(plain(f"  Problem: {folder.problem}", "$text-warning bold"))
    lines.append(plain(f"  {count_words(counts) or 'no files seen'}", "dim"))
    return Content("\n").join(lines)


def _file_lines(files: tuple[WatchedFile, ...]) -> list[Content]:
    lines = [plain(file_line(file)) for file in files[:_MOST_FILES]]
    if len(files) > _MOST_FILES:
        lines.append(plain(f"and {len(files) - _MOST_FILES:,} more; ./run.sh watch lists all"))
    return lines
