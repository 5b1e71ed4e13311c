"""Finding a quote of a model again in the text of the pages: exactly, by folded text, or nearly.

A model copies with its own white space, quotation marks and capitals, and corrects what OCR got wrong. What
counts afterwards is always the text of the page, never the model's.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from tasks.documents import PageText

_MIN_SCORE = 85.0
"""Of 100, for nearly: three wrong characters in twenty, which is more than OCR at its worst readable."""
_MIN_FUZZY_CHARS = 8
"""A shorter quote is nearly the same as a great many other words."""
_SAME = str.maketrans(
    "‹［„“”«»‘’‚`´–—−‐‑",
    "<[" + '"' * 5 + "'" * 5 + "-" * 5,
)
_INVISIBLE = "\u00ad\u200b\u200c\u200d\u2060\ufeff"
_MAX_WORD = 30
_MAX_OCCURRENCES = 10_000
"""In a page that is one endless word, a letter occurs a million times and never stands alone."""


@dataclass(frozen=True)
class Place:
    """Where a quote stands. `start` and `end` are offsets into `page.text`, without white space around."""

    page: PageText
    start: int
    end: int
    score: float
    """1 for the same words, less where the page differs from the quote."""

    @property
    def quote(self) -> str:
        """The words of the page."""
        return self.page.text[self.start : self.end]


@dataclass(frozen=True)
class Folded:
    """Text for comparison, and for each of its characters the offset in the original."""

    text: str
    offsets: Sequence[int]


class QuoteFinder:
    """Finds quotes in the pages of one document; folds each page at most once."""

    def __init__(self, pages: Sequence[PageText]) -> None:
        self._pages = pages
        self._folded: dict[int, Folded] = {}

    def find(self, quote: str) -> Place | None:
        """The first place of the quote that begins and ends with a word; None if it is on no page."""
        wanted = fold(quote)
        if not any(character.isalnum() for character in wanted):
            return None
        return self._exact(quote.strip()) or self._by_folded_text(wanted) or self._nearly(wanted)

    def _exact(self, quote: str) -> Place | None:
        for page in self._pages:
            if start := _find_bounded(page.text, quote):
                return Place(page, *start, 1.0)
        return None

    def _by_folded_text(self, wanted: str) -> Place | None:
        for index, page in enumerate(self._pages):
            folded = self._fold(index)
            if found := _find_bounded(folded.text, wanted):
                return _place(page, folded, found, 1.0)
        return None

    def _nearly(self, wanted: str) -> Place | None:
        from rapidfuzz.fuzz import partial_ratio_alignment

        if len(wanted) < _MIN_FUZZY_CHARS:
            return None
        best, cutoff = None, _MIN_SCORE
        for index, page in enumerate(self._pages):
            folded = self._fold(index)
            if len(folded.text) < len(wanted):
                continue  # else the page would be looked for in the quote
            found = partial_ratio_alignment(wanted, folded.text, score_cutoff=cutoff)
            if found and found.dest_end > found.dest_start and (best is None or found.score > cutoff):
                span = _whole_words(folded.text, found.dest_start, found.dest_end)
                best, cutoff = _place(page, folded, span, found.score / 100), found.score
        return best

    def _fold(self, index: int) -> Folded:
        if index not in self._folded:
            self._folded[index] = fold_with_offsets(self._pages[index].text)
        return self._folded[index]


def fold(text: str) -> str:
    """Lower case, one space for white space, plain quotation marks and dashes, no accents."""
    return fold_with_offsets(text).text.strip()


def without_invisible(text: str) -> str:
    """The text without characters that nobody sees, such as soft hyphens."""
    return "".join(character for character in text if character not in _INVISIBLE)


def fold_with_offsets(text: str) -> Folded:
    """The folded text and where each of its characters comes from."""
    characters: list[str] = []
    offsets: list[int] = []
    for offset, character in enumerate(text):
        for folded in _fold_character(character):
            if folded == " " and characters and characters[-1] == " ":
                continue
            characters.append(folded)
            offsets.append(offset)
    return Folded("".join(characters), offsets)


def stands_alone(text: str, start: int, end: int) -> bool:
    """Whether a span is not cut out of a longer word or number (`404,20` of `1.404,20`)."""
    return not _inside_word(text, start) and not _inside_word(text, end)


@lru_cache(maxsize=8192)
def _fold_character(character: str) -> str:
    if character in _INVISIBLE:
        return ""
    if character.isspace():
        return " "
    plain = unicodedata.normalize("NFKD", character.translate(_SAME)).casefold()
    return "".join(each for each in plain if not unicodedata.combining(each))


def _inside_word(text: str, at: int) -> bool:
    """Whether a border at this offset parts two characters of a word or of a number."""
    before, after = text[max(at - 1, 0) : at], text[at : at + 1]
    if before.isalnum() and after.isalnum():
        return True
    if before.isdigit() and after in tuple(".,'’"):
        return text[at + 1 : at + 2].isdigit()
    return after.isdigit() and before in tuple(".,'’") and text[max(at - 2, 0) : at - 1].isdigit()


def _find_bounded(text: str, wanted: str) -> tuple[int, int] | None:
    """The first occurrence that stands alone, of the first `_MAX_OCCURRENCES`."""
    start = text.find(wanted)
    for _ in range(_MAX_OCCURRENCES):
        if start < 0:
            break
        if stands_alone(text, start, start + len(wanted)):
            return start, start + len(wanted)
        start = text.find(wanted, start + 1)
    return None


def _whole_words(text: str, start: int, end: int) -> tuple[int, int]:
    """The span with the words completed that it begins and ends in, and without spaces around it."""
    for _ in range(_MAX_WORD):
        start -= start > 0 and _inside_word(text, start)
        end += end < len(text) and _inside_word(text, end)
    while start < end and text[start] == " ":
        start += 1
    while end > start and text[end - 1] == " ":
        end -= 1
    return start, end


def _place(page: PageText, folded: Folded, span: tuple[int, int], score: float) -> Place:
    start, end = folded.offsets[span[0]], folded.offsets[span[1] - 1] + 1
    return Place(page, start, end, score)
