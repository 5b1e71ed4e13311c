"""Cutting a document by tokens: on borders of pages and paragraphs, with nothing lost and nothing twice."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tasks.documents import DocumentText, PageText
from tasks.engines.llm.tokens import TokenEstimate

PAGE_TOKENS = 16
"""For the line that says which page begins."""
_FULL_ENOUGH = 0.5
"""A part filled so far ends with its page rather than taking half of the next."""
_HEAD_SHARE = 0.7
"""Of an excerpt. What a document is stands at its beginning; sums and signatures stand at its end."""
# The best border first. Each match is a piece together with the white space behind it, so that the pieces
# make up the whole text.
_BORDERS = (
    re.compile(r".+?(?:\n[ \t\r]*\n\s*|\Z)", re.DOTALL),  # paragraphs
    re.compile(r"[^\n]*(?:\n\s*|\Z)"),  # lines
    re.compile(r".+?(?:[.!?…。！？][\"'”’»)\]]*\s+|(?<=[。！？])|\Z)", re.DOTALL),  # sentences
    re.compile(r"\s*\S+\s*|\s+"),  # words
)


def cut(document: DocumentText, budget_tokens: int, tokens: TokenEstimate) -> list[DocumentText]:
    """Cut a document into parts of at most `budget_tokens` each, in order.

    The parts together hold every character of the document once; `PageText.start` says where a page's text
    begins in the whole page. A word is only cut if it alone is over the budget. The same document, budget and
    estimate give the same parts.
    """
    parts = [_Part()]
    for page in document.pages:
        needed = tokens.count(page.text) + PAGE_TOKENS
        if parts[-1].used >= budget_tokens * _FULL_ENOUGH and parts[-1].used + needed > budget_tokens:
            parts.append(_Part())
        if parts[-1].used + needed <= budget_tokens:
            parts[-1].add(page, needed)
            continue
        for piece in pieces(page, max(budget_tokens - PAGE_TOKENS, 1), tokens):
            heading = 0 if parts[-1].ends_in(page) else PAGE_TOKENS
            needed = tokens.count(piece.text)
            if parts[-1].pages and parts[-1].used + heading + needed > budget_tokens:
                parts.append(_Part())
                heading = PAGE_TOKENS
            parts[-1].add(piece, heading + needed)
    return [document.model_copy(update={"pages": tuple(part.pages)}) for part in parts]


@dataclass(frozen=True)
class Excerpt:
    """The beginning of a document and its end; what stands between is left out."""

    head: DocumentText
    tail: tuple[PageText, ...]
    read_share: float
    """Characters shown of all characters, 0 to 1."""

    @property
    def pages(self) -> tuple[PageText, ...]:
        """What is shown, in order."""
        return (*self.head.pages, *self.tail)

    @property
    def text(self) -> str:
        """What is shown, without a mark where something is left out."""
        return "\n".join(page.text for page in self.pages)


def ends(document: DocumentText, budget_tokens: int, tokens: TokenEstimate) -> Excerpt:
    """As much of a document as fits: all of it, or its beginning and a smaller part of its end."""
    whole = sum(tokens.count(page.text) + PAGE_TOKENS for page in document.pages)
    if whole <= budget_tokens:
        return Excerpt(document, (), 1.0)
    head = cut(document, int(budget_tokens * _HEAD_SHARE), tokens)[0]
    left = budget_tokens * (1 - _HEAD_SHARE)
    tail: list[PageText] = []
    for piece in _backwards(_behind(document, head), int(left), tokens):
        joins = bool(tail) and tail[0].number == piece.number
        left -= tokens.count(piece.text) + (0 if joins else PAGE_TOKENS)
        if left < 0:
            break
        if joins:
            tail[0] = piece.model_copy(update={"text": piece.text + tail[0].text})
        else:
            tail.insert(0, piece)
    shown = sum(len(page.text) for page in (*head.pages, *tail))
    return Excerpt(head, tuple(tail), shown / max(sum(len(page.text) for page in document.pages), 1))


def _behind(document: DocumentText, head: DocumentText) -> list[PageText]:
    """The pages behind the head; of the page that it ends in, the rest."""
    last = head.pages[-1]
    index = next(place for place, page in enumerate(document.pages) if page.number == last.number)
    page = document.pages[index]
    done = last.start + len(last.text) - page.start
    rest = PageText(number=page.number, text=page.text[done:], start=page.start + done)
    return [*([rest] if rest.text else []), *document.pages[index + 1 :]]


def _backwards(pages: Sequence[PageText], budget: int, tokens: TokenEstimate) -> Iterator[PageText]:
    for page in reversed(pages):
        yield from reversed(list(pieces(page, max(budget - PAGE_TOKENS, 1), tokens)))


class _Part:
    """A part while it is being filled."""

    def __init__(self) -> None:
        self.pages: list[PageText] = []
        self.used = 0.0

    def ends_in(self, page: PageText) -> bool:
        return bool(self.pages) and self.pages[-1].number == page.number

    def add(self, piece: PageText, needed: float) -> None:
        self.used += needed
        if self.ends_in(piece):
            last = self.pages.pop()
            piece = last.model_copy(update={"text": last.text + piece.text})
        self.pages.append(piece)


def pieces(page: PageText, budget_tokens: int, tokens: TokenEstimate) -> Iterator[PageText]:
    """The paragraphs of a page; those over the budget are cut into lines, sentences, words or less."""
    for start, text in _split(page.text, 0, budget_tokens, tokens, 0):
        yield PageText(number=page.number, text=text, start=page.start + start)


def _split(
    text: str, start: int, budget: int, tokens: TokenEstimate, border: int
) -> Iterator[tuple[int, str]]:
    if border == len(_BORDERS):
        yield from _cut_word(text, start, budget, tokens)
        return
    for match in _BORDERS[border].finditer(text):
        piece = match[0]
        if not piece:
            continue
        if tokens.count(piece) <= budget:
            yield start + match.start(), piece
        else:
            yield from _split(piece, start + match.start(), budget, tokens, border + 1)


def _cut_word(text: str, start: int, budget: int, tokens: TokenEstimate) -> Iterator[tuple[int, str]]:
    """A row of characters without any border, such as an attachment that was pasted as text."""
    dearest = max(tokens.count(character) for character in set(text))
    step = max(int(budget / dearest), 1)
    for offset in range(0, len(text), step):
        yield start + offset, text[offset : offset + step]
