"""The passages that a question is answered from: found by its words, and by its meaning where it is known."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tasks.asking.answers import Passage
from tasks.asking.function_words import FUNCTION_WORDS
from tasks.engines.llm.quotes import Folded, fold, fold_with_offsets
from tasks.fusion import fused
from tasks.ledger import Ledger

_MOST_PAGES = 60
"""Pages that are looked at, of the best."""
_MOST_RANKED = 5_000
"""A word of more pages tells nothing and costs much to rank: 5 microseconds a page."""
_PAGES_A_DOCUMENT = 3
_PAGES_OF_FEW = 12
"""Shared by the documents that a person has named, if they are fewer than four."""
_SHORTEST_STEM = 4
_ENDING = 2
"""So much of a longer word may differ at its end: `deposits` finds `deposit`."""
_MOST_WORDS = 24
_WINDOW = 1_200
"""Characters of a passage; a page that is not much longer is taken whole."""
_WINDOWS = 2
"""Of one page."""
_LEAST_PASSAGE = 80
"""What is left of the budget is not worth a shorter piece."""


@dataclass(frozen=True, slots=True)
class RankedPage:
    """A page that may answer a question."""

    document: str
    number: int


@dataclass(frozen=True, slots=True)
class NearPart:
    """A part of a page that is near to the question in meaning."""

    page: RankedPage
    start: int
    end: int


def passages(
    ledger: Ledger,
    question: str,
    documents: Sequence[str],
    budget_characters: int,
    near: Sequence[NearPart] = (),
) -> list[Passage]:
    """What to read for a question, the best first, from these documents or, if none are named, from all.

    `near` are parts that are near in meaning, the nearest first. Of named documents, pages that neither found
    come last: few documents are read whole.
    """
    words = question_words(question)
    names = _names(ledger)
    parts = {part.page: (part.start, part.end) for part in reversed(near)}
    by_words = ranked_pages(ledger, question, documents, _MOST_PAGES)
    ranked = fused(by_words, [part.page for part in near])
    found: list[Passage] = []
    left = budget_characters
    for page in _pages(ledger, ranked, documents):
        text = _page_text(ledger, page)
        is_only_near = page in parts and page not in by_words
        for start, end in [parts[page]] if is_only_near else windows(text, words):
            if left < _LEAST_PASSAGE:
                return found
            piece = text[start : min(end, start + left)]
            if not piece.strip():
                continue
            left -= len(piece)
            found.append(
                Passage(
                    number=len(found) + 1,
                    document=page.document,
                    name=names.get(page.document, ""),
                    page=page.number,
                    start=start,
                    text=piece,
                )
            )
    return found


def ranked_pages(ledger: Ledger, question: str, documents: Sequence[str], limit: int) -> list[RankedPage]:
    """The pages that have most of the question's words, the rare ones counting most (bm25), best first.

    What stands about a document (title, party, summary, fields) speaks for its first page.
    """
    words = _telling(ledger, question_words(question))
    if not words:
        return []
    within, values = "", [_match(words)]
    if documents:
        within = (
            "AND +rowid IN (SELECT id FROM search_rows WHERE document IN (SELECT value FROM json_each(?)))"
        )
        values.append(json.dumps(list(documents)))
    rows = ledger.db.execute(
        "SELECT document, max(number, 1) AS number FROM (SELECT rowid AS id, rank AS score FROM search"
        f" WHERE search MATCH ? {within} ORDER BY rank LIMIT ?)"
        " JOIN search_rows USING (id) ORDER BY score",
        (*values, limit),
    )
    return list(dict.fromkeys(RankedPage(row["document"], row["number"]) for row in rows))


def question_words(question: str) -> list[str]:
    """The words of a question that tell what it is about, each once; all of them if none does."""
    # SQLite takes no lone surrogates; arguments that are not UTF-8 hold them.
    text = question.encode("utf-8", "replace").decode()
    words = list(dict.fromkeys(word.casefold() for word in re.findall(r"\w+", text)))
    telling = [word for word in words if word not in FUNCTION_WORDS and (len(word) > 1 or word.isdigit())]
    return (telling or words)[:_MOST_WORDS]


def windows(
    text: str, words: Sequence[str], size: int = _WINDOW, most: int = _WINDOWS
) -> list[tuple[int, int]]:
    """The parts of about `size` characters that have most of the words, in order of the text.

    A text that is not much longer is one part; one without any of the words gives its beginning.
    """
    if len(text) <= size * 5 // 4:
        return [(0, len(text))] if text.strip() else []
    before = size // 4
    spots = _spots(fold_with_offsets(text), words)
    chosen: list[tuple[int, int]] = []
    # A part with several of the words first; of equals the earlier.
    for at, _ in sorted(spots, key=lambda spot: (-_richness(spots, spot[0] - before, size), spot[0])):
        start, end = _at_lines(text, max(0, at - before), size)
        if all(end <= other_start or start >= other_end for other_start, other_end in chosen):
            chosen.append((start, end))
        if len(chosen) == most:
            break
    return sorted(chosen) or ([_at_lines(text, 0, size)] if text.strip() else [])


def _pages(ledger: Ledger, ranked: Sequence[RankedPage], documents: Sequence[str]) -> Iterator[RankedPage]:
    """Pages to read: not too many of one document, so that others have their say."""
    most = max(_PAGES_A_DOCUMENT, _PAGES_OF_FEW // len(documents)) if documents else _PAGES_A_DOCUMENT
    counts: dict[str, int] = {}
    given = set()
    for page in ranked:
        counts[page.document] = counts.get(page.document, 0) + 1
        if counts[page.document] <= most:
            given.add(page)
            yield page
    for document in documents:
        rows = ledger.db.execute("SELECT number FROM pages WHERE document = ? ORDER BY number", (document,))
        for number in [row["number"] for row in rows.fetchmany(_PAGES_OF_FEW)]:
            if (page := RankedPage(document, number)) not in given:
                yield page


def _telling(ledger: Ledger, words: list[str]) -> list[str]:
    """The words without those of very many pages, unless all are such."""
    common = {word for word in words if _is_common(ledger, word)}
    return [word for word in words if word not in common] or words


def _is_common(ledger: Ledger, word: str) -> bool:
    row = ledger.db.execute(
        "SELECT count(*) FROM (SELECT 1 FROM search WHERE search MATCH ? LIMIT ?)",
        (f'"{word}"', _MOST_RANKED),
    ).fetchone()
    return int(row[0]) >= _MOST_RANKED


def _match(words: Sequence[str]) -> str:
    """In FTS5's own language; a word has nothing that could act there. Its exact form counts twice."""
    exact = [f'"{word}"' for word in words]
    stems = [f'"{stem}"*' for word in words if (stem := _stem(word))]
    return " OR ".join((*exact, *stems))


