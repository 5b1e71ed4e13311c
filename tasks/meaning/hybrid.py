"""Finding documents by words and by meaning, and one list of both."""

import json
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from tasks.errors import ServiceError
from tasks.fusion import fused
from tasks.ledger import Ledger
from tasks.meaning.asking import QueryVector, query_vector
from tasks.meaning.narrowing import excluded_pages, fitting_documents
from tasks.meaning.store import NearChunk, VectorStore
from tasks.page_queries import page_text
from tasks.search import Found, Hit, find_documents, parse_query
from tasks.settings import Settings

WORDS, MEANING = "words", "meaning"
MOST_BY_MEANING = 20
"""Documents. There are always some that are nearest, however far; so only the first are worth a look."""
_CHUNKS_A_PAGE = 3
"""Pages have a few chunks, so more chunks are asked for than pages are wanted."""
_SNIPPET_CHARACTERS = 160


@dataclass(frozen=True, slots=True)
class NearPage:
    """A page that is near in meaning, with its nearest chunk."""

    document: str
    page: int
    start: int
    """Of the chunk in the page's text."""
    end: int
    similarity: float
    """The cosine, up to 1."""


@dataclass(frozen=True, slots=True)
class Search:
    """What was found."""

    found: tuple[Found, ...]
    problem: str
    """Why meaning was not looked at, in words; empty if it was."""


def pages_by_meaning(
    settings: Settings,
    ledger: Ledger,
    vector: QueryVector,
    documents: Collection[str] | None = None,
    count: int = 20,
) -> list[NearPage]:
    """The pages nearest to a query, the nearest first; only of these documents, if any are given.

    Raises:
        ServiceError: the file of vectors cannot be used.
    """
    if documents is not None and not documents:
        return []
    with VectorStore.open(settings) as store:
        space = next((one for one in store.spaces() if one.id == vector.space), None)
        if space is None:  # dropped since the query was asked
            return []
        chunks = store.nearest(space, vector.values, count * _CHUNKS_A_PAGE, documents)
    there = _there(ledger, {chunk.document for chunk in chunks})
    pages: dict[tuple[str, int], NearChunk] = {}
    for chunk in chunks:
        if chunk.document in there and chunk.similarity > 0:
            pages.setdefault((chunk.document, chunk.page), chunk)
    return [
        NearPage(one.document, one.page, one.start, one.end, one.similarity)
        for one in list(pages.values())[:count]
    ]


def _there(ledger: Ledger, documents: Iterable[str]) -> set[str]:
    """Those that the ledger still has."""
    rows = ledger.db.execute(
        "SELECT id FROM documents WHERE id IN (SELECT value FROM json_each(?))",
        (json.dumps(list(documents)),),
    )
    return {row["id"] for row in rows}


def find_by_meaning(settings: Settings, ledger: Ledger, text: str, vector: QueryVector) -> list[Found]:
    """The documents nearest to what a person typed, as its filters and excluded words allow.

    Raises:
        ServiceError: the file of vectors cannot be used.
    """
    query = parse_query(text)
    allowed = fitting_documents(ledger, query.filters)
    near = pages_by_meaning(settings, ledger, vector, allowed, MOST_BY_MEANING * _CHUNKS_A_PAGE)
    excluded = excluded_pages(ledger, query.terms, {(one.document, one.page) for one in near})
    by_document: dict[str, list[NearPage]] = {}
    for page in near:
        if (page.document, page.page) not in excluded:
            by_document.setdefault(page.document, []).append(page)
    best = list(by_document.items())[:MOST_BY_MEANING]
    rows = {row.id: row for row in ledger.documents(ids=[document for document, _ in best])} if best else {}
    return [Found(_hit(ledger, pages), rows[document], (MEANING,)) for document, pages in best]


def _hit(ledger: Ledger, pages: Sequence[NearPage]) -> Hit:
    best = pages[0]
    text = page_text(ledger, best.document, best.page)[best.start : best.end]
    snippet = re.sub(r"\s+", " ", text)[:_SNIPPET_CHARACTERS].strip()
    return Hit(best.document, best.page, snippet, (), len(pages))


def joined(by_words: Sequence[Found], by_meaning: Sequence[Found], limit: int) -> list[Found]:
    """One list by reciprocal rank fusion: a document counts by its rank in each list.

    One that both found keeps the page and the snippet of its words.
    """
    found: dict[str, Found] = {}
    for one in (*by_words, *by_meaning):
        before = found.get(one.document.id)
        found[one.document.id] = replace(before, by=(WORDS, MEANING)) if before else one
    order = fused(*([one.document.id for one in several] for several in (by_words, by_meaning)))
    return [found[document] for document in order[:limit]]


def search_both(settings: Settings, ledger: Ledger, text: str, limit: int, seconds: float) -> Search:
    """Find documents by words, and by meaning if the vector of the query comes in so many seconds."""

    def vector(other: Ledger) -> QueryVector | str:
        return query_vector(settings, other, text, seconds)

    return search_at_once(settings, ledger, text, limit, vector)


def search_at_once(
    settings: Settings, ledger: Ledger, text: str, limit: int, vector: Callable[[Ledger], QueryVector | str]
) -> Search:
    """Find documents by words, and at the same time by meaning. `vector` is called in a thread of its own."""
    with ThreadPoolExecutor(1) as pool:
        meaning = pool.submit(_by_meaning, settings, text, vector)
        by_words = find_documents(ledger, text, limit)
        by_meaning = meaning.result()
    if isinstance(by_meaning, str):
        return Search(tuple(by_words), by_meaning)
    return Search(tuple(joined(by_words, by_meaning, limit)), "")


def _by_meaning(
    settings: Settings, text: str, vector: Callable[[Ledger], QueryVector | str]
) -> list[Found] | str:
    """What is found by meaning; or why nothing is looked for by it, in words."""
    try:
        with Ledger.open(settings) as ledger:  # a connection belongs to its thread
            found = vector(ledger)
            return found if isinstance(found, str) else find_by_meaning(settings, ledger, text, found)
    except ServiceError as error:
        return str(error)
