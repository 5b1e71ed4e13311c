"""Finding documents by words of their text and of what was found about them, and by their columns."""

import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from tasks.ledger import DocumentRow, Ledger

_TOKEN = re.compile(
    r'(?P<minus>-)?(?:(?P<column>[a-z]+):)?(?:"(?P<phrase>[^"]*)"?|(?P<word>[^\s"]+))', re.IGNORECASE
)
_COMPARED = re.compile(r"^(?P<from>[^.<>]*(?:\.\d+)?)\.\.(?P<to>.*)$|^(?P<sign>[<>]=?)(?P<value>.+)$")
_COLUMNS = frozenset(("category", "party", "state", "date", "amount", "currency", "name", "language"))
_EXACT = frozenset(("category", "state", "currency", "language"))
_MOST_RANKED = 5_000
"""Ranking costs 5 microseconds a page. Of a word that so many pages have, the newest are shown."""
_MOST_MATCHES = 1_000
"""Pages that are looked at, of the best."""
_SHORTEST_BEGINNING = 3
_BEFORE, _AFTER = 50, 110
"""Characters of a page that are shown around the first word found."""


@dataclass(frozen=True, slots=True)
class Term:
    """A word, whose beginning is enough, or a phrase."""

    text: str
    is_phrase: bool = False
    is_excluded: bool = False


@dataclass(frozen=True, slots=True)
class Filter:
    """What a column of the document has to be."""

    column: str
    value: str
    is_excluded: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """What to look for."""

    terms: tuple[Term, ...] = ()
    filters: tuple[Filter, ...] = ()


@dataclass(frozen=True, slots=True)
class Hit:
    """A document that was found."""

    document: str
    page: int
    """The best one; 0 if it was found by what stands about the document."""
    snippet: str
    """Around the first word found, on one line; untrusted."""
    marks: tuple[tuple[int, int], ...]
    """Where the words stand in the snippet."""
    pages: int
    """How many of its pages were found."""

    def pieces(self) -> Iterator[tuple[str, bool]]:
        """The snippet piece by piece, each with whether it is one of the words."""
        at = 0
        for first, last in self.marks:
            yield self.snippet[at:first], False
            yield self.snippet[first:last], True
            at = last
        yield self.snippet[at:], False


@dataclass(frozen=True, slots=True)
class Found:
    """A hit with its document."""

    hit: Hit
    document: DocumentRow
    by: tuple[str, ...] = ("words",)
    """What found it: `words`, `meaning`, or both."""

    def facts(self) -> list[str]:
        """What is known of the document, as far as it is: category, party, date, amount. Untrusted."""
        row = self.document
        parts = (row.category, row.party, row.date, f"{row.amount} {row.currency}".strip())
        return [part for part in parts if part]


def parse_query(text: str) -> Query:
    """Read what a person typed. Every text is a query.

    Words are found whatever their case and accents, and, if few are, by their beginning; `"several words"`
    stand together; `-word` excludes. `category:invoice`, `party:acme`, `state:review`, `currency:EUR`,
    `name:scan`, `date:2026-03`, `date:2026-01..2026-03`, `amount:>100` and `amount:10..20` say how the
    document must be.
    """
    terms: list[Term] = []
    filters: list[Filter] = []
    # SQLite takes no lone surrogates; arguments that are not UTF-8 hold them.
    for match in _TOKEN.finditer(text.encode("utf-8", "replace").decode()):
        phrase = match["phrase"]
        value = phrase if phrase is not None else match["word"]
        column = (match["column"] or "").lower()
        if column in _COLUMNS and value:
            filters.append(Filter(column, value, bool(match["minus"])))
            continue
        if column:
            value = f"{match['column']}:{value}"
        if any(character.isalnum() for character in value):
            terms.append(Term(value, phrase is not None, bool(match["minus"])))
    return Query(tuple(terms), tuple(filters))


