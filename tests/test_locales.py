"""Dates and amounts as the CLDR says that each language writes them are read back from a document.

Babel writes them here; what reads them is told nothing but the text.
"""

from datetime import date
from decimal import Decimal

import pytest
from babel.dates import format_date
from babel.numbers import format_currency, format_decimal
from hypothesis import given
from hypothesis import strategies as st

from tasks.dates import detect_day_first, find_dates
from tasks.languages import detect_language, language_name
from tasks.values import detect_number_format, find_amounts

LETTERS = {
    "en": "Dear customer, thank you for your order. Please pay the amount below within thirty days.",
    "de": "Sehr geehrte Damen und Herren, vielen Dank für Ihren Auftrag. Bitte überweisen Sie den Betrag.",
    "fr": "Madame, Monsieur, nous vous remercions de votre commande. Veuillez régler le montant indiqué.",
    "es": "Estimado cliente: le agradecemos su pedido. Le rogamos que abone el importe indicado.",
    "it": "Gentile cliente, la ringraziamo per il suo ordine. La preghiamo di pagare l'importo indicato.",
    "nl": "Geachte klant, hartelijk dank voor uw bestelling. Wij verzoeken u het bedrag te betalen.",
}
LOCALES = [
    "en_US",
    "en_GB",
    "en_IE",
    "de_DE",
    "de_AT",
    "fr_FR",
    "fr_BE",
    "es_ES",
    "it_IT",
    "nl_NL",
    "nl_BE",
    "de_CH",
    "fr_CH",
    "it_CH",
]
"""Switzerland writes numbers otherwise than the countries that its languages are named after."""
WITH_CENTS = "7{mark}50 + 12{mark}25 + 3{mark}99"
"""Lines of a bill: what shows how a document from Switzerland writes numbers."""

amounts = st.decimals(min_value=Decimal("0.01"), max_value=Decimal(99_999_999), places=2)
days = st.dates(min_value=date(1970, 1, 1), max_value=date(2069, 12, 31))


def letter(locale: str) -> str:
    written = format_decimal(Decimal("7.5"), format="0.00", locale=locale)
    mark = "," if "," in written else "."
    return f"{LETTERS[locale[:2]]}\n{WITH_CENTS.format(mark=mark)}\n"


@pytest.mark.parametrize("language", LETTERS)
def test_the_language_of_a_letter_is_told(language: str) -> None:
    assert detect_language(LETTERS[language]) == language
    assert detect_language(LETTERS[language].upper()) == language


@pytest.mark.parametrize("text", ["", "4711 0815", "12,50 EUR 2024-01-31", "\x00\x1b[31m", "x" * 10_000])
def test_what_has_no_words_has_no_language(text: str) -> None:
    assert detect_language(text) == ""


def test_a_language_that_is_not_read_is_named_too() -> None:
    assert detect_language("Szanowni Państwo, dziękujemy za zamówienie i prosimy o zapłatę kwoty.") == "pl"
    assert language_name("pl") == "Polish"
    assert language_name("") == "" and language_name("x-unknown") == "x-unknown"


@pytest.mark.parametrize("locale", LOCALES)
@given(value=amounts)
def test_an_amount_is_read_as_its_language_writes_it(locale: str, value: Decimal) -> None:
    for written in (
        format_currency(value, "EUR", locale=locale),
        "EUR " + format_decimal(value, format="#,##0.00", locale=locale),
        "EUR " + format_decimal(value, format="0.00", locale=locale),
    ):
        text = letter(locale)
        line = f": {written}\n"
        form = detect_number_format(text + line)
        found = [amount for amount in find_amounts(text + line, form) if amount.start >= len(text)]
        assert [(amount.value, amount.currency) for amount in found] == [(value, "EUR")], written


@pytest.mark.parametrize("locale", LOCALES)
@given(value=amounts, width=st.integers(1, 4))
def test_a_number_of_three_digits_behind_its_mark_follows_the_document(
    locale: str, value: Decimal, width: int
) -> None:
    """`1.234` is a thousand in one country and a little more than one in another."""
    whole = Decimal(int(value) % 10 ** (3 * width)) + 1000
    text = letter(locale)
    line = f": {format_decimal(whole, locale=locale)} EUR\n"
    form = detect_number_format(text + line)
    found = [amount.value for amount in find_amounts(text + line, form) if amount.start >= len(text)]
    assert found == [whole], line


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("width", ["medium", "long", "full"])
@given(day=days)
def test_a_date_is_read_as_its_language_writes_it(locale: str, width: str, day: date) -> None:
    text = letter(locale)
    written = format_date(day, format=width, locale=locale)  # type: ignore[arg-type]
    line = f": {written}.\n"
    found = find_dates(text + line, detect_day_first(text + line))
    assert [one.value for one in found] == [day], written
    assert (text + line)[found[0].start : found[0].end] in written


@pytest.mark.parametrize("locale", LOCALES)
@given(day=days, other=st.dates(min_value=date(2000, 1, 13), max_value=date(2030, 12, 31)))
def test_a_date_of_digits_follows_its_document(locale: str, day: date, other: date) -> None:
    """Another date, written out or with a day above twelve, says which of two numbers is the month."""
    other = other.replace(day=13 + other.day % 15)
    pattern = "MM/dd/yyyy" if locale == "en_US" else "dd/MM/yyyy"
    text = letter(locale) + format_date(other, format=pattern, locale=locale) + "\n"
    line = f": {format_date(day, format=pattern, locale=locale)}\n"
    found = find_dates(text + line, detect_day_first(text + line))
    assert [one.value for one in found] == [other, day], line


@pytest.mark.parametrize("line", ["6 Apr\u0131l 2026", "6 APR\u0130L 2026", "6. Augu\u017ft 2026"])
def test_letters_that_only_look_alike_make_no_date_fail(line: str) -> None:
    assert [(found.value.year, found.value.day) for found in find_dates(line, day_first=True)] == [(2026, 6)]
