"""Showing documents being read: bars on a terminal, a line a document in a pipe."""

import sys
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol

from app.plain_text import shortened, visible
from tasks.documents import FINAL_STATES, State
from tasks.events import read_events
from tasks.home import Home
from tasks.ledger import DocumentRow
from tasks.units import Progress, progress

if TYPE_CHECKING:
    from rich.progress import TaskID

_SHOWN_DOCUMENTS = 5
_WAIT_SECONDS = 0.5
_CHECK_SECONDS = 5.0
_LEAST_SECONDS = 0.2
"""Between two looks, however much happens: with thousands of documents a look costs something."""


class Waiter:
    """Waits for something to have happened to a document: by the event stream, else by the clock."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._last_id = "$"

    def wait(self) -> None:
        """Return when there is news, and after half a second at the latest."""
        from redis.exceptions import RedisError

        try:
            time.sleep(_LEAST_SECONDS)
            self._last_id, _ = read_events(
                self._home.exchange.redis, self._home.ledger.home, self._last_id, int(_WAIT_SECONDS * 1000)
            )
        except RedisError:
            time.sleep(_WAIT_SECONDS)


def wait_for(home: Home, ids: Iterable[str], check_services: Callable[[], None]) -> list[DocumentRow]:
    """Show progress until all these documents have ended; returns them as they are then.

    `check_services` is called every few seconds and raises if nobody is left to do the work.
    """
    wanted = list(ids)
    view = _Bars(len(wanted)) if sys.stderr.isatty() else _Lines()
    waiter = Waiter(home)
    checked = time.monotonic()
    with view:
        while True:
            documents = home.ledger.documents(ids=wanted) if wanted else []
            running = [document for document in documents if document.state is State.RUNNING]
            view.show(documents, progress(home.ledger, [document.id for document in running]))
            if all(has_ended(document) for document in documents):
                return documents
            if time.monotonic() - checked > _CHECK_SECONDS:
                check_services()
                checked = time.monotonic()
            waiter.wait()


class Standing(Protocol):
    """How a document stands: a row of the ledger, or an overview of one."""

    @property
    def state(self) -> State: ...
    @property
    def provisional(self) -> bool: ...
    @property
    def message(self) -> str: ...


def has_ended(document: Standing) -> bool:
    """Whether nothing more comes for now: ended, or waiting for a language model that is away."""
    waits_for_model = document.state is State.WAITING and document.provisional and bool(document.message)
    return document.state in FINAL_STATES or waits_for_model


def outcome_line(document: DocumentRow) -> str:
    """One line on a document that has ended."""
    facts = [document.state.value.ljust(11), document.id, visible(document.name)]
    if document.category:
        facts.append(f"{document.category} {document.confidence or 0:.0%}")
    facts += [visible(fact) for fact in (document.party, document.date, _amount(document)) if fact]
    line = "  ".join(facts)
    if document.message:
        line += f"  - {visible(document.message)}"
    return f"{line} {visible(document.remedy)}" if document.remedy else line


def _amount(document: DocumentRow) -> str:
    return f"{document.amount} {document.currency}".strip()


class _Lines:
    """A line on standard output for each document that ends."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def __enter__(self) -> "_Lines":
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def show(self, documents: list[DocumentRow], _: dict[str, Progress]) -> None:
        for document in documents:
            if has_ended(document) and document.id not in self._told:
                self._told.add(document.id)
                print(outcome_line(document), flush=True)


class _Bars:
    """A bar for all documents, and one for each that is being read now."""

    def __init__(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        self._bars: Bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._all = self._bars.add_task("documents", total=total)
        self._shown: dict[str, TaskID] = {}
        self._lines = _Lines()

    def __enter__(self) -> "_Bars":
        self._bars.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bars.stop()

    def show(self, documents: list[DocumentRow], reading: dict[str, Progress]) -> None:
        self._lines.show(documents, reading)
        ended = sum(has_ended(document) for document in documents)
        self._bars.update(self._all, completed=ended)
        busy = [document for document in documents if document.id in reading]
        busy = sorted(busy, key=lambda document: not reading[document.id].is_active)[:_SHOWN_DOCUMENTS]
        for gone in self._shown.keys() - {document.id for document in busy}:
            self._bars.remove_task(self._shown.pop(gone))
        for document in busy:
            part = reading[document.id]
            if document.id not in self._shown:
                self._shown[document.id] = self._bars.add_task("", total=part.planned)
            self._bars.update(
                self._shown[document.id],
                description=f"{document.stage.value:9} {shortened(document.name, 30)}",
                completed=part.done,
                total=part.planned,
            )