def find_documents(ledger: Ledger, text: str, limit: int) -> list[Found]:
    """The best documents for what a person typed, as `search`."""
    hits = search(ledger, parse_query(text), limit)
    rows = {row.id: row for row in ledger.documents(ids=[hit.document for hit in hits])} if hits else {}
    return [Found(hit, rows[hit.document]) for hit in hits if hit.document in rows]


def search(ledger: Ledger, query: Query, limit: int = 50) -> list[Hit]:
    """The best documents for a query, each with its best page; without words the newest that fit."""
    conditions, values = conditions_of(query.filters)
    wanted = [term for term in query.terms if not term.is_excluded]
    if not wanted:
        where = f"WHERE {' AND '.join(conditions)}" if conditions and query.filters else "WHERE 0"
        rows = ledger.db.execute(
            f"SELECT id FROM documents {where} ORDER BY seq DESC LIMIT ?", (*values, limit)
        )
        return [Hit(row["id"], 0, "", (), 0) for row in rows.fetchall()]
    pages: dict[str, list[int]] = {}
    for by_beginning in (False, True):
        for document, number in _pages(ledger, _match(query.terms, by_beginning), conditions, values):
            if number not in pages.setdefault(document, []):
                pages[document].append(number)
        if len(pages) >= limit:
            break
    return [_hit(ledger, document, numbers, wanted) for document, numbers in islice(pages.items(), limit)]


def _pages(ledger: Ledger, match: str, conditions: list[str], values: list[str]) -> list[tuple[str, int]]:
    """Document and number of the pages that match, the best first; if they are very many, the newest."""
    narrowed = ""
    if conditions:
        # The plus keeps SQLite from asking the index once for each of these rows; CROSS JOIN, from looking
        # a document up for each page (sqlite.org/optoverview.html, "Manual Control Of Query Plans").
        narrowed = (
            "AND +rowid IN (SELECT search_rows.id FROM documents CROSS JOIN search_rows"
            f" ON search_rows.document = documents.id WHERE {' AND '.join(conditions)})"
        )
    found = f"FROM search WHERE search MATCH ? {narrowed}"
    newest = [
        row[0]
        for row in ledger.db.execute(
            f"SELECT rowid {found} ORDER BY rowid DESC LIMIT ?", (match, *values, _MOST_RANKED)
        )
    ]
    if len(newest) < _MOST_RANKED:
        ranked = ledger.db.execute(
            "SELECT rowid FROM search WHERE search MATCH ? AND +rowid IN (SELECT value FROM json_each(?))"
            " ORDER BY rank",
            (match, json.dumps(newest)),
        )
        newest = [row[0] for row in ranked]
    rows = ledger.db.execute(
        "SELECT document, number FROM json_each(?) JOIN search_rows ON search_rows.id = json_each.value"
        " ORDER BY json_each.key",
        (json.dumps(newest[:_MOST_MATCHES]),),
    )
    return [(row["document"], row["number"]) for row in rows]


def _match(terms: tuple[Term, ...], by_beginning: bool) -> str:
    """The terms in FTS5's own language; everything in them is quoted, so nothing acts."""
    wanted = " AND ".join(quoted(term, by_beginning) for term in terms if not term.is_excluded)
    excluded = [quoted(term, by_beginning) for term in terms if term.is_excluded]
    return f"({wanted}) NOT ({' OR '.join(excluded)})" if excluded else wanted


def quoted(term: Term, by_beginning: bool) -> str:
    """A term in FTS5's own language."""
    text = term.text.replace('"', '""').replace("\0", " ")
    starred = by_beginning and not term.is_phrase and len(term.text) >= _SHORTEST_BEGINNING
    return f'"{text}"*' if starred else f'"{text}"'


def conditions_of(filters: tuple[Filter, ...]) -> tuple[list[str], list[str]]:
    """SQL for filters of documents, and its values."""
    conditions: list[str] = []
    values: list[str] = []
    for one in filters:
        condition, more = _condition(one)
        conditions.append(f"NOT ({condition})" if one.is_excluded else condition)
        values += more
    return conditions, values


