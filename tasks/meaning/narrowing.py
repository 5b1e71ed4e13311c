"""What a query allows of documents and pages that were found without its words."""

import json
from collections.abc import Collection

from tasks.ledger import Ledger
from tasks.search import Filter, Term, conditions_of, quoted


def fitting_documents(ledger: Ledger, filters: tuple[Filter, ...]) -> list[str] | None:
    """The documents that are as the filters say; None without filters: all."""
    if not filters:
        return None
    conditions, values = conditions_of(filters)
    rows = ledger.db.execute(f"SELECT id FROM documents WHERE {' AND '.join(conditions)}", values)
    return [row["id"] for row in rows]


def excluded_pages(
    ledger: Ledger, terms: tuple[Term, ...], pages: Collection[tuple[str, int]]
) -> set[tuple[str, int]]:
    """Those of the pages that hold an excluded term."""
    excluded = [quoted(term, by_beginning=False) for term in terms if term.is_excluded]
    if not excluded or not pages:
        return set()
    rows = ledger.db.execute(
        "SELECT document, number FROM search JOIN search_rows ON search_rows.id = search.rowid"
        " WHERE search MATCH ? AND search_rows.document IN (SELECT value FROM json_each(?))",
        (" OR ".join(excluded), json.dumps([document for document, _ in pages])),
    )
    return {(row["document"], row["number"]) for row in rows} & set(pages)
