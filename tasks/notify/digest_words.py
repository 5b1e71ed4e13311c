"""A digest in Markdown, for people, and as JSON values, for the webhook."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from tasks.documents import State
from tasks.markdown import markdown_concern, markdown_table, markdown_text
from tasks.notify.digest import Digest, Paper, by_category, totals
from tasks.notify.outbox import iso_time

MAX_ROWS = 500
"""Of one list in the Markdown file; it says how many more there are."""
MAX_LISTED = 200
"""Of one list in what a webhook gets; the counts say how many there are."""


def digest_markdown(digest: Digest) -> Iterator[str]:
    """The digest in Markdown, piece by piece. All text of documents is shown as text, never as markup."""
    yield f"# Shoebox, {digest.day.isoformat()}\n\n"
    yield f"From {_local(digest.since)} to {_local(digest.until)}.\n"
    yield from _came_in(digest.came_in)
    yield from _to_look_at("Needs review", digest.review)
    yield from _to_look_at("Could not be read", digest.failed)
    yield from _amounts("Due soon", digest.due)
    yield from _amounts("Overdue, if not paid yet", digest.overdue)


def _local(at: float) -> str:
    return datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M")  # noqa: DTZ006 - people live by local time


def _came_in(papers: Sequence[Paper]) -> Iterator[str]:
    yield f"\n## Came in\n\n{_documents(len(papers))}.\n"
    if not papers:
        return
    yield "\n"
    counts = ((category or "(none yet)", str(number)) for category, number in by_category(papers))
    yield from markdown_table(("category", "documents"), counts)
    yield "\n"
    yield from markdown_table(
        ("id", "state", "name", "category", "party", "date", "amount", "title"),
        (
            (
                *(paper.id, paper.state, paper.name, paper.category, paper.party, paper.date),
                _amount(paper),
                paper.title,
            )
            for paper in papers[:MAX_ROWS]
        ),
    )
    yield from _more(papers)


def _to_look_at(title: str, papers: Sequence[Paper]) -> Iterator[str]:
    if not papers:
        return
    yield f"\n## {title}\n\n"
    for paper in papers[:MAX_ROWS]:
        yield markdown_concern(paper.name, paper.id, paper.message, paper.remedy)
    yield from _more(papers)


def _amounts(title: str, papers: Sequence[Paper]) -> Iterator[str]:
    if not papers:
        return
    yield f"\n## {title}\n\n"
    sums = ", ".join(f"{total} {markdown_text(currency)}" for currency, total in totals(papers).items())
    yield f"{_documents(len(papers))}{f', in all {sums}' if sums else ''}.\n\n"
    yield from markdown_table(
        ("due", "amount", "party", "name", "id"),
        (
            (paper.due.isoformat() if paper.due else "", _amount(paper), paper.party, paper.name, paper.id)
            for paper in papers[:MAX_ROWS]
        ),
    )
    yield from _more(papers)


def _more(papers: Sequence[Paper]) -> Iterator[str]:
    if len(papers) > MAX_ROWS:
        yield f"\n... and {len(papers) - MAX_ROWS} more.\n"


def _documents(number: int) -> str:
    return f"{number} document{'' if number == 1 else 's'}"


def _amount(paper: Paper) -> str:
    return f"{paper.amount} {paper.currency}".strip()


def digest_payload(digest: Digest, *, with_fields: bool) -> dict[str, Any]:
    """The digest for a webhook: counts and ids; with what the documents say only where that is wanted."""
    lists = {
        "came_in": digest.came_in,
        "review": digest.review,
        "failed": digest.failed,
        "due": digest.due,
        "overdue": digest.overdue,
    }
    payload: dict[str, Any] = {
        "day": digest.day.isoformat(),
        "since": iso_time(digest.since),
        "until": iso_time(digest.until),
        "summary": digest.summary,
        "counts": {name: len(papers) for name, papers in lists.items()},
    }
    for name, papers in lists.items():
        payload[name] = [_paper(paper) if with_fields else paper.id for paper in papers[:MAX_LISTED]]
    if with_fields:
        payload["totals"] = {name: _totals(lists[name]) for name in ("due", "overdue")}
    return payload


def _totals(papers: Sequence[Paper]) -> dict[str, str]:
    return {currency: str(total) for currency, total in totals(papers).items()}


def _paper(paper: Paper) -> dict[str, str]:
    told = ("id", "state", "name", "category", "title", "party", "date", "amount", "currency")
    facts = {name: str(getattr(paper, name)) for name in told}
    if paper.state in {State.REVIEW, State.FAILED, State.QUARANTINED}:
        facts["message"] = paper.message
    if paper.due:
        facts["due"] = paper.due.isoformat()
    return facts