def _condition(one: Filter) -> tuple[str, list[str]]:
    column, value = one.column, one.value
    if column in ("date", "amount"):
        return _comparison(column, value)
    if column in _EXACT:
        return f"documents.{column} = ? COLLATE NOCASE", [value]
    pattern = re.sub(r"([%_\\])", r"\\\1", value)
    return f"documents.{column} LIKE ? ESCAPE '\\'", [f"%{pattern}%"]


def _comparison(column: str, value: str) -> tuple[str, list[str]]:
    """`2026-03`, `>2026-03-01`, `2026-01..2026-03`; `100`, `<=100`, `10..20`. No value fits none of them."""
    there = f"documents.{column} != ''"
    left = f"CAST(documents.{column} AS REAL)" if column == "amount" else f"documents.{column}"
    right = "CAST(? AS REAL)" if column == "amount" else "?"
    match = _COMPARED.match(value)
    if match is None:
        if column == "date":
            return f"{there} AND {left} LIKE ? ESCAPE '\\'", [re.sub(r"[%_\\]", "", value) + "%"]
        return f"{there} AND {left} = {right}", [value]
    if match["sign"]:
        return f"{there} AND {left} {match['sign']} {right}", [match["value"]]
    parts, values = [there], []
    if match["from"]:
        parts.append(f"{left} >= {right}")
        values.append(match["from"])
    if match["to"]:
        parts.append(f"{left} <= {right}")
        # "..2026-03" includes all of March
        values.append(match["to"] + ("\uffff" if column == "date" else ""))
    return " AND ".join(parts), values


# Snippets


def _hit(ledger: Ledger, document: str, numbers: list[int], terms: list[Term]) -> Hit:
    number = numbers[0]
    if number:
        sql = "SELECT text FROM pages WHERE document = ? AND number = ?"
    else:
        sql = "SELECT about AS text FROM search_rows WHERE document = ? AND number = ?"
    row = ledger.db.execute(sql, (document, number)).fetchone()
    snippet, marks = make_snippet(row["text"] if row else "", terms)
    return Hit(document, number, snippet, marks, sum(1 for one in numbers if one))


def make_snippet(text: str, terms: list[Term]) -> tuple[str, tuple[tuple[int, int], ...]]:
    """A line of text around the first of the words, and where the words stand in it."""
    spans = _spans(text, terms)
    start = max(0, spans[0][0] - _BEFORE) if spans else 0
    if start and (blank := text.find(" ", start, spans[0][0])) >= 0:
        start = blank + 1  # a word is not shown in part
    end = min(len(text), (spans[0][0] if spans else 0) + _AFTER)
    line = text[start:end]
    marks = tuple(
        (max(first, start) - start, min(last, end) - start) for first, last in spans if start <= first < end
    )
    return re.sub(r"\s", " ", line), marks


def _spans(text: str, terms: list[Term]) -> list[tuple[int, int]]:
    """Where words of the terms begin and end, in order, without overlaps."""
    folded, places = _folded(text)
    found = []
    for term in terms:
        words = [re.escape(word) for word in re.findall(r"\w+", _folded(term.text)[0])]
        if not words:
            continue
        ending = r"(?!\w)" if term.is_phrase else r"\w*"
        pattern = r"(?<!\w)" + r"\W+".join(words) + ending
        found += [(places[m.start()], places[m.end() - 1] + 1) for m in re.finditer(pattern, folded)]
    spans: list[tuple[int, int]] = []
    for first, last in sorted(found):
        if not spans or first >= spans[-1][1]:
            spans.append((first, last))
    return spans


def _folded(text: str) -> tuple[str, list[int]]:
    """Text without case and accents, as the index has it, and for each character where it came from."""
    characters: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        for one in unicodedata.normalize("NFD", character).casefold():
            if not unicodedata.combining(one):
                characters.append(one)
                places.append(place)
    return "".join(characters), places
