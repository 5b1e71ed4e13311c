"""What a model says of a field, held against the words of the page.

A value is verified only if the page itself says it at the place of the quote: the same amount or date is
read there, or the same words stand there. Everything else a model says is unverified.
"""

import re
from decimal import Decimal

from tasks.dates import detect_day_first, find_dates, parse_date
from tasks.documents import DocumentText, Field, FieldStatus
from tasks.engines.llm.quotes import Place, QuoteFinder, fold, stands_alone
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
_AROUND = 40
"""Characters beside the quote, so that a number cut out of a longer one is seen to be that."""
_OF_NUMBER = re.compile(r"[\d\-−–(]")
_CODE_JOINTS = ("-", "/", "_")


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
        stated = self._stated(spec, value, normalised, _Window(place))
        return Field(
            name=spec.name,
            value=stated or normalised,
            quote=place.quote,
            page=place.page.number,
            start=place.page.start + place.start,
            end=place.page.start + place.end,
            status=FieldStatus.VERIFIED if stated else FieldStatus.UNVERIFIED,
            confidence=round(_VERIFIED * place.score, 2) if stated else _UNVERIFIED,
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
        return text if any(character.isalnum() for character in text) else ""

    def _amounts(self, value: str) -> list[Decimal]:
        """`1.234` may be read in two ways: as was asked for, and as the document writes numbers."""
        read = [parse_amount(value, mark) for mark in (".", self._form.decimal_mark)]
        return [amount for amount in read if amount is not None]

    def _stated(self, spec: FieldSpec, value: str, normalised: str, window: "_Window") -> str:
        """The value as the page states it at the quote; empty if it does not."""
        match spec.type:
            case "date":
                dates = find_dates(window.text, self._day_first)
                said = [date.value.isoformat() for date in dates if window.covers(date.start, date.end)]
            case "amount":
                wanted = self._amounts(value)
                said = [format_amount(each.value) for each in self._numbers(window) if each.value in wanted]
                return said[0] if said else ""
            case "currency":
                found = find_currencies(window.text)
                said = [currency.code for currency in found if window.covers(currency.start, currency.end)]
                said += [number.currency for number in self._numbers(window)]
            case "identifier":
                return normalised if window.has_code(normalised) else ""
            case _:
                return normalised if window.has_words(normalised) else ""
        return normalised if normalised in said else ""

    def _numbers(self, window: "_Window") -> list[Amount]:
        found = find_amounts(window.text, self._form)
        return [number for number in found if window.covers_number(number)]


def missing(spec: FieldSpec) -> Field:
    """The field of a document that does not say it."""
    return Field(name=spec.name, value="", status=FieldStatus.MISSING)


class _Window:
    """The place of a quote with some text around it; offsets are into the window."""

    def __init__(self, place: Place) -> None:
        begin = max(place.start - _AROUND, 0)
        self.text = place.page.text[begin : place.end + _AROUND]
        self._start, self._end = place.start - begin, place.end - begin

    def covers(self, start: int, end: int) -> bool:
        """Whether the quote holds all of a span."""
        return self._start <= start and end <= self._end

    def covers_number(self, amount: Amount) -> bool:
        """Whether the quote holds all of a number; its currency may stand beside."""
        if amount.end <= self._start or amount.start >= self._end:
            return False
        outside = self.text[amount.start : self._start] + self.text[max(self._end, amount.start) : amount.end]
        return not _OF_NUMBER.search(outside)

    def has_words(self, words: str) -> bool:
        """Whether the quote has these words, however they are spaced and accented."""
        quote, wanted = fold(self.text[self._start : self._end]), fold(words)
        starts = (match.start() for match in re.finditer(re.escape(wanted), quote))
        return any(stands_alone(quote, start, start + len(wanted)) for start in starts)

    def has_code(self, code: str) -> bool:
        """Whether the quote has this number or code, perhaps with spaces, and not only a part of it."""
        spaced = re.compile(r"\s{0,2}".join(map(re.escape, code)), re.IGNORECASE)
        return any(
            stands_alone(self.text, *match.span()) and not self._is_part_of_code(*match.span())
            for match in spaced.finditer(self.text, self._start, self._end)
        )

    def _is_part_of_code(self, start: int, end: int) -> bool:
        joined_before = (
            self.text[start - 1 : start] in _CODE_JOINTS and self.text[start - 2 : start - 1].isalnum()
        )
        joined_after = self.text[end : end + 1] in _CODE_JOINTS and self.text[end + 1 : end + 2].isalnum()
        return joined_before or joined_after
