"""The Search screen: words are typed, documents come."""

from collections.abc import Iterable
from typing import ClassVar

from textual import on, work
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from app.tui.background import in_background
from app.tui.meaning import join_meaning
from app.tui.screens.base import ShoeboxScreen
from app.tui.text import plain
from app.tui.widgets.path_input import PathInput
from app.tui.widgets.text_input import TextInput
from tasks.ledger import Ledger
from tasks.search import Found, find_documents
from tasks.settings import Settings

_MOST = 50


class SearchScreen(ShoeboxScreen):
    """Finds documents while words are typed."""

    NAME = "Search"
    HELP = """\
Words are found in the text, and in name, title, party, summary and fields. "several words" stand together,
-word excludes. category:invoice party:acme state:review date:2026-01..2026-03 amount:>100 say how the
document must be. Where the model server has an embedding model, pages that mean what you typed join the
list a moment later."""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter", "open", "Open", id="search.open", tooltip="Open the document at the page.", priority=True
        ),
        Binding("down", "move(1)", "Next", id="search.down", show=False, tooltip="The next document."),
        Binding("up", "move(-1)", "Before", id="search.up", show=False, tooltip="The document before."),
        Binding("escape", "app.pop_screen", "Back", id="search.back", tooltip="Back to where you were."),
    ]
    DEFAULT_CSS = """
    SearchScreen {
        Vertical { padding: 1 1 0 1; }
        TextInput, TextInput:focus { height: 1; border: none; padding: 0 1; margin: 0 0 1 0; }
        OptionList, OptionList:focus { height: 1fr; border: none; padding: 0; }
        #search-words { height: 1; color: $text-muted; padding: 0 1; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._found: list[Found] = []

    def body(self) -> Iterable[Widget]:
        """What is typed, how much was found, and what."""
        with Vertical():
            yield TextInput(placeholder="Words, category:, party:, date:, amount:", compact=True, id="query")
            yield Static(id="search-words", markup=False)
            yield OptionList(id="found", markup=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """Where a path is being typed, Enter takes it."""
        focused = self.focused
        return not (action == "open" and isinstance(focused, PathInput) and focused.value)

    def on_mount(self) -> None:
        """Typing begins at once."""
        self.query_one("#found").can_focus = False
        self.query_one("#query").focus()

    @on(Input.Changed, "#query")
    @work(group="search", exclusive=True, exit_on_error=False)
    async def _search(self, event: Input.Changed) -> None:
        """Find what is typed now; what was typed before is no longer of interest."""
        settings, text = self.shell.settings, event.value
        found = await in_background(lambda: _find(settings, text))
        self._show(found, text)
        both = await join_meaning(settings, self.shell.clerk.ask, text, found, _MOST)
        if both is not None:
            self._show(both, text)

    def _show(self, found: list[Found], text: str) -> None:
        """Show what was found; what was chosen of the list before stays so."""
        options = self.query_one(OptionList)
        at = options.highlighted
        chosen = self._found[at].document.id if at and at < len(self._found) else ""
        self._found = found
        number = f"the best {_MOST}" if len(found) == _MOST else str(len(found))
        words = f"{number} document{'' if len(found) == 1 else 's'}"
        self.query_one("#search-words", Static).update(words if text.strip() else "")
        options.clear_options()
        options.add_options(Option(_text(one)) for one in found)
        places = [place for place, one in enumerate(found) if one.document.id == chosen]
        options.highlighted = next(iter(places), 0) if found else None

    def action_move(self, step: int) -> None:
        """Go to another document of those that were found."""
        options = self.query_one(OptionList)
        if options.highlighted is not None:
            options.highlighted = max(0, min(len(self._found) - 1, options.highlighted + step))

    def action_open(self) -> None:
        """Open the document at the page where the words are."""
        at = self.query_one(OptionList).highlighted
        if at is not None and at < len(self._found):
            hit = self._found[at].hit
            self.shell.open_document(hit.document, page=hit.page or None)

    @on(OptionList.OptionSelected)
    def _clicked(self) -> None:
        self.action_open()


def _find(settings: Settings, text: str) -> list[Found]:
    with Ledger.open(settings) as ledger:
        return find_documents(ledger, text, _MOST)


def _text(found: Found) -> Content:
    """Name and what is known of it; below, the words in their place."""
    facts = (plain(fact, "dim") for fact in found.facts())
    lines = [Content("  ").join([plain(found.document.name, "bold"), *facts])]
    hit = found.hit
    if hit.snippet:
        place = f"page {hit.page}" if hit.page else "about"
        if found.by == ("meaning",):
            place += ", by meaning"
        words = (plain(piece, "bold $accent" if is_word else "") for piece, is_word in hit.pieces())
        lines.append(Content("").join([plain(f"  {place}: ", "dim"), *words]))
    return Content("\n").join(lines)
