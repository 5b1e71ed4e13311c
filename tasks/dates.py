"""Dates as documents write them: finding them in text and normalising them.

`03/05/2013` is read by what the rest of the document says (`detect_day_first`). Every pattern is
bounded: hostile text costs linear time.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from tasks.languages import detect_language, month_numbers

_YEAR = r"(?P<year>(?:19|20)\d{2})(?!\d)"
_ISO = re.compile(r"(?<![\w./-])(?P<year>(?:19|20)\d{2})([-/.])(?P<month>\d{2})\2(?P<day>\d{2})(?!\d|[-.]\d)")
_NUMERIC = re.compile(
    r"(?<![\w/-])(?<!\d[.,])(?P<first>\d{1,2})(?P<mark>[/-]|\. ?)(?P<second>\d{1,2})(?P=mark)"
    r"(?P<year>(?:19|20)\d{2}|\d{2})(?!\w|[./-]\d)"
)
_DIGIT = re.compile(r"\d")
_SAMPLE = 40_000
_MONTH_FIRST_SIGNS = re.compile(r"\$|\bUSD\b|\bZIP\b|\b[A-Z]{2} \d{5}(?:-\d{4})?\b")
_DAY_FIRST_SIGNS = re.compile(r"[€£]|\b(?:EUR|GBP|VAT|GST|AUD|IBAN)\b")


@dataclass(frozen=True)
class _WrittenOut:
    """Patterns of dates whose month is a word. Made when first needed: the names of months are loaded."""

    day_month: re.Pattern[str]
    month_day: re.Pattern[str]


@lru_cache(maxsize=1)
def _written_out() -> _WrittenOut:
    names = sorted(month_numbers(), key=lambda name: -len(name))
    month = "(?P<month>" + "|".join(map(re.escape, names)) + r")\.?(?![^\W\d_])"
    day = r"(?P<day>\d{1,2})"
    return _WrittenOut(
        re.compile(
            rf"(?<![\w.,/-]){day}(?:st|nd|rd|th|er|º|°|\.)?[ \u00a0-]{{0,2}}(?:of |de |d['’])?{month}"
            rf"(?:,? {{1,2}}|-|\u00a0)(?:de |del )?{_YEAR}",
            re.IGNORECASE,
        ),
        re.compile(rf"(?<![^\W_]){month} {day}(?:st|nd|rd|th)?,? {{1,2}}{_YEAR}", re.IGNORECASE),
    )


@dataclass(frozen=True)
class FoundDate:
    """A date in a text and its span."""

    value: date
    start: int
    end: int


def detect_day_first(text: str) -> bool:
    """Whether `03/05/2013` is the third of May in this document.

    Other dates of the document decide, then its language, then for English its currency and addresses.
    """
    sample = text[:_SAMPLE]
    votes = _votes(sample)
    if votes:
        return votes > 0
    if detect_language(sample) not in ("en", ""):
        return True
    month_first = len(_MONTH_FIRST_SIGNS.findall(sample))
    day_first = len(_DAY_FIRST_SIGNS.findall(sample))
    return day_first > month_first


def find_dates(text: str, day_first: bool) -> list[FoundDate]:
    """Every full date in a text, in order, without overlaps."""
    found: list[FoundDate] = []
    for date_found in sorted(_all_dates(text, day_first), key=lambda each: (each.start, -each.end)):
        if not found or date_found.start >= found[-1].end:
            found.append(date_found)
    return found


def parse_date(text: str, day_first: bool) -> date | None:
    """Read one date; None if the text is anything else."""
    stripped = text.strip()[:60]
    found = find_dates(stripped, day_first)
    whole = len(found) == 1 and found[0].start == 0 and found[0].end == len(stripped)
    return found[0].value if whole else None


def _all_dates(text: str, day_first: bool) -> Iterator[FoundDate]:
    yield from _plain_dates(text)
    yield from _numeric_dates(text, day_first)


def _plain_dates(text: str) -> Iterator[FoundDate]:
    """Those that can be read in one way only."""
    if not _DIGIT.search(text):
        return  # names of months take longer to look for
    for match in _ISO.finditer(text):
        yield from _checked(match, int(match["year"]), int(match["month"]), int(match["day"]))
    words = _written_out()
    for pattern in (words.day_month, words.month_day):
        for match in pattern.finditer(text):
            # To the pattern these are the same letters, to `lower` they are not.
            name = match["month"].replace("İ", "i").lower().replace("ı", "i").replace("ſ", "s")
            if month := month_numbers().get(name):
                yield from _checked(match, int(match["year"]), month, int(match["day"]))


def _numeric_dates(text: str, day_first: bool) -> Iterator[FoundDate]:
    for match in _NUMERIC.finditer(text):
        first, second, year = int(match["first"]), int(match["second"]), _full_year(match["year"])
        if len(match["year"]) == 2 and match["mark"] != "/" and len(match["first"] + match["second"]) < 4:
            continue  # "1.2.13" is a section number more often than a date
        dotted = match["mark"][0] == "."
        day, month = (first, second) if dotted or day_first else (second, first)
        if month > 12:
            day, month = month, day
        yield from _checked(match, year, month, day)


def _checked(match: re.Match[str], year: int, month: int, day: int) -> Iterator[FoundDate]:
    try:
        yield FoundDate(date(year, month, day), match.start(), match.end())
    except ValueError:
        return


def _full_year(year: str) -> int:
    """Two digits mean 1970 to 2069, as in POSIX (which splits at 69)."""
    number = int(year)
    if len(year) == 4:
        return number
    return number + (2000 if number < 70 else 1900)


def _votes(sample: str) -> int:
    """Positive for day first, negative for month first, 0 where the document's dates do not tell."""
    votes = 0
    both = [{found.value for found in _numeric_dates(sample, day_first)} for day_first in (True, False)]
    certain = {found.value for found in _plain_dates(sample)} | (both[0] & both[1])
    for match in _NUMERIC.finditer(sample):
        first, second, year = int(match["first"]), int(match["second"]), _full_year(match["year"])
        if match["mark"][0] == ".":
            continue
        if first > 12 or second > 12:
            votes += 3 if first > 12 else -3
            continue
        votes += 2 * (_date_or_none(year, second, first) in certain)
        votes -= 2 * (_date_or_none(year, first, second) in certain)
    words = _written_out()
    votes += sum(1 for _ in words.day_month.finditer(sample))
    return votes - sum(1 for _ in words.month_day.finditer(sample))


def _date_or_none(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
