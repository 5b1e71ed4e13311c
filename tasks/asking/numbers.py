"""Whether the numbers and dates of a sentence stand in the text that it cites, however both are written."""

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal

from tasks.dates import detect_day_first, find_dates
from tasks.values import NumberFormat, detect_number_format, find_amounts, parse_amount

_NUMBER = re.compile(r"\d+(?:[.,:/'’\u00a0\u202f-]\d+)*")
_MARKS = (".", ",")


def unknown_numbers(sentence: str, texts: Sequence[str]) -> list[str]:
    """The numbers and dates of a sentence that none of the texts has, as they are written.

    A date or an amount may be written in another way (2 June 2023 for 02.06.2023, 1144 for 1,144.00); its
    value has to be the same. Texts say themselves how they write `03/05/2023` and `1.234`.
    """
    if not _NUMBER.search(sentence):
        return []
    dates = {one.value for text in texts for one in find_dates(text, detect_day_first(text))}
    written = {match[0] for text in texts for match in _NUMBER.finditer(text)}
    values = {value for text in texts for value in _values(text)}
    values |= {Decimal(part) for day in dates for part in (day.year, day.month, day.day)}
    unknown: list[str] = []
    rest = sentence
    for day_first in (True, False):
        for found in find_dates(rest, day_first):
            if found.value in dates:
                rest = _blanked(rest, found.start, found.end)
    for found in find_dates(rest, True):
        # Its parts may stand in the text, each in another place, and the date still be an invention.
        unknown.append(rest[found.start : found.end])
        rest = _blanked(rest, found.start, found.end)
    for mark in _MARKS:
        for amount in find_amounts(rest, NumberFormat("", mark)):
            if abs(amount.value) in values:
                rest = _blanked(rest, amount.start, amount.end)
    tokens = [match[0] for match in _NUMBER.finditer(rest)]
    unknown += [token for token in tokens if token not in written and values.isdisjoint(_readings(token))]
    return unknown


def _values(text: str) -> Iterable[Decimal]:
    """Every number of a text as the text means it, without its sign."""
    form = detect_number_format(text)
    for amount in find_amounts(text, form):
        yield abs(amount.value)
    for match in _NUMBER.finditer(text):
        if (value := parse_amount(match[0], form.decimal_mark)) is not None:
            yield abs(value)


def _readings(token: str) -> set[Decimal]:
    """What a number may mean; the sentence is too short to tell."""
    return {abs(value) for mark in _MARKS if (value := parse_amount(token, mark)) is not None}


def _blanked(text: str, start: int, end: int) -> str:
    return f"{text[:start]}{' ' * (end - start)}{text[end:]}"
