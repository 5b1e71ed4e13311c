"""Values as people type them: brought into the form that the ledger keeps, and found in a document."""

import re

from tasks.dates import detect_day_first, find_dates, parse_date
from tasks.documents import DocumentText, PageText
from tasks.engines.llm.quotes import QuoteFinder
from tasks.errors import ExitCode, ShoeboxError
from tasks.recipes import FieldSpec
from tasks.values import (
    detect_number_format,
    find_amounts,
    find_currencies,
    format_amount,
    parse_amount,
    parse_currency,
)

_MAX_CHARACTERS = 1_000
# ISO 4217, all that are in use (2026). Documents are searched for fewer, because some are also words.
_CURRENCIES = frozenset(
    re.findall(
        "[A-Z]{3}",
        "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN"
        " BZD CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS"
        " GIP GMD GNF GTQ GYD HKD HNL HRK HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW"
        " KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN"
        " NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK"
        " SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS"
        " VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG",
    )
)
_EXAMPLES = {
    "date": "2026-02-03 or 3.2.2026",
    "amount": "1234.50 or 1.234,50",
    "currency": "EUR or €",
}


class CorrectionError(ShoeboxError):
    """A correction that cannot be made; the message says why."""

    exit_code = ExitCode.USAGE


def normalised(spec: FieldSpec, typed: str, text: DocumentText) -> str:
    """A typed value in the form of its field's type; empty stays empty.

    What may be read in two ways (`3/4/2026`, `1.234`) is read as the document itself writes it.

    Raises:
        CorrectionError: it is not of the field's type; names the field and an example.
    """
    value = " ".join(typed.encode("utf-8", "replace").decode().split())
    if len(value) > _MAX_CHARACTERS:
        raise CorrectionError(
            f"The value for {spec.name!r} has {len(value):,} characters; the limit is {_MAX_CHARACTERS:,}.",
            "Shorten it.",
        )
    found = _parsed(spec, value, text) if value else ""
    if found is None:
        article = "an" if spec.type == "amount" else "a"
        raise CorrectionError(
            f"{value!r} is not {article} {spec.type}, as {spec.name!r} needs.",
            f"Write it like {_EXAMPLES[spec.type]}; nothing at all if the document does not say.",
        )
    return found


def _parsed(spec: FieldSpec, value: str, text: DocumentText) -> str | None:
    match spec.type:
        case "date":
            day = parse_date(value, detect_day_first(text.text))
            return day.isoformat() if day else None
        case "amount":
            amount = parse_amount(value, detect_number_format(text.text).decimal_mark)
            return None if amount is None else format_amount(amount)
        case "currency":
            return value.upper() if value.upper() in _CURRENCIES else parse_currency(value)
        case _:
            return value


def find_value(spec: FieldSpec, value: str, text: DocumentText) -> tuple[PageText, int, int] | None:
    """Where a document says a normalised value: page, start, end; the first place, in whatever form."""
    if spec.type not in _EXAMPLES:
        place = QuoteFinder(text.pages).find(value)
        # Of a number every character counts; a name is the same one where OCR got a letter wrong.
        if place is None or (spec.type == "identifier" and place.score < 1):
            return None
        return place.page, place.start, place.end
    whole = text.text
    day_first, form = detect_day_first(whole), detect_number_format(whole)
    for page in text.pages:
        spans: list[tuple[int, int]]
        if spec.type == "date":
            days = find_dates(page.text, day_first)
            spans = [(one.start, one.end) for one in days if one.value.isoformat() == value]
        elif spec.type == "amount":
            amount = parse_amount(value, ".")
            spans = [(one.start, one.end) for one in find_amounts(page.text, form) if one.value == amount]
        else:
            spans = [(one.start, one.end) for one in find_currencies(page.text) if one.code == value]
        if spans:
            return page, *spans[0]
    return None
