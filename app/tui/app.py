"""The application: what all screens stand on."""

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import ClassVar, Protocol

from textual import work
from textual.app import App
from textual.binding import BindingType
from textual.events import Event as TerminalEvent
from textual.events import Key, Paste
from textual.notifications import SeverityLevel

from app.dropped import parse_dropped
from app.machines import Machines
from app.plain_text import visible_lines
from app.requests import AddFiles, CorrectSimilar, Note, Problem, Reply, Request, StartServices, StopAdding
from app.tui.any_bytes import accept_any_bytes
from app.tui.arrival import choose
from app.tui.background import in_background
from app.tui.browser import KEYS as BROWSER_KEYS
from app.tui.clerk import ClerkClient
from app.tui.feed import Link, follow
from app.tui.keymap import problems_of
from app.tui.keys import KEYS
from app.tui.palette import Commands, commands_of
from app.tui.preferences import Preferences
from app.tui.screens.base import ShoeboxScreen
from app.tui.screens.confirm import Confirm
from app.tui.screens.help import HelpScreen
from app.tui.screens.intray import InTray
from app.tui.store import DocumentStore, Filter
from app.tui.terminal import end_with_terminal
from app.tui.watching import look_at_ledger, look_at_machines
from app.tui.widgets.path_input import PathInput
from app.tui.widgets.status_line import StatusLine
from tasks import logs
from tasks.documents import FINAL_STATES
from tasks.events import Event, EventKind
from tasks.examples import Change
from tasks.ledger import Ledger
from tasks.settings import Settings

_FLUSH_SECONDS = 0.05
"""News is collected for so long; with the feed's own pause that is at most seven frames a second."""
_GATHER_SECONDS = 0.12
_PATIENCE_SECONDS = 3.0
"""At the end, for files that were dropped a moment ago."""
_QUIET_SECONDS = 0.1
"""A paste goes through the focused widget and several workers: for so long none of them may run."""
_TURN_SECONDS = 0.02
_ARRIVAL_GROUPS = frozenset({"arrival", "paste", "take"})
"""Workers through which files arrive, here and in the inputs."""
_LIVE_CHARACTERS = 4_000
_SHOWN_PROBLEMS = 8
_MACHINES_SECONDS = 2.0


class Clerk(Protocol):
    """Who carries out what the user wants."""

    async def ask(self, request: Request, on_note: Callable[[Note], None] | None = None) -> Reply:
        """Have something done; returns how it went."""
        ...

    async def close(self) -> None:
        """Ask for nothing more; what was asked is finished."""
        ...