def _stem(word: str) -> str:
    return (
        ""
        if len(word) < _SHORTEST_STEM or word.isdigit()
        else word[: max(_SHORTEST_STEM, len(word) - _ENDING)]
    )


def _spots(folded: Folded, words: Sequence[str]) -> list[tuple[int, str]]:
    """Where words of the question begin in a text, in order."""
    spots = []
    for word in words:
        stem = fold(_stem(word) or word)
        pattern = rf"(?<!\w){re.escape(stem)}"
        spots += [(folded.offsets[match.start()], stem) for match in re.finditer(pattern, folded.text)]
    return sorted(spots)


def _richness(spots: Sequence[tuple[int, str]], start: int, size: int) -> int:
    """How many different words stand in a part of the text."""
    return len({word for place, word in spots if start <= place < start + size})


def _at_lines(text: str, start: int, size: int) -> tuple[int, int]:
    """A part from about `start`, beginning and ending with a line, else with a word, where one is near."""
    begin, end = _border(text, start, size // 4), _border(text, start + size, size // 4)
    return begin, max(end, min(begin + 1, len(text)))


def _border(text: str, at: int, near: int) -> int:
    """A place not after `at` where a line, else a word begins; `at` if there is none near it."""
    if at <= 0 or at >= len(text):
        return min(max(at, 0), len(text))
    for mark in ("\n", " "):
        if (found := text.rfind(mark, max(0, at - near), at)) >= 0:
            return found + 1
    return at


def _page_text(ledger: Ledger, page: RankedPage) -> str:
    row = ledger.db.execute(
        "SELECT text FROM pages WHERE document = ? AND number = ?", (page.document, page.number)
    ).fetchone()
    return str(row["text"]) if row else ""


def _names(ledger: Ledger) -> dict[str, str]:
    return {row["id"]: row["name"] for row in ledger.db.execute("SELECT id, name FROM documents")}
