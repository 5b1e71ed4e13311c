"""Where to export to."""

from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from app.dropped import expanded
from app.plain_text import visible
from app.tui.background import in_background
from app.tui.screens.confirm import Confirm
from app.tui.text import plain
from app.tui.widgets.plain_input import PlainInput

ENDINGS = (".csv", ".jsonl", ".md")


class SaveAs(ModalScreen[tuple[Path, bool] | None]):
    """Asks for a file; gives its path, and whether one that is there may be replaced. None if refused."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Leave", id="export.leave", tooltip="Export nothing.")
    ]
    DEFAULT_CSS = """
    SaveAs {
        align: center middle;
        & > Vertical {
            width: 76; max-width: 100%; height: auto;
            background: $panel; border: round $primary; padding: 1 2;
        }
        Input { margin: 1 0; }
        #problem { color: $text-warning; height: auto; }
    }
    """

    def __init__(self, count: int) -> None:
        """`count` is the number of documents that will be written."""
        super().__init__()
        self._count = count

    def compose(self) -> ComposeResult:
        """A line for the path, and what its ending means."""
        documents = "1 document" if self._count == 1 else f"{self._count:,} documents"
        with Vertical():
            yield Static(plain(f"Write {documents} to a file", "bold"), markup=False)
            yield PlainInput(str(Path.home() / "shoebox.csv"), id="path", select_on_focus=False)
            yield Static("", id="problem", markup=False)
            yield Static(
                ".csv for spreadsheets, .jsonl with everything, .md to read. Enter writes, Escape leaves.",
                markup=False,
            )

    @on(Input.Submitted)
    @work(exclusive=True, exit_on_error=False)
    async def _take(self) -> None:
        typed = self.query_one("#path", Input).value.strip()
        path = Path(expanded(typed))
        problem = await in_background(lambda: _problem(path))
        if problem:
            self.query_one("#problem", Static).update(plain(problem))
            return
        exists = await in_background(path.exists)
        if exists and not await self.app.push_screen_wait(
            Confirm(
                f"Replace {visible(path.name)}?",
                f"It is there already, in {visible(str(path.parent))}.",
                yes="Replace",
                no="Keep",
            )
        ):
            return
        self.dismiss((path.absolute(), exists))


def _problem(path: Path) -> str:
    """Why nothing can be written there, in words; empty if nothing is known to be wrong."""
    if path.suffix.lower() not in ENDINGS:
        return f"The name must end in one of {', '.join(ENDINGS)}."
    if path.is_dir():
        return "That is a folder."
    if not path.absolute().parent.is_dir():
        return f"There is no folder {visible(str(path.parent))}."
    return ""
