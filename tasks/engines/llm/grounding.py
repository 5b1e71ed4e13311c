"""What a model says of a field, held against the words of the page.

A value is verified only if the page itself says it at the place of the quote: the same amount or date is
read there, or the same words stand there, and they are no part of a longer number, code or name. What is kept
is what stands on the page: a model's own spelling, capitals and look-alike letters do not get into a verified
value. Everything else a model says is unverified.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from tasks.dates import detect_day_first, find_dates, parse_date
from tasks.documents import DocumentText, Field, FieldStatus
from tasks.engines.llm.quotes import (
    Place,
    QuoteFinder,
    fold,
    fold_with_offsets,
    stands_alone,
    without_invisible,
)
from tasks.recipes import FieldSpec
from tasks.values import (
    Amount,
    detect_number_format,
    find_amounts,
    find_currencies,
    format_amount,
    parse_amount,
    parse_currency,
)

_VERIFIED, _UNVERIFIED = 0.9, 0.3
"""Confidence of a field; the first is lowered where the page only nearly has the quote."""
_AROUND = 60
"""Characters beside the quote, so that a number cut out of a longer one is seen to be that."""
_CODE_JOINTS = ("-", "/", "_", "@")
_GROUPING = ("\u00a0", "\u202f")
"""Blanks that keep the groups of a number together: `404` is no number of `1 404,20`."""
_MIN_SPACED_CHARS = 8
"""A shorter code is not put together of pieces with blanks between: `10 42` are two numbers of a table."""
_BLANK = "[ \u00a0\u202f]"
# IBANs and card numbers are written in groups of four; no group is a number of its own.
_IN_FOURS = re.compile(
    rf"(?<!\w)(?:[A-Z]{{2}}\d{{2}}|\d{{4}})(?:{_BLANK}[A-Z\d]{{4}}){{2,7}}(?:{_BLANK}\d{{1,3}})?(?!\w)"
)
_MINUS_APART = re.compile(r"(?:^|\s)[-−]\s$")


@dataclass(frozen=True)
class _Said:
    """A value as a page says it. `start` and `end` are offsets into the text of the window."""

    value: str
    start: int
    end: int


class Grounding:
    """Checks values against one document; reads numbers and dates as that document writes them."""

    def __init__(self, document: DocumentText) -> None:
        self._finder = QuoteFinder(document.pages)
        self._form = detect_number_format(document.text)
        self._day_first = detect_day_first(document.text)

    def check(self, spec: FieldSpec, value: str, quote: str) -> Field:
        """The field with its value normalised and its quote placed.

        A value that is not of the field's type (a date that is none) is missing: it cannot be stored as
        one. A quote that stands on no page is dropped, and its value is unverified.
        """
        normalised = self._normalised(spec, value)
        if not normalised:
            return missing(spec)
        place = self._finder.find(quote)
        if place is None:
            return Field(name=spec.name, value=normalised, confidence=_UNVERIFIED)
        window = _Window(place)
        said = next(self._stated(spec, value, normalised, window), None)
        start, end = window.with_said(said) if said else (place.start, place.end)
        return Field(
            name=spec.name,
            value=said.value if said else normalised,
            quote=place.page.text[start:end],
            page=place.page.number,
            start=place.page.start + start,
            end=place.page.start + end,
            status=FieldStatus.VERIFIED if said else FieldStatus.UNVERIFIED,
            confidence=round(_VERIFIED * place.score, 2) if said else _UNVERIFIED,
        )

    def _normalised(self, spec: FieldSpec, value: str) -> str:
        """The value as it is stored; empty if it is not of the field's type."""
        match spec.type:
            case "date":
                date = parse_date(value, self._day_first)
                return date.isoformat() if date else ""
            case "amount":
                amounts = self._amounts(value)
                return format_amount(amounts[0]) if amounts else ""
            case "currency":
                return parse_currency(value) or ""
        text = ("" if spec.type == "identifier" else " ").join(value.split())
        return text if any(character.isalnum() for character in fold(text)) else ""

    def _amounts(self, value: str) -> list[Decimal]:
        """`1.234` may be read in two ways: as was asked for, and as the document writes numbers."""
        read = [parse_amount(value, mark) for mark in (".", self._form.decimal_mark)]
        return [amount for amount in read if amount is not None]

    def _stated(self, spec: FieldSpec, value: str, normalised: str, window: "_Window") -> Iterator[_Said]:
        """The value wherever the page states it at the quote."""
        match spec.type:
            case "date":
                yield from (said for said in self._dates(window) if said.value == normalised)
            case "amount":
                wanted = self._amounts(value)
                for each in self._numbers(window):
                    if each.value in wanted:
                        yield _Said(format_amount(each.value), each.start, each.end)
            case "currency":
                for currency in find_currencies(window.text):
                    if currency.code == normalised and window.covers(currency.start, currency.end):
                        yield _Said(normalised, currency.start, currency.end)
                for number in self._numbers(window):
                    if number.currency == normalised:
                        yield _Said(normalised, number.start, number.end)
            case "identifier":
                yield from window.codes(normalised)
            case _:
                yield from window.words(normalised)

    def _dates(self, window: "_Window") -> list[_Said]:
        found = find_dates(window.text, self._day_first)
        starts = {date.start for date in found}
        return [
            _Said(date.value.isoformat(), date.start, date.end)
            for date in found
            if window.covers(date.start, date.end)
            and (not window.is_part_of_code(date.start, date.end) or date.end + 1 in starts)
        ]

    def _numbers(self, window: "_Window") -> list[Amount]:
        dates = find_dates(window.text, self._day_first)
        return [
            number
            for number in find_amounts(window.text, self._form)
            if window.covers_number(number)
            and not any(number.start < date.end and date.start < number.end for date in dates)
        ]