class ShoeboxApp(App[None]):
    """Shows what the ledger says, and asks the clerk for what the user wants."""

    TITLE = "Shoebox"
    COMMANDS: ClassVar[set[Callable[[], type]]] = {lambda: Commands}  # type: ignore[assignment]
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = KEYS

    def __init__(self, settings: Settings, clerk: "Clerk | None" = None, files: Sequence[Path] = ()) -> None:
        super().__init__()
        self._given = files
        self.settings = settings
        self.ledger = Ledger.open(settings)
        self.store = DocumentStore()
        self.clerk: Clerk = clerk or ClerkClient(settings)
        self.live_text: dict[str, str] = {}
        """The last of what a model has written about each document that is being read."""
        self.link = Link(up=False, problem="Looking for Redis.")
        self.machines: Machines | None = None
        self._arriving: list[Path] = []
        self._news: set[str] = set()
        self._written: set[str] = set()
        self._news_is_due = False
        self._preferences = Preferences.load(settings)

    def on_mount(self) -> None:
        """Show everything the ledger has; then start what is not running."""
        end_with_terminal(self)
        if self._preferences.theme in self.available_themes:
            self.theme = self._preferences.theme
        remembered = self._preferences
        self.store.show(remembered.filter, remembered.sort, descending=remembered.descending)
        self.store.load(self.ledger)
        self.push_screen(InTray())
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        """What can wait until the first frame is on the screen."""
        self.set_keymap({**(BROWSER_KEYS if self.is_web else {}), **self.settings.keys})
        for problem in problems_of(self.settings.keys):
            self.say(problem, title="Setting `keys`", severity="warning")
        self._follow_events()
        self._look_at_machines()
        self.set_interval(_MACHINES_SECONDS, self._look_at_machines)
        look_at_ledger(self)
        self.ask(StartServices(), only_problems=True)
        if self._given:
            self.take_paths(self._given)

    async def on_unmount(self) -> None:
        """Remember what was chosen, and leave the clerk to finish what it was asked."""
        await self.clerk.close()
        store = self.store
        Preferences(theme=self.theme, filter=store.filter, sort=store.sort, descending=store.descending).save(
            self.settings
        )
        self.ledger.close()

    @property
    def front(self) -> ShoeboxScreen | None:
        """The full screen that is in front, with or without a dialog over it; none while it is being made."""
        screens = (screen for screen in reversed(self.screen_stack) if isinstance(screen, ShoeboxScreen))
        screen = next(screens, None)
        return screen if screen is not None and screen.is_ready else None

    # News

    @work(group="events", exclusive=True, exit_on_error=False)
    async def _follow_events(self) -> None:
        await follow(self.settings, self.ledger.home, self._take_events, self._take_link)

    def _take_events(self, events: list[Event]) -> None:
        for event in events:
            if event.kind is EventKind.TEXT:
                text = self.live_text.get(event.document, "") + event.text
                self.live_text[event.document] = text[-_LIVE_CHARACTERS:]
                self._written.add(event.document)
                continue
            if event.state in FINAL_STATES:
                self.live_text.pop(event.document, None)
            self._news.add(event.document)
        self._show_news_soon()

    def _show_news_soon(self) -> None:
        if not self._news_is_due:
            self._news_is_due = True
            self.set_timer(_FLUSH_SECONDS, self._show_news)

    def _show_news(self) -> None:
        if not self.is_running:  # it was due just when the user left
            return
        self._news_is_due = False
        news, self._news = self._news, set()
        written, self._written = self._written, set()
        if news:
            self.show_changes(self.store.refresh(self.ledger, news))
        for document in written:
            row = self.store.get(document)
            if row is None or row.state in FINAL_STATES:
                self.live_text.pop(document, None)  # its last words came late
        if self.front is not None:
            for document in written:
                self.front.text_written(document)

    def show_changes(self, documents: frozenset[str]) -> None:
        """These documents of the store are different from before."""
        if documents and self.front is not None:
            self.front.documents_changed(documents)
            self.front.query_one(StatusLine).refresh_line()

    def _take_link(self, link: Link) -> None:
        self.link = link
        if link.up:
            self.reload()
        self.show_machines(self.machines)

    @work(group="reload", exclusive=True, thread=True, exit_on_error=False)
    def reload(self) -> None:
        """Read the whole ledger again: events may have been missed."""
        from tasks.overview import overviews

        with Ledger.open(self.settings) as ledger:
            rows = overviews(ledger)
        self.call_from_thread(lambda: self.show_changes(self.store.replace(rows)))

    def show_machines(self, machines: Machines | None) -> None:
        """This is how the machines are now."""
        self.machines = machines
        if self.front is not None:
            self.front.machines_seen()
            self.front.query_one(StatusLine).refresh_line()

    def _look_at_machines(self) -> None:
        look_at_machines(self)

    # What the user wants

    def say(self, message: str, *, title: str = "", severity: SeverityLevel = "information") -> None:
        """A toast. Text from files and errors is shown as it is."""
        self.notify(
            visible_lines(message),
            title=visible_lines(title),
            severity=severity,
            markup=False,
            timeout=4 if severity == "information" else 12,
        )

    @work(group="requests", exit_on_error=False)
    async def ask(self, request: Request, *, only_problems: bool = False) -> None:
        """Have something done, and say how it went."""
        reply = await self.ask_and_wait(request)
        if not reply.ok:
            self.say("\n".join(filter(None, (reply.message, reply.remedy))), severity="error")
        elif not only_problems:
            self.say(reply.message)
        if reply.problems:
            self.say(_in_lines(reply.problems), title="Not done", severity="warning")
        if reply.changes:
            await self._offer(reply.changes)

    async def _offer(self, changes: tuple[Change, ...]) -> None:
        """Ask whether a correction should be made in the documents that look the same as well."""
        many = f"{len(changes):,} similar documents" if len(changes) > 1 else "1 similar document"
        agreed = await self.push_screen_wait(
            Confirm(
                f"Remembered. {many} would change. Apply?",
                "What you have corrected or accepted yourself is left as it is.",
                yes="Apply",
                no="Leave",
                items=[f"{each.name}: {each.field} {each.old or '-'} → {each.new}" for each in changes],
            )
        )
        if agreed:
            self.ask(CorrectSimilar(changes))

    async def ask_and_wait(self, request: Request) -> Reply:
        """Have something done; returns how it went."""
        reply = await self.clerk.ask(request)
        self._news.update(reply.documents)
        self._show_news_soon()
        return reply

    @work(group="arrival", exit_on_error=False)
    async def take_text(self, text: str) -> None:
        """Take in the files whose paths a terminal has sent."""
        dropped = await in_background(lambda: parse_dropped(text))
        if dropped.unknown:
            self.say(
                "\n".join(f"not found: {name[:200]}" for name in dropped.unknown[:_SHOWN_PROBLEMS]),
                title="Not taken",
                severity="warning",
            )
        if dropped.paths:
            self.take_paths(dropped.paths)

    def take_paths(self, paths: Sequence[Path]) -> None:
        """Take in files; folders only after a question that says how many files they hold."""
        if not self._arriving:
            # Some terminals send one drop of many files as a paste for each of them.
            self.set_timer(_GATHER_SECONDS, self._take_arriving)
        self._arriving.extend(paths)

    @work(group="arrival", exit_on_error=False)
    async def _take_arriving(self) -> None:
        paths, self._arriving = list(dict.fromkeys(self._arriving)), []
        chosen = await choose(self, paths)
        if chosen:
            self.ask(AddFiles(chosen))

    async def on_event(self, event: TerminalEvent) -> None:
        """Older terminals type the paths of dropped files: no letter is a command, all go to the input."""
        if isinstance(event, Key):
            PathInput.before_key(self.screen, event)
        await super().on_event(event)

    def on_paste(self, event: Paste) -> None:
        """Files were dropped while nothing that takes text had the focus."""
        event.stop()
        self.take_text(event.text)

    def open_document(self, document: str, *, correct: bool = False, page: int | None = None) -> None:
        """Show a document's page: with `correct` to correct a field, with `page` at a page of its text."""
        from app.tui.screens.document import DocumentScreen

        self.push_screen(DocumentScreen(document, correct=correct, page=page))

    # Actions

    async def action_quit(self) -> None:
        """Leave, once what was dropped a moment ago has been handed to the clerk."""
        self._leave()

    @work(group="leave", exclusive=True, exit_on_error=False)
    async def _leave(
        self,
    ) -> None:  # as a worker, because what it waits for needs the application's own turns
        until = monotonic() + _PATIENCE_SECONDS
        quiet_since = monotonic()
        while monotonic() < until and monotonic() < quiet_since + _QUIET_SECONDS:
            await asyncio.sleep(_TURN_SECONDS)
            if self._is_taking:
                quiet_since = monotonic()
        self.exit()

    @property
    def _is_taking(self) -> bool:
        """Whether files have arrived that the clerk has not been told of, and no question holds them back."""
        if self.front is not self.screen:
            return False
        return bool(self._arriving) or any(
            worker.group in _ARRIVAL_GROUPS and not worker.is_finished for worker in self.workers
        )

    def action_help(self) -> None:
        """Say what the screen is for."""
        if isinstance(self.screen, ShoeboxScreen):
            screen = self.screen
            self.push_screen(HelpScreen(screen.NAME, screen.HELP, list(commands_of(screen))))

    def action_machines(self) -> None:
        """Show workers, queues and models."""
        from app.tui.screens.machines import MachinesScreen

        if not isinstance(self.screen, MachinesScreen):
            self.push_screen(MachinesScreen())

    def action_review(self) -> None:
        """Go through what needs review: the first document of it; the others follow as each is decided."""
        from app.tui.screens.document import DocumentScreen

        if not self.store.count(Filter.REVIEW):
            self.say("Nothing needs review.")
            return
        self.store.show(Filter.REVIEW)
        if isinstance(self.screen, DocumentScreen):
            self.pop_screen()
        self.open_document(self.store.view[0])

    def action_search(self) -> None:
        """Find documents."""
        from app.tui.screens.search import SearchScreen

        if not isinstance(self.screen, SearchScreen):
            self.push_screen(SearchScreen())

    def action_ask(self) -> None:
        """Ask a question of the marked documents, else of all."""
        from app.tui.screens.ask import AskScreen

        if not isinstance(self.screen, AskScreen):
            self.push_screen(AskScreen(sorted(self.store.marked)))

    def action_watch(self) -> None:
        """Show watched folders."""
        from app.tui.screens.watch import WatchScreen

        if not isinstance(self.screen, WatchScreen):
            self.push_screen(WatchScreen())

    def action_tidy(self) -> None:
        """Show plans."""
        from app.tui.screens.tidy import TidyScreen

        if not isinstance(self.screen, TidyScreen):
            self.push_screen(TidyScreen())

    def action_stop_adding(self) -> None:
        """Take in no more of what is being added."""
        self.ask(StopAdding())

    @work(group="picker", exclusive=True, exit_on_error=False)
    async def action_choose_files(self) -> None:
        """Choose files to take in."""
        from app.tui.screens.picker import Picker

        paths = await self.push_screen_wait(Picker())
        if paths:
            self.take_paths(paths)


def _in_lines(problems: Sequence[Problem]) -> str:
    lines = [f"{problem.name}: {problem.reason}" for problem in problems[:_SHOWN_PROBLEMS]]
    if len(problems) > _SHOWN_PROBLEMS:
        lines.append(f"... and {len(problems) - _SHOWN_PROBLEMS} more")
    return "\n".join(lines)


def run(settings: Settings, files: Sequence[Path] = ()) -> None:
    """Open the UI, have it take these files in, and stay until the user leaves."""
    # Its screen is the terminal's standard error.
    logs.configure("tui", settings, file=settings.log_dir / "tui.log", takes_stderr=False)
    accept_any_bytes()
    app = ShoeboxApp(settings, files=files)
    app.run()
    if app.return_code:
        sys.exit(app.return_code)
    os.environ.pop("TEXTUAL_DRIVER", None)
