"""What a daily digest says: what came in, what needs a person, which amounts fall due. Reads only."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from tasks.amounts import sums_by_currency
from tasks.documents import State
from tasks.errors import ConfigError
from tasks.ledger import Ledger
from tasks.recipes import load_recipe
from tasks.settings import Settings

_DUE_NAME = "due_date"
"""The field that counts where the recipe is gone."""


Day = date


@dataclass(frozen=True, slots=True)
class Paper:
    """A document in a digest. All text is untrusted."""

    id: str
    state: State
    name: str
    category: str
    party: str
    title: str
    date: str
    amount: str
    currency: str
    message: str
    remedy: str
    due: Day | None = None


@dataclass(frozen=True, slots=True)
class Digest:
    """A day's digest."""

    day: date
    """The day whose digest it is; there is one a day."""
    since: float
    until: float
    came_in: tuple[Paper, ...]
    """Added since the last digest."""
    review: tuple[Paper, ...]
    """All that need review, whenever they came in."""
    failed: tuple[Paper, ...]
    """Failed or set aside since the last digest."""
    due: tuple[Paper, ...]
    """That fall due from today on, the soonest first."""
    overdue: tuple[Paper, ...]
    """That fell due in the days before today, the latest first. Whether they were paid, nobody knows here."""

    @property
    def summary(self) -> str:
        """In a line; holds nothing of any document."""
        parts = [
            f"{len(self.came_in)} came in",
            f"{len(self.review)} to review",
            f"{len(self.failed)} failed",
            f"{len(self.due)} due soon",
            f"{len(self.overdue)} overdue",
        ]
        return f"Digest of {self.day.isoformat()}: {', '.join(parts)}."


_COLUMNS = (
    "documents.id, state, documents.name, category, party, title, date, amount, currency, message, remedy"
)
_READ = (State.DONE, State.REVIEW, State.WAITING)
"""A document that waits has fields only where it has a provisional result."""


def gather(ledger: Ledger, settings: Settings, day: date, since: float, now: float) -> Digest:
    """Everything for the digest of a day; `since` and `now` are seconds since 1970."""
    today = datetime.fromtimestamp(now).date()  # noqa: DTZ006 - people live by local time
    first, last = (today + timedelta(days=sign * settings.due_days) for sign in (-1, 1))
    dated = _due_between(ledger, settings, first, last)
    return Digest(
        day=day,
        since=since,
        until=now,
        came_in=_papers(ledger, "added_at > ? AND added_at <= ?", (since, now)),
        review=_papers(ledger, "state = ?", (State.REVIEW,)),
        failed=_papers(
            ledger,
            "state IN (?, ?) AND finished_at > ? AND finished_at <= ?",
            (State.FAILED, State.QUARANTINED, since, now),
        ),
        due=tuple(paper for paper in dated if paper.due and paper.due >= today),
        overdue=tuple(paper for paper in reversed(dated) if paper.due and paper.due < today),
    )


def _papers(ledger: Ledger, where: str, values: tuple[object, ...]) -> tuple[Paper, ...]:
    rows = ledger.db.execute(f"SELECT {_COLUMNS} FROM documents WHERE {where} ORDER BY seq", values)
    return tuple(_paper(row) for row in rows)


def _paper(columns: Iterable[Any], due: Day | None = None) -> Paper:
    document, state, *texts = columns
    return replace(Paper(document, State(state), *texts), due=due)


def _due_between(ledger: Ledger, settings: Settings, first: date, last: date) -> list[Paper]:
    """Documents whose due date lies between two days, both included; the earliest first."""
    names = _due_fields(ledger, settings)
    rows = ledger.db.execute(
        f"SELECT {_COLUMNS}, fields.value, fields.name, recipe"
        " FROM fields JOIN documents ON documents.id = fields.document"
        " WHERE fields.name IN (SELECT value FROM json_each(?)) AND fields.value BETWEEN ? AND ?"
        " AND state IN (SELECT value FROM json_each(?)) ORDER BY fields.value, seq",
        (json.dumps(sorted(set(names.values()))), first.isoformat(), last.isoformat(), json.dumps(_READ)),
    )
    found = []
    for row in rows:
        *columns, due, field, recipe = row
        if names.get((recipe, row["category"])) == field and (day := _date(due)):
            found.append(_paper(columns, day))
    return found


def _due_fields(ledger: Ledger, settings: Settings) -> dict[tuple[str, str], str]:
    """The name of the field that says when to pay, by recipe and category."""
    names = {}
    for recipe, category in ledger.db.execute("SELECT DISTINCT recipe, category FROM documents"):
        try:
            spec = load_recipe(recipe, settings.recipes_path).category(category).field_with_role("due")
        except ConfigError:  # the recipe is gone or wrong; what was read by it is still there
            names[recipe, category] = _DUE_NAME
        except KeyError:  # no category yet
            continue
        else:
            if spec is not None:
                names[recipe, category] = spec.name
    return names


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def by_category(papers: Iterable[Paper]) -> list[tuple[str, int]]:
    """How many there are of each category, the most frequent first; empty where none is known yet."""
    return Counter(paper.category for paper in papers).most_common()


def totals(papers: Iterable[Paper]) -> dict[str, Decimal]:
    """The sum of the amounts in each currency; `?` where a document does not say which."""
    return sums_by_currency((paper.amount, paper.currency) for paper in papers)