def missing(spec: FieldSpec) -> Field:
    """The field of a document that does not say it."""
    return Field(name=spec.name, value="", status=FieldStatus.MISSING)


class _Window:
    """The place of a quote with some text around it; offsets are into the window."""

    def __init__(self, place: Place) -> None:
        self._begin = max(place.start - _AROUND, 0)
        self.text = place.page.text[self._begin : place.end + _AROUND]
        self._start, self._end = place.start - self._begin, place.end - self._begin
        self._in_fours = [match.span() for match in _IN_FOURS.finditer(self.text)]

    def with_said(self, said: _Said) -> tuple[int, int]:
        """The quote together with all of what was read in it, as offsets into the text of the page."""
        start, end = min(self._start, said.start), max(self._end, said.end)
        return self._begin + start, self._begin + end

    def covers(self, start: int, end: int) -> bool:
        """Whether the quote holds all of a span."""
        return self._start <= start and end <= self._end

    def covers_number(self, amount: Amount) -> bool:
        """Whether the quote holds all of an amount; its currency may stand beside."""
        digits = re.search(r"\d.*\d|\d", self.text[amount.start : amount.end], re.DOTALL)
        if digits is None:
            return False
        start, end = amount.start + digits.start(), amount.start + digits.end()
        return (
            self.covers(start, end)
            and not (self.text[start] == "0" and self.text[start + 1 : start + 2].isdigit())
            and not self._is_in_fours(start, end)
            and not (self.is_part_of_code(start, end) and not amount.is_money)
            and not (amount.value > 0 and self._may_be_negative(amount.start, amount.end))
        )

    def words(self, words: str) -> Iterator[_Said]:
        """These words in the quote as the page writes them, however they are spaced and accented."""
        page, wanted = fold_with_offsets(self.text), fold(words)
        for match in re.finditer(re.escape(wanted), page.text):
            start, end = page.offsets[match.start()], self._end_of_letter(page.offsets[match.end() - 1] + 1)
            if (
                stands_alone(page.text, *match.span())
                and self.covers(start, end)
                and not self.is_part_of_code(start, end)
            ):
                yield _Said(" ".join(without_invisible(self.text[start:end]).split()), start, end)

    def codes(self, code: str) -> Iterator[_Said]:
        """This number or code in the quote, not only a part of it. A long one may have blanks in it."""
        between = rf"{_BLANK}{{0,2}}" if len(code) >= _MIN_SPACED_CHARS else ""
        for match in re.finditer(between.join(map(re.escape, code)), self.text, re.IGNORECASE):
            start, end = match.span()
            if (
                stands_alone(self.text, start, end)
                and self.covers(start, end)
                and not self.is_part_of_code(start, end)
            ):
                yield _Said("".join(match[0].split()), start, end)

    def is_part_of_code(self, start: int, end: int) -> bool:
        """Whether a span is joined to letters or digits: `0815` in `2024-0815`, `Smith` in `Smith-Jones`."""
        at_borders = (start - 1, start, end - 1, end)
        return any(map(self._joins, at_borders)) or self._is_in_fours(start, end)

    def _joins(self, at: int) -> bool:
        """Whether a joint stands here between two letters or digits; a colon behind a word ends a label."""
        before, joint, behind = (self.text[max(each, 0) : each + 1] for each in (at - 1, at, at + 1))
        if not (before.isalnum() and behind.isalnum()):
            return False
        if before.isdigit() and behind.isdigit() and joint in _GROUPING:
            return True
        return joint in _CODE_JOINTS or (joint == ":" and before.isdigit())

    def _is_in_fours(self, start: int, end: int) -> bool:
        """Whether a span is a part of a number that is written in groups of four."""
        return any(
            first < end and start < last and (start > first or end < last) for first, last in self._in_fours
        )

    def _may_be_negative(self, start: int, end: int) -> bool:
        """Whether what may be a minus is there: a dash apart, a typographic one, or brackets around."""
        before = self.text[max(start - 3, 0) : start]
        in_brackets = before.endswith("(") and self.text[end : end + 1] == ")"
        is_dash = unicodedata.category(before[-1:] or " ") == "Pd"
        return in_brackets or is_dash or bool(_MINUS_APART.search(before))

    def _end_of_letter(self, end: int) -> int:
        """The end with the accents that belong to the last letter."""
        while end < len(self.text) and unicodedata.combining(self.text[end]):
            end += 1
        return end
