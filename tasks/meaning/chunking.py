"""Cutting the text of a page into chunks, a vector each."""

import re
from dataclasses import dataclass

MOST_CHARACTERS = 1_500
"""Some 400 tokens: small embedding models take 512, and one vector of more text says less of each part."""
_SLACK = 0.3
"""A border so far from an even cut, as a share of the chunk, is still preferred to a worse kind of border."""
_BORDERS = tuple(
    re.compile(pattern) for pattern in (r"\n\s*\n", r"\n", r"(?<=[.!?:;])\s", r"\s")
)  # the best kind first: paragraph, line, sentence, word


@dataclass(frozen=True, slots=True)
class Chunk:
    """The characters of a page's text from `start` up to `end`; neither is a blank."""

    start: int
    end: int


def cut(text: str) -> list[Chunk]:
    """Chunks of nearly even length that hold all of the text but the blanks between them, in order."""
    chunks, start = [], 0
    while start < len(text):
        end = _end(text, start)
        piece = text[start:end]
        if stripped := piece.strip():
            first = start + len(piece) - len(piece.lstrip())
            chunks.append(Chunk(first, first + len(stripped)))
        start = end
    return chunks


def _end(text: str, start: int) -> int:
    left = len(text) - start
    if left <= MOST_CHARACTERS:
        return len(text)
    even = left / -(-left // MOST_CHARACTERS)
    goal = start + round(even)
    lowest = goal - round(even * _SLACK)
    highest = min(goal + round(even * _SLACK), start + MOST_CHARACTERS)
    for border in _BORDERS:
        ends = [found.end() for found in border.finditer(text, lowest, highest)]
        if ends:
            return min(ends, key=lambda end: abs(end - goal))
    return goal
