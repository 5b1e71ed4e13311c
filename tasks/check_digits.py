"""Numbers that carry a check digit: whether it fits, as python-stdnum (LGPL-2.1) computes it."""

from importlib import import_module
from typing import Any, Literal

NumberKind = Literal["iban", "bic", "vat", "creditor_reference", "isin", "lei", "luhn"]
"""What a field of a recipe may say that its number is (`check`)."""

_MODULES: dict[NumberKind, str] = {
    "iban": "stdnum.iban",
    "bic": "stdnum.bic",
    "creditor_reference": "stdnum.iso11649",  # RF..., on payment slips
    "isin": "stdnum.isin",
    "lei": "stdnum.lei",
    "luhn": "stdnum.luhn",  # payment cards and many others
}
_OF_COUNTRIES = frozenset({"iban", "vat"})
_NAMES: dict[NumberKind, str] = {
    "iban": "IBAN",
    "bic": "BIC",
    "vat": "VAT id",
    "creditor_reference": "creditor reference",
    "isin": "ISIN",
    "lei": "LEI",
    "luhn": "number",
}


def number_problem(kind: NumberKind, number: str) -> str:
    """What is wrong with a number, as the end of a sentence; empty if it is right or cannot be told.

    An IBAN and a VAT id are told by the two letters of their country; an account or tax number without
    them has no common form.
    """
    country = number.strip()[:2]
    if kind in _OF_COUNTRIES and not (country.isascii() and country.isalpha()):
        return ""
    rules = _vat_rules(country.lower()) if kind == "vat" else import_module(_MODULES[kind])
    if rules is None:
        return ""
    from stdnum.exceptions import InvalidChecksum, InvalidLength, ValidationError

    try:
        rules.validate(number)
    except InvalidChecksum:
        return f"is no valid {_NAMES[kind]}: its check digits do not fit"
    except InvalidLength:
        return f"is no valid {_NAMES[kind]}: it has another length"
    except ValidationError:
        return f"is no valid {_NAMES[kind]}: it has another form"
    return ""


def _vat_rules(country: str) -> Any:
    """The module for VAT ids of a country; None if it has none."""
    from stdnum import get_cc_module
    from stdnum.eu import vat

    # That of the EU knows that Greece writes EL, and Northern Ireland XI.
    if country in vat.MEMBER_STATES or country in {"el", "xi"}:
        return vat
    return get_cc_module(country, "vat")
