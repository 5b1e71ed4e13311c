"""The table as a report to read: what there is, what it adds up to, what a person should look at."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from app.listing import Row
from tasks.amounts import sums_by_currency
from tasks.documents import State
from tasks.markdown import markdown_concern, markdown_table

_UNREAD = frozenset({State.FAILED.value, State.QUARANTINED.value})


def markdown_report(rows: Sequence[Row]) -> Iterator[str]:
    """The report in Markdown, piece by piece. All text of documents is shown as text, never as markup."""
    states = Counter(row.state for row in rows)
    counts = ", ".join(f"{states[state]} {state.value}" for state in State if states[state])
    yield f"# Documents\n\n{len(rows)} documents: {counts or 'none'}.\n"
    yield from _totals("By category", "category", ((row.category or "(none)", row) for row in rows))
    months = ((row.date[:7], row) for row in sorted(rows, key=lambda row: row.date) if row.date)
    yield from _totals("By month", "month", months)
    yield from _to_look_at("Needs review", [row for row in rows if row.state == State.REVIEW])
    yield from _to_look_at("Could not be read", [row for row in rows if row.state in _UNREAD])
    yield "\n## All documents\n\n"
    yield from markdown_table(
        ("id", "state", "name", "category", "party", "date", "amount", "title"),
        (
            (
                *(row.id, row.state, row.name, row.category, row.party, row.date),
                f"{row.amount} {row.currency}".strip(),
                row.title,
            )
            for row in rows
        ),
    )


def _totals(title: str, column: str, named: Iterable[tuple[str, Row]]) -> Iterator[str]:
    """How many documents of each name, and the sum of their amounts in each currency."""
    groups: defaultdict[str, list[Row]] = defaultdict(list)
    for name, row in named:
        groups[name].append(row)
    if not groups:
        return
    yield f"\n## {title}\n\n"
    lines = ((name, str(len(group)), _sums(group)) for name, group in groups.items())
    yield from markdown_table((column, "documents", "amounts"), lines)


def _sums(rows: Iterable[Row]) -> str:
    sums = sums_by_currency((row.amount, row.currency) for row in rows)
    return ", ".join(f"{total} {currency}" for currency, total in sums.items())


def _to_look_at(title: str, rows: Sequence[Row]) -> Iterator[str]:
    if not rows:
        return
    yield f"\n## {title}\n\n"
    for row in rows:
        yield markdown_concern(row.name, row.id, row.message, row.remedy)
