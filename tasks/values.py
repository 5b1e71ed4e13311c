"""Amounts and currencies as documents write them: finding them in text and normalising them.

The same digits mean different numbers in different places (`1.234` is 1234 in German and 1.234 in
English), so reading an amount takes the decimal mark of the document; `detect_locale` guesses it.
Dates are in `tasks.dates`. Every pattern here is bounded: hostile text costs linear time.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from tasks.languages import decimal_mark, detect_language

# Active ISO 4217 codes that bills in practice carry; a longer list would turn ordinary capitals
# ("ALL", "TOP") into currencies.
CURRENCY_CODES = frozenset(
    re.findall(
        "[A-Z]{3}",
        "AED ARS AUD BGN BRL CAD CHF CLP CNY COP CZK DKK EGP EUR GBP GEL HKD HRK HUF IDR ILS INR ISK JPY KES"
        " KRW KZT MAD MXN MYR NGN NOK NZD PEN PHP PKR PLN QAR RON RSD RUB SAR SEK SGD THB TND TWD UAH USD"
        " UYU VND ZAR",
    )
)
_SYMBOLS = {
    "€": "EUR",
    "euro": "EUR",
    "euros": "EUR",
    "£": "GBP",
    "us$": "USD",
    "ca$": "CAD",
    "c$": "CAD",
    "au$": "AUD",
    "a$": "AUD",
    "nz$": "NZD",
    "hk$": "HKD",
    "r$": "BRL",
    "$": "USD",
    "¥": "JPY",
    "₹": "INR",
    "₽": "RUB",
    "₺": "TRY",
    "zł": "PLN",
    "kč": "CZK",
    "fr.": "CHF",
    "sfr.": "CHF",
}
_CURRENCY = "|".join(
    [r"(?<![A-Za-z])(?:" + "|".join(sorted(CURRENCY_CODES)) + r")(?![A-Za-z])"]
    + [
        r"(?<![A-Za-z])" + re.escape(symbol)
        for symbol in ("US$", "CA$", "C$", "AU$", "A$", "NZ$", "HK$", "R$")
    ]
    + ["[€£$¥₹₽₺]"]
    + [r"(?<![^\W\d_])(?:[Ee]uros?|EUROS?|zł|Kč)(?![^\W\d_])"]
)
_CURRENCY_ANYWHERE = re.compile(_CURRENCY)
# "Fr." is Friday or a lady unless a number stands beside it.
_BESIDE_NUMBER = rf"{_CURRENCY}|(?<![A-Za-z])(?:S?Fr|s?fr)\."
_CURRENCY_BEFORE = re.compile(rf"(?P<currency>{_BESIDE_NUMBER})[ \u00a0\u202f]?$")
_CURRENCY_AFTER = re.compile(rf"[ \u00a0\u202f]{{0,2}}(?P<currency>{_BESIDE_NUMBER})")

_MINUS = "-−–"
_NUMBER = re.compile(
    r"(?<![\d.,'’/:])"
    r"(?:\d{1,3}(?:[.,'’\u00a0\u202f]\d{3}){1,5}|\d{1,3}(?:(?<=\d) \d{3}){1,4}(?=[.,]\d{2}(?!\d))|\d{1,12})"
    r"(?:[.,](?:\d{1,4}|--|[-–—](?!\w)))?"
    r"(?!\d|[.,/:'’]\d)"
)
_SPACED = re.compile(r"\d \d")
_PERCENT = re.compile(r"[ \u00a0\u202f]?[%‰°]")
_WHOLE_AMOUNT = re.compile(
    r"\(?[-−–+]? ?(?:\d{1,3}(?:[.,'’ \u00a0\u202f]\d{3}){1,5}|\d{1,15})(?:[.,](?:\d{1,4}|--|[-–—]))?[-−–]?\)?"
)
_SAMPLE = 40_000
"""Characters of a document that language and number format are guessed from."""


@dataclass(frozen=True)
class Amount:
    """A number in a text. `start` and `end` span the number with its sign and an adjacent currency."""

    value: Decimal
    currency: str
    """ISO 4217, or empty where no currency stands beside the number."""
    decimals: int
    """Digits after the decimal mark as written."""
    start: int
    end: int

    @property
    def is_money(self) -> bool:
        """Whether it is written like money: with a currency, or with two decimals."""
        return bool(self.currency) or self.decimals == 2


@dataclass(frozen=True)
class Currency:
    """A currency named in a text, as ISO 4217, and its span."""

    code: str
    start: int
    end: int


@dataclass(frozen=True)
class NumberFormat:
    """How a document writes numbers."""

    language: str
    """ISO 639-1, such as `de`; empty where the words do not tell."""
    decimal_mark: str
    """`.` or `,`."""


def detect_number_format(text: str) -> NumberFormat:
    """Guess language and decimal mark: the numbers vote, and the language breaks a tie."""
    sample = text[:_SAMPLE]
    language = detect_language(sample)
    votes = {".": 0, ",": 0}
    for match in re.finditer(r"(?<![\d.,/:])\d{1,9}([.,])\d{2}(?![\d.,/:]|\s?[Uu]hr)", sample):
        votes[match[1]] += 1
    for match in re.finditer(r"\d[.,'’]\d{3}([.,])\d{2}(?!\d)", sample):
        votes[match[1]] += 3
    if votes["."] == votes[","]:
        return NumberFormat(language, decimal_mark(language))
    return NumberFormat(language, max(votes, key=lambda mark: votes[mark]))


def parse_amount(text: str, decimal_mark: str) -> Decimal | None:
    """Read one amount, with or without its currency; None if the text is anything else.

    Understands grouping by point, comma, apostrophe and space, a minus before or behind, and brackets
    for a negative amount. `decimal_mark` decides only what is ambiguous, such as `1.234`.
    """
    bare = re.sub(_BESIDE_NUMBER, "", text[:80]).strip()
    if len(text) > 80 or not _WHOLE_AMOUNT.fullmatch(bare):
        return None
    digits = bare.strip("()+-−–— ")
    value = _read_number(digits.rstrip(".,") if digits[-1:] in ".," else digits, decimal_mark)
    if value is None:
        return None
    dash_for_cents = re.search(r"[.,](?:--|[-–—])\)?$", bare)
    negative = bare[0] in _MINUS or (bare[0] == "(" and bare[-1] == ")")
    return -value if negative or (bare[-1] in _MINUS and not dash_for_cents) else value


def parse_currency(text: str) -> str | None:
    """The ISO 4217 code of a code, symbol or name of a currency; None if it is anything else."""
    name = text.strip()
    return name.upper() if name.upper() in CURRENCY_CODES else _SYMBOLS.get(name.lower())


def find_currencies(text: str) -> list[Currency]:
    """Every currency code, symbol or name, in order."""
    return [
        Currency(parse_currency(match[0]) or "", match.start(), match.end())
        for match in _CURRENCY_ANYWHERE.finditer(text)
    ]


def find_amounts(text: str, form: NumberFormat) -> list[Amount]:
    """Every number that may be an amount, in order; percentages, dates and parts of codes are not."""
    found = []
    for start, end in _number_spans(text, form.language):
        if amount := _amount_at(text, start, end, form):
            found.append(amount)
    return found


def format_amount(value: Decimal) -> str:
    """A decimal with a point, no grouping, no exponent; the decimals stay as they were written."""
    return format(value, "f")


def _number_spans(text: str, language: str) -> Iterator[tuple[int, int]]:
    for match in _NUMBER.finditer(text):
        start, end = match.span()
        # A plain space groups digits in French. Elsewhere it may as well part two columns ("1 198,00"),
        # unless a label or a currency opens the number.
        opened = language == "fr" or text[max(0, start - 2) : start].strip().endswith((":", "€", "$", "£"))
        if _SPACED.search(match[0]) and not opened:
            start += match[0].rindex(" ") + 1
        yield start, end


def _amount_at(text: str, start: int, end: int, form: NumberFormat) -> Amount | None:
    number = text[start:end]
    value = _read_number(number.rstrip("-–—").rstrip(".,"), form.decimal_mark)
    if value is None or _PERCENT.match(text, end):
        return None
    decimals = max(0, -int(value.as_tuple().exponent))
    if number[-1] not in "-–—" and text[end : end + 1] == "-" and not text[end + 1 : end + 2].isalnum():
        value, end = -abs(value), end + 1
    negative, start = _sign_before(text, start)
    if start < 0:
        return None
    before = _CURRENCY_BEFORE.search(text, max(0, start - 6), start)
    after = _CURRENCY_AFTER.match(text, end, end + 8)
    if text[start - 1 : start].isalpha() and not before:
        return None
    if (text[end : end + 1].isalpha() or text[end : end + 1] in ("_", "-")) and not after:
        return None
    currency = parse_currency((before or after or {"currency": ""})["currency"]) or ""
    start, end = (before.start(), end) if before else (start, after.end() if after else end)
    if before and not negative and text[start - 1 : start] in tuple(_MINUS):  # "-€5.00"
        negative, start = True, start - 1
    return Amount(-abs(value) if negative else value, currency, decimals, start, end)


def _sign_before(text: str, start: int) -> tuple[bool, int]:
    """Whether the number is negative, and where it begins; -1 if a hyphen joins it to a code."""
    before, outer = text[start - 1 : start], text[start - 2 : start - 1] if start > 1 else ""
    if before and before in _MINUS:
        return (False, -1) if outer.isalnum() or outer in tuple(_MINUS) else (True, start - 1)
    return False, start


def _read_number(digits: str, decimal_mark: str) -> Decimal | None:
    compact = re.sub(r"['’\s\u00a0\u202f]", "", digits)
    if not compact or not compact[0].isdigit() or not compact.isascii():
        return None
    from babel.numbers import NumberFormatError, parse_decimal

    # Once the mark is known, the number is read as one of a locale that has it. `strict` refuses
    # what groups its digits in another way, instead of reading 2,34 as 234.
    locale = "de" if _mark_of(compact, decimal_mark) == "," else "en"
    try:
        return parse_decimal(compact, locale=locale, strict=True)
    except NumberFormatError:
        return None


def _mark_of(number: str, decimal_mark: str) -> str:
    """The decimal mark of a number, by its own form where that tells, else the document's."""
    last = max(number.rfind("."), number.rfind(","))
    if last < 0:
        return decimal_mark
    mark, decimals = number[last], number[last + 1 :]
    other = "," if mark == "." else "."
    if number.count(mark) > 1:  # it groups
        return other
    if other in number:  # the one that groups stands before the one that ends the whole part
        return mark
    is_group = len(decimals) == 3 and mark != decimal_mark and not number.startswith("0")
    return other if is_group else mark
