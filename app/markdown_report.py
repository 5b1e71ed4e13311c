"""The table as a report to read: what there is, what it adds up to, what a person should look at."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal, InvalidOperation

from app.listing import Row
from tasks.documents import State
from tasks.markdown import markdown_table, markdown_text

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
    counts: Counter[str] = Counter()
    sums: defaultdict[str, defaultdict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for name, row in named:
        counts[name] += 1
        if (amount := _decimal(row.amount)) is not None:
            sums[name][row.currency or "?"] += amount
    if not counts:
        return
    yield f"\n## {title}\n\n"
    lines = (
        (name, str(count), ", ".join(f"{total} {currency}" for currency, total in sorted(sums[name].items())))
        for name, count in counts.items()
    )
    yield from markdown_table((column, "documents", "amounts"), lines)


def _decimal(amount: str) -> Decimal | None:
    try:
        found = Decimal(amount)
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def _to_look_at(title: str, rows: Sequence[Row]) -> Iterator[str]:
    if not rows:
        return
    yield f"\n## {title}\n\n"
    for row in rows:
        words = " ".join(part for part in (row.message, row.remedy) if part)
        yield f"- **{markdown_text(row.name)}** ({row.id}): {markdown_text(words)}\n"
