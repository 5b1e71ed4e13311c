"""Whether a value literally stands on a page: a reading of its own, to check the others by.

It knows nothing of how values are found, read or verified elsewhere: it only compares letters and digits.
"""

import re
from collections.abc import Mapping

from tasks.documents import Field
from tasks.recipes import FieldType

_CURRENCY_SIGNS: Mapping[str, tuple[str, ...]] = {
    "EUR": ("€", "eur"),
    "USD": ("$", "us$"),
    "GBP": ("£",),
    "CHF": ("fr.", "sfr"),
    "JPY": ("¥",),
    "PLN": ("zł",),
    "CZK": ("kč",),
}


def stands_on(field: Field, kind: FieldType, page: str) -> bool:
    """Whether the quote of a field stands on a page, and the value in the quote, letter by letter.

    White space and case do not count. An amount has the quote's digits; a date has its day and its year in
    the quote, and its month as a number or a word.
    """
    if not field.quote or _letters(field.quote) not in _letters(page):
        return False
    quote = field.quote.casefold()
    match kind:
        case "amount":
            return _digits(field.value) in _digits(quote)
        case "date":
            return _has_date(field.value, quote)
        case "currency":
            signs = (field.value.casefold(), *_CURRENCY_SIGNS.get(field.value, ()))
            return any(sign in quote for sign in signs)
        case _:
            return _letters(field.value) in _letters(quote)


def _has_date(value: str, quote: str) -> bool:
    year, month, day = (int(part) for part in value.split("-"))
    numbers = [int(number) for number in re.findall(r"\d+", quote)]
    has_month = month in numbers or bool(re.search(r"[^\W\d_]{3}", quote))
    return day in numbers and has_month and (year in numbers or year % 100 in numbers)


def _letters(text: str) -> str:
    return "".join(character for character in text.casefold() if not character.isspace())


def _digits(text: str) -> str:
    return "".join(character for character in text if character.isdigit())
