"""What the offline engine looks at: the lines of a document with their numbers, dates and labels."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from tasks.dates import FoundDate, detect_day_first, find_dates
from tasks.documents import DocumentText, PageText
from tasks.recipes import FieldSpec
from tasks.values import Amount, NumberFormat, detect_number_format, find_amounts

# What names a document stands on its first pages, what sums it up on its last.
_FIRST_PAGES, _LAST_PAGES = 8, 3
_PAGE_CHARS = 40_000
_LINE_CHARS = 400
_RUN = 20
"""At most so many labels are taken to stand in a column above or below another."""
_GENERIC_CHARS = 7
"""Labels up to this length, such as `date` or `total`, are parts of other labels as well."""
_PIECE = re.compile(rf"[^\r\n\f]{{1,{_LINE_CHARS}}}(?=\s|$)|[^\r\n\f]{{{_LINE_CHARS}}}")


@dataclass(frozen=True)
class Span:
    """A place in a page: offsets into that page's text."""

    page: PageText
    start: int
    end: int

    @property
    def quote(self) -> str:
        """The words there."""
        return self.page.text[self.start : self.end]


@dataclass(frozen=True)
class Candidate:
    """A normalised value, where it stands, and how much speaks for it (0 to 1)."""

    value: str
    span: Span
    score: float


@dataclass(frozen=True)
class Hit:
    """A label of a field in a line. Offsets are into the line."""

    spec: FieldSpec
    start: int
    end: int
    score: float
    """0 to 1: earlier labels of a field say more, a label that ends another phrase says less."""


@dataclass(frozen=True)
class TextLine:
    """One line, without the white space around it; long ones are cut into pieces of 400 characters."""

    page: PageText
    start: int
    text: str
    form: NumberFormat
    day_first: bool

    @cached_property
    def amounts(self) -> list[Amount]:
        """Numbers that may be amounts and are no part of a date; offsets into the line."""
        taken = [(found.start, found.end) for found in self.dates]
        return [
            amount
            for amount in find_amounts(self.text, self.form)
            if not any(start < amount.end and amount.start < end for start, end in taken)
        ]

    @cached_property
    def money(self) -> list[Amount]:
        """The amounts that are written like money."""
        return [amount for amount in self.amounts if amount.is_money]

    @cached_property
    def dates(self) -> list[FoundDate]:
        """Full dates; offsets into the line."""
        return find_dates(self.text, self.day_first)

    def span(self, start: int, end: int) -> Span:
        """The place in the page of a part of this line."""
        return Span(self.page, self.start + start, self.start + end)


class Reading:
    """The lines of the first pages and the last ones, in order."""

    def __init__(self, document: DocumentText) -> None:
        pages = _pages_to_read(document.pages)
        sample = "\n".join(page.text[:_PAGE_CHARS] for page in pages)
        self.document = document
        self.form = detect_number_format(sample)
        self.day_first = detect_day_first(sample)
        self.lines = list(self._split(pages))

    def _split(self, pages: Iterable[PageText]) -> Iterator[TextLine]:
        for page in pages:
            for match in _PIECE.finditer(page.text, 0, _PAGE_CHARS):
                text = match[0].strip()
                if text:
                    start = match.start() + len(match[0]) - len(match[0].lstrip())
                    yield TextLine(page, start, text, self.form, self.day_first)

    def hits(self, specs: Sequence[FieldSpec]) -> list[list[Hit]]:
        """For each line the labels in it, from left to right; of overlapping ones the longest."""
        patterns = [(spec, _label_pattern(spec.labels)) for spec in specs if spec.labels]
        return [_hits_of_line(line.text, patterns) for line in self.lines]


def is_label_only(text: str) -> bool:
    """Whether a line is a label whose value stands elsewhere."""
    return text.endswith(":") and len(text) <= 60


def lines_after(reading: Reading, index: int, hit: Hit) -> Iterator[TextLine]:
    """Where the value of a label may stand if nothing follows it in its own line.

    Columns that were read one after the other give a run of labels and then a run of values: the value
    of the second label is the second line after the run. Otherwise it is the next line.
    """
    lines = reading.lines
    if hit.end < len(lines[index].text.rstrip(": #.")):
        return
    first = index
    while index - first < _RUN and first > 0 and is_label_only(lines[first - 1].text):
        first -= 1
    last = index
    while last - index < _RUN and last + 1 < len(lines) and is_label_only(lines[last + 1].text):
        last += 1
    place = last + 1 + (index - first)
    if place < len(lines) and lines[place].page is lines[index].page:
        yield lines[place]


def _pages_to_read(pages: tuple[PageText, ...]) -> tuple[PageText, ...]:
    if len(pages) <= _FIRST_PAGES + _LAST_PAGES:
        return pages
    return pages[:_FIRST_PAGES] + pages[-_LAST_PAGES:]


def _hits_of_line(text: str, patterns: list[tuple[FieldSpec, re.Pattern[str]]]) -> list[Hit]:
    hits = [
        Hit(spec, match.start(), match.end(), _label_score(spec, match, text))
        for spec, pattern in patterns
        for match in pattern.finditer(text)
    ]
    hits.sort(key=lambda hit: (hit.start - hit.end, -hit.score))
    kept: list[Hit] = []
    for hit in hits:
        if all(hit.end <= other.start or hit.start >= other.end for other in kept):
            kept.append(hit)
    return sorted(kept, key=lambda hit: hit.start)


def _label_score(spec: FieldSpec, match: re.Match[str], text: str) -> float:
    rank = int((match.lastgroup or "l0")[1:]) / len(spec.labels)
    score = 0.9 - 0.4 * rank
    # "Order date", "Item total": the word before makes it another label.
    generic = len(match[0]) <= _GENERIC_CHARS and match[0].isalpha()
    return score - 0.25 if generic and re.search(r"[^\W\d_]{3,20} $", text[: match.start()]) else score


@lru_cache(maxsize=256)
def _label_pattern(labels: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(enumerate(labels), key=lambda item: -len(item[1]))
    choices = "|".join(f"(?P<l{rank}>{_label_regex(label)})" for rank, label in longest_first)
    return re.compile(rf"(?<![^\W_])(?<![^\W\d_]-)(?:{choices})(?![^\W\d_])", re.IGNORECASE)


def _label_regex(label: str) -> str:
    parts = []
    for part in re.split(r"\s*(…)\s*|(\s+)|([-.])", label):
        if not part:
            continue
        if part == "…":
            parts.append(r"[^\n]{0,40}?(?<![^\W_])")
        elif part.isspace():
            parts.append(r"[\s.]{1,3}")
        else:
            parts.append({"-": r"[-–\s]{0,2}", ".": r"\.?"}.get(part, re.escape(part)))
    return "".join(parts)
