"""All documents as the UI has them: filtered, sorted, counted, marked. Knows no Textual."""

from collections import Counter
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any

from tasks.documents import State
from tasks.ledger import Ledger
from tasks.overview import Overview, overviews


class Filter(StrEnum):
    """Which documents are shown."""

    ALL = "All"
    REVIEW = "Needs review"
    READING = "Being read"
    DONE = "Done"
    FAILED = "Failed"


STATES_OF: dict[Filter, frozenset[State]] = {
    Filter.ALL: frozenset(State),
    Filter.REVIEW: frozenset({State.REVIEW}),
    Filter.READING: frozenset({State.WAITING, State.QUEUED, State.RUNNING}),
    Filter.DONE: frozenset({State.DONE}),
    Filter.FAILED: frozenset({State.FAILED, State.QUARANTINED, State.CANCELLED}),
}


class Sort(StrEnum):
    """By what documents are sorted."""

    AGE = "age"
    STATE = "state"
    NAME = "name"
    CATEGORY = "category"
    PARTY = "party"
    AMOUNT = "amount"
    DATE = "date"


def _number(amount: str) -> float:
    try:
        return float(amount)
    except ValueError:
        return float("-inf")


_KEYS: dict[Sort, Callable[[Overview], Any]] = {
    Sort.AGE: lambda row: -row.seq,
    Sort.STATE: lambda row: (row.state, -row.seq),
    Sort.NAME: lambda row: (row.name.casefold(), -row.seq),
    Sort.CATEGORY: lambda row: (row.category, row.confidence or 0.0, -row.seq),
    Sort.PARTY: lambda row: (row.party.casefold(), -row.seq),
    Sort.AMOUNT: lambda row: (_number(row.amount), -row.seq),
    Sort.DATE: lambda row: (row.date, -row.seq),
}


class DocumentStore:
    """The rows of all documents, and the order in which they are shown."""

    def __init__(self) -> None:
        self._rows: dict[str, Overview] = {}
        self._view: list[str] = []
        self._positions: dict[str, int] = {}
        self.counts: Counter[State] = Counter()
        """How many documents are in each state."""
        self.marked: set[str] = set()
        self.arrangement = 0
        """Another number whenever the view is another one."""
        self.filter = Filter.ALL
        self.sort = Sort.AGE
        self.descending = False

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def view(self) -> list[str]:
        """The ids of the documents that are shown, in order."""
        return self._view

    def get(self, document: str) -> Overview | None:
        """The row of a document, shown or not."""
        return self._rows.get(document)

    def position(self, document: str) -> int | None:
        """At which place of the view a document is."""
        return self._positions.get(document)

    def neighbour(self, document: str, step: int) -> str | None:
        """The document `step` places further down the view."""
        position = self._positions.get(document)
        if position is None or not 0 <= position + step < len(self._view):
            return None
        return self._view[position + step]

    def count(self, chosen: Filter) -> int:
        """How many documents a filter shows."""
        return sum(self.counts[state] for state in STATES_OF[chosen])

    def load(self, ledger: Ledger) -> frozenset[str]:
        """Take in all documents anew; returns the ids of those that differ from before."""
        return self.replace(overviews(ledger))

    def replace(self, rows: Iterable[Overview]) -> frozenset[str]:
        """These are all documents now; returns the ids of those that differ from before."""
        fresh = {row.id: row for row in rows}
        changed = frozenset(
            document
            for document in self._rows.keys() | fresh.keys()
            if self._rows.get(document) != fresh.get(document)
        )
        if changed:
            self._rows = fresh
            self.counts = Counter(row.state for row in fresh.values())
            self.marked &= fresh.keys()
            self._arrange()
        return changed

    def refresh(self, ledger: Ledger, ids: Iterable[str]) -> frozenset[str]:
        """Look at these documents again; returns the ids of those that differ from before."""
        wanted = set(ids)
        fresh = {row.id: row for row in overviews(ledger, wanted)}
        changed, rearrange = set(), False
        for document in wanted:
            before, after = self._rows.get(document), fresh.get(document)
            if before == after:
                continue
            changed.add(document)
            rearrange = rearrange or self._moves(before, after)
            self._enter(document, before, after)
        if rearrange:
            self._arrange()
        return frozenset(changed)

    def _enter(self, document: str, before: Overview | None, after: Overview | None) -> None:
        if before is not None:
            self.counts[before.state] -= 1
        if after is None:
            self._rows.pop(document, None)
            self.marked.discard(document)
            return
        self.counts[after.state] += 1
        self._rows[document] = after

    def _moves(self, before: Overview | None, after: Overview | None) -> bool:
        """Whether a change makes the view a different one."""
        if before is None or after is None:
            return True
        shown = STATES_OF[self.filter]
        if (before.state in shown) != (after.state in shown):
            return True
        key = _KEYS[self.sort]
        return bool(key(before) != key(after))

    def show(
        self, chosen: Filter | None = None, sort: Sort | None = None, *, descending: bool | None = None
    ) -> None:
        """Change filter or order."""
        self.filter = self.filter if chosen is None else chosen
        self.sort = self.sort if sort is None else sort
        self.descending = self.descending if descending is None else descending
        self._arrange()

    def _arrange(self) -> None:
        shown = STATES_OF[self.filter]
        rows = [row for row in self._rows.values() if row.state in shown]
        rows.sort(key=_KEYS[self.sort], reverse=self.descending)
        self._view = [row.id for row in rows]
        self._positions = {document: place for place, document in enumerate(self._view)}
        self.arrangement += 1

    def toggle_mark(self, document: str) -> None:
        """Mark a document, or take its mark away."""
        self.marked ^= {document}

    def toggle_marks(self) -> None:
        """Mark all documents that are shown, or if all are marked take the marks away."""
        if self.marked.issuperset(self._view):
            self.marked.clear()
        else:
            self.marked.update(self._view)
