"""Choosing files with the keyboard or the mouse."""

from pathlib import Path
from typing import ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from app.folders import Entry, entries_of
from app.tui.background import in_background
from app.tui.text import plain
from app.tui.widgets.file_list import FileList


class Picker(ModalScreen[tuple[Path, ...]]):
    """Lists a folder. Gives the chosen paths; none when the user goes away."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter", "choose", "Open", id="picker.open", tooltip="Open the folder, or take what is chosen."
        ),
        Binding(
            "space", "mark", "Mark", id="picker.mark", tooltip="Mark it; marked ones are taken together."
        ),
        Binding("ctrl+n", "take", "Take in", id="picker.take", tooltip="Take the marked, else this one."),
        Binding("left", "up", "Up", id="picker.up", tooltip="Go to the folder above."),
        Binding("right", "open", "Open", id="picker.into", show=False, tooltip="Open the folder."),
        Binding(
            "backspace", "erase", id="picker.erase", show=False, tooltip="Erase what is typed, or go up."
        ),
        Binding("ctrl+r", "hidden", id="picker.hidden", show=False, tooltip="Show hidden files, or not."),
        Binding("escape", "leave", id="picker.leave", show=False, tooltip="Choose nothing."),
    ]
    DEFAULT_CSS = """
    Picker {
        align: center middle;
        & > Vertical {
            width: 100; max-width: 100%; height: 90%;
            background: $panel; border: round $primary; padding: 0 1;
        }
        Static { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
        #picker-folder { text-style: bold; }
        #picker-keys { color: $text-muted; }
        Horizontal { height: 1; }
        #picker-status { width: 1fr; }
        Button { margin: 0 0 0 1; min-width: 8; }
    }
    """
    KEYS: ClassVar[str] = "Enter opens or takes · Space marks · Ctrl+N takes · ← up · Ctrl+R hidden"
    last_folder: ClassVar[Path | None] = None
    """Where files were chosen last; the next picker starts there."""

    def __init__(self, start: Path | None = None) -> None:
        super().__init__()
        self._start = start or Picker.last_folder or Path.home()
        self._folder: Path | None = None
        self._entries: list[Entry] = []
        self._marked: frozenset[Path] = frozenset()
        self._typed = ""
        self._shows_hidden = False
        self.verb = "Take in"
        """What is done with what is chosen."""

    def compose(self) -> ComposeResult:
        """Where we are, what is there, what is typed and marked."""
        with Vertical():
            yield Static(id="picker-folder")
            yield FileList()
            with Horizontal():
                yield Static(id="picker-status")
                yield Button(plain("Up"), id="picker-up", compact=True)
                yield Button(plain(self.verb), id="picker-take", compact=True, variant="primary")
                yield Button(plain("Close"), id="picker-close", compact=True)
            yield Static(plain(self.KEYS), id="picker-keys")

    def on_mount(self) -> None:
        """List the folder."""
        self.query_one(FileList).focus()
        self._enter(self._start)

    def is_listed(self, entry: Entry) -> bool:  # noqa: ARG002 - for those who list less
        """Whether this is something to choose or to open."""
        return True

    @property
    def chosen(self) -> tuple[Path, ...]:
        """What would be taken: the marked, else what is under the cursor."""
        current = self.query_one(FileList).current
        if self._marked or current is None:
            return tuple(sorted(self._marked))
        return (current.path,)

    # Folders

    @work(group="folder", exclusive=True, exit_on_error=False)
    async def _enter(self, folder: Path, at: Path | None = None) -> None:
        """Go to a folder, with the cursor on `at`. One that cannot be read is said, and not entered."""
        self._say(f"Reading {folder.name or folder} …")
        try:
            entries = await in_background(lambda: entries_of(folder))
        except OSError as error:
            if self._folder is None and folder != Path.home():
                self._enter(Path.home())
            else:
                self._say(f"{folder.name or folder} cannot be opened: {error.strerror}")
            return
        self._entries = [entry for entry in entries if self.is_listed(entry)]
        self._folder = folder
        self._typed = ""
        shown = self.query_one("#picker-folder", Static)
        shown.update(plain(_end_of(str(folder), shown.size.width)))
        self._show(at)

    def _show(self, at: Path | None = None) -> None:
        self.query_one(FileList).show(
            [
                entry
                for entry in self._entries
                if (self._shows_hidden or not entry.is_hidden) and entry.matches(self._typed.casefold())
            ],
            at,
        )
        self._show_status()

    def _show_status(self) -> None:
        files = self.query_one(FileList)
        files.show_marks(self._marked)
        parts = [f"{len(self._marked):,} marked"] if self._marked else []
        if self._typed:
            parts.append(f"only names with “{self._typed}”")
        if files.current is None:
            parts.append("no such name" if self._typed else "nothing here")
        self._say(" · ".join(parts) or "Type to see fewer names")

    def _say(self, text: str) -> None:
        self.query_one("#picker-status", Static).update(plain(text))

    # Keys and mouse

    def on_key(self, event: events.Key) -> None:
        """Letters narrow the list; none is a command."""
        if event.is_printable and event.character not in (None, " "):
            event.stop()
            self._narrow(self._typed + (event.character or ""))

    def _narrow(self, typed: str) -> None:
        current = self.query_one(FileList).current
        self._typed = typed
        self._show(current.path if current else None)

    @on(FileList.Chosen)
    def _clicked(self) -> None:
        self.action_choose()

    @on(FileList.MarkWanted)
    def _mark_clicked(self, message: FileList.MarkWanted) -> None:
        self._mark(message.entry)

    def action_take(self) -> None:
        """Take the marked, else what is under the cursor."""
        if self.chosen:
            Picker.last_folder = self._folder
            self.dismiss(self.chosen)

    @on(Button.Pressed, "#picker-close")
    def _close(self) -> None:
        self.dismiss(())

    @on(Button.Pressed, "#picker-up")
    def _up_clicked(self) -> None:
        self.action_up()

    @on(Button.Pressed, "#picker-take")
    def _take_clicked(self) -> None:
        self.action_take()

    def action_choose(self) -> None:
        """Open the folder under the cursor; else take what is chosen."""
        current = self.query_one(FileList).current
        if current is not None and current.is_folder:
            self._enter(current.path)
        elif current is not None or self._marked:
            self.action_take()

    def action_open(self) -> None:
        """Open the folder under the cursor."""
        current = self.query_one(FileList).current
        if current is not None and current.is_folder:
            self._enter(current.path)

    def action_up(self) -> None:
        """Go to the folder above, with the cursor on the one we come from."""
        if self._folder is not None and self._folder.parent != self._folder:
            self._enter(self._folder.parent, self._folder)

    def action_erase(self) -> None:
        """Erase a character of what is typed; if there is none, go up."""
        if self._typed:
            self._narrow(self._typed[:-1])
        else:
            self.action_up()

    def action_mark(self) -> None:
        """Mark what is under the cursor, or take its mark away, and go on."""
        files = self.query_one(FileList)
        if files.current is not None:
            self._mark(files.current)
            files.action_move(1)

    def _mark(self, entry: Entry) -> None:
        self._marked ^= {entry.path}
        self._show_status()

    def action_hidden(self) -> None:
        """Show hidden files, or no longer."""
        self._shows_hidden = not self._shows_hidden
        current = self.query_one(FileList).current
        self._show(current.path if current else None)

    def action_leave(self) -> None:
        """Show all names again; if they are shown, choose nothing."""
        if self._typed:
            self._narrow("")
        else:
            self.dismiss(())


class FolderPicker(Picker):
    """Lists folders only. Gives the folder that is open when the user chooses."""

    KEYS = "Enter opens · Ctrl+N chooses the open folder · ← up · Ctrl+R hidden"

    def __init__(self, verb: str) -> None:
        super().__init__()
        self.verb = verb

    def is_listed(self, entry: Entry) -> bool:
        """Only what can be opened."""
        return entry.is_folder

    @property
    def chosen(self) -> tuple[Path, ...]:
        """The open folder."""
        return () if self._folder is None else (self._folder,)

    def action_mark(self) -> None:
        """Nothing is marked here: one folder is chosen, the open one."""


def _end_of(text: str, width: int) -> str:
    """The end of a path says more than its beginning."""
    return text if len(text) <= width else "…" + text[max(0, len(text) - width + 1) :]
