"""Amounts, currencies and dates: what is written in a locale is read back."""

from datetime import date
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.dates import detect_day_first, find_dates, parse_date
from tasks.languages import detect_language
from tasks.values import (
    NumberFormat,
    detect_number_format,
    find_amounts,
    find_currencies,
    format_amount,
    parse_amount,
    parse_currency,
)

GERMAN, ENGLISH, FRENCH = NumberFormat("de", ","), NumberFormat("en", "."), NumberFormat("fr", ",")
MONTHS_EN = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
MONTHS_DE = [
    "Januar",
    "Februar",
    "März",
    "April",
    "Mai",
    "Juni",
    "Juli",
    "August",
    "September",
    "Oktober",
    "November",
    "Dezember",
]

amounts = st.decimals(min_value=-999_999_999, max_value=999_999_999, places=2).filter(lambda d: d != 0)
dates = st.dates(min_value=date(1970, 1, 1), max_value=date(2069, 12, 31))


def write(value: Decimal, group: str, mark: str) -> str:
    return f"{value:,.2f}".replace(",", "\0").replace(".", mark).replace("\0", group)


@pytest.mark.parametrize(
    ("text", "mark", "value"),
    [
        ("2,34", ",", "2.34"),
        ("1.234,56", ",", "1234.56"),
        ("1,234.56", ".", "1234.56"),
        ("1 234,56", ",", "1234.56"),
        ("CHF 1'234.50", ".", "1234.50"),
        ("1.234", ",", "1234"),
        ("1.234", ".", "1.234"),
        ("0,052", ",", "0.052"),
        ("12.345.678", ",", "12345678"),
        ("-8,79 €", ",", "-8.79"),
        ("8,79-", ",", "-8.79"),
        ("−8,79", ",", "-8.79"),
        ("(1,234.56)", ".", "-1234.56"),
        ("-€5.00", ".", "-5.00"),
        ("EUR 5,--", ",", "5"),
        ("Fr. 50.-", ".", "50"),
        ("$9.99", ".", "9.99"),
    ],
)
def test_an_amount_is_read_by_the_decimal_mark_of_its_document(text: str, mark: str, value: str) -> None:
    assert parse_amount(text, mark) == Decimal(value)


@pytest.mark.parametrize(
    "text", ["", "abc", "12 items", "1.2.3", "1 198,00 19", "05.03.2013", "9" * 100, "--"]
)
def test_what_is_no_single_amount_is_none(text: str) -> None:
    assert parse_amount(text, ",") is None


@given(amounts)
@pytest.mark.parametrize(
    ("form", "group", "before", "after"),
    [
        (GERMAN, ".", "Summe: ", " €"),
        (ENGLISH, ",", "Total: $", ""),
        (FRENCH, " ", "Total : ", " €"),
        (FRENCH, "\u202f", "Total : ", " €"),
        (NumberFormat("de", "."), "'", "Total CHF ", ""),
    ],
)
def test_an_amount_written_in_a_locale_is_found_again(
    form: NumberFormat, group: str, before: str, after: str, value: Decimal
) -> None:
    text = f"{before}{write(value, group, form.decimal_mark)}{after}"
    found = find_amounts(text, form)
    assert [amount.value for amount in found] == [value]
    assert parse_amount(text[found[0].start : found[0].end], form.decimal_mark) == value
    assert Decimal(format_amount(found[0].value)) == value


@pytest.mark.parametrize(
    "text",
    ["19% of it", "RE-2013/42", "20131122-42", "TB100A4", "12:30", "Version 1.2.3.4", "DE89-3704", "3x4"],
)
def test_codes_times_and_percentages_are_no_amounts(text: str) -> None:
    assert find_amounts(text, ENGLISH) == []


def test_columns_parted_by_a_space_are_not_one_number() -> None:
    assert [a.value for a in find_amounts("1 198,00 19", GERMAN)] == [Decimal("198.00"), Decimal(19)]
    assert [a.value for a in find_amounts("Summe: 1 198,00", GERMAN)] == [Decimal("1198.00")]


def test_an_amount_knows_its_currency_and_its_place() -> None:
    text = "Zu zahlen 571,04 € oder CHF 600.-"
    euros, francs = find_amounts(text, GERMAN)
    assert (euros.currency, text[euros.start : euros.end]) == ("EUR", "571,04 €")
    assert (francs.currency, text[francs.start : francs.end]) == ("CHF", "CHF 600.-")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("€", "EUR"),
        ("eur", "EUR"),
        ("Euro", "EUR"),
        ("US$", "USD"),
        ("£", "GBP"),
        ("Fr.", "CHF"),
        ("zł", "PLN"),
    ],
)
def test_currencies_become_iso_codes(text: str, code: str) -> None:
    assert parse_currency(text) == code


def test_a_currency_inside_a_word_is_none() -> None:
    assert parse_currency("TOP") is None
    assert [found.code for found in find_currencies("EUROPA, AMEURX, 5 EUR")] == ["EUR"]


def test_the_document_tells_language_and_decimal_mark() -> None:
    assert detect_language("Bitte überweisen Sie den Betrag und die Summe") == "de"
    assert detect_language("Please pay the total amount to our account") == "en"
    assert detect_language("4711 0815") == ""
    assert detect_number_format("Rechnung über 1.234,56 und 7,00").decimal_mark == ","
    assert detect_number_format("Rechnung über 1'234.50 und 7.00").decimal_mark == "."
    assert detect_number_format("die Rechnung").decimal_mark == ","
    assert detect_number_format("the invoice").decimal_mark == "."


@pytest.mark.parametrize(
    ("text", "day_first", "expected"),
    [
        ("05.03.2013", False, "2013-03-05"),
        ("5 March 2013", True, "2013-03-05"),
        ("March 5, 2013", True, "2013-03-05"),
        ("5th of March 2013", True, "2013-03-05"),
        ("2013-03-05", True, "2013-03-05"),
        ("03/05/2013", True, "2013-05-03"),
        ("03/05/2013", False, "2013-03-05"),
        ("25/03/2013", False, "2013-03-25"),
        ("11. März 2014", True, "2014-03-11"),
        ("05. 03. 2013", True, "2013-03-05"),
        ("01.09.13", True, "2013-09-01"),
        ("1er mars 2013", True, "2013-03-01"),
        ("5 de marzo de 2013", True, "2013-03-05"),
        ("3 maggio 2020", True, "2020-05-03"),
        ("12 mei 2021", True, "2021-05-12"),
    ],
)
def test_a_date_is_read(text: str, day_first: bool, expected: str) -> None:
    found = parse_date(text, day_first)
    assert found is not None
    assert found.isoformat() == expected


@pytest.mark.parametrize(
    "text", ["", "31.02.2013", "1.2.13", "99/99/9999", "March", "KW 38/2013", "1.2.3.2013"]
)
def test_what_is_no_date_is_none(text: str) -> None:
    assert parse_date(text, True) is None


@given(dates)
def test_a_date_written_in_a_locale_is_found_again(day: date) -> None:
    month = day.month - 1
    for written, day_first in (
        (day.isoformat(), True),
        (day.strftime("%d.%m.%Y"), True),
        (f"{day.day}.{day.month}.{day.year}", True),
        (day.strftime("%d.%m.%y"), True),
        (day.strftime("%d/%m/%Y"), True),
        (day.strftime("%m/%d/%Y"), False),
        (f"{day.day} {MONTHS_EN[month]} {day.year}", True),
        (f"{MONTHS_EN[month]} {day.day}, {day.year}", False),
        (f"{day.day}. {MONTHS_DE[month]} {day.year}", True),
    ):
        assert parse_date(written, day_first) == day, written
        text = f"Datum: {written}, Seite 1"
        found = find_dates(text, day_first)
        assert [(each.value, text[each.start : each.end]) for each in found] == [(day, written)]


@pytest.mark.parametrize(
    ("text", "day_first"),
    [
        ("Invoice 03/05/2013, delivered 25/04/2013", True),
        ("Invoice 03/05/2013, delivered 04/25/2013", False),
        ("Invoice 03/05/2013, as agreed on 3 May 2013", True),
        ("Invoice 03/05/2013, as agreed on March 5, 2013", False),
        ("The invoice of 03/05/2013: please pay $5.00", False),
        ("The invoice of 03/05/2013: please pay £5.00 and VAT", True),
        ("Die Rechnung vom 03/05/2013 und der Betrag", True),
    ],
)
def test_the_document_tells_whether_the_day_comes_first(text: str, day_first: bool) -> None:
    assert detect_day_first(text) is day_first


@given(st.text(alphabet="0123456789.,'-–/ €$EURFr():%\nJanuär", max_size=200))
def test_any_text_gives_values_in_their_places(text: str) -> None:
    for form in (GERMAN, ENGLISH, FRENCH):
        for amount in find_amounts(text, form):
            assert 0 <= amount.start < amount.end <= len(text)
            assert any(character.isdigit() for character in text[amount.start : amount.end])
    places = [(found.start, found.end) for found in find_dates(text, True)]
    assert all(end <= start for (_, end), (start, _) in pairwise(places))
