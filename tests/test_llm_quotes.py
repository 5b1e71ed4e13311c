"""Finding quotes again, and holding values against the page."""

import pytest

from tasks.documents import DocumentText, Field, FieldStatus, PageText
from tasks.engines.llm.fence import neutral
from tasks.engines.llm.grounding import Grounding
from tasks.engines.llm.quotes import QuoteFinder
from tasks.recipes import FieldSpec, FieldType

PAGE_1 = """\
Tischlerei Eichholz GmbH · Sägeweg 3 · 24103 Kiel
Rechnung Nr.  2024-0815
Rechnungsdatum: 07.02.2024, fällig am 21. Februar 2024
Nettobetrag 1.180,00 €
Rechnungsbetrag\u00a01.404,20 €
IBAN DE02 1203 0000 0000 2020 51
Zeichen <|im_end|> und [INST] im Text
"""
PAGE_2 = "Der Gesamt-\nbetrag von 1.404,20 EUR ist zahl-\nbar „sofort“ nach Erhait der Ware in bar.\n1.234 kg"
PAGES = (PageText(number=1, text=PAGE_1), PageText(number=2, text=PAGE_2))
DOCUMENT = DocumentText(name="r.pdf", pages=PAGES)


def check(kind: FieldType, value: str, quote: str, document: DocumentText = DOCUMENT) -> Field:
    field = Grounding(document).check(FieldSpec(name="f", type=kind, describe="d"), value, quote)
    if field.quote:
        page = next(page for page in document.pages if page.number == field.page)
        assert field.start is not None and field.end is not None
        assert page.text[field.start - page.start : field.end - page.start] == field.quote
    return field


@pytest.mark.parametrize(
    ("quote", "page", "words"),
    [
        ("Rechnungsdatum: 07.02.2024", 1, "Rechnungsdatum: 07.02.2024"),
        ("Rechnung Nr. 2024-0815", 1, "Rechnung Nr.  2024-0815"),
        ("RECHNUNGSBETRAG 1.404,20 €", 1, "Rechnungsbetrag\u00a01.404,20 €"),
        ('zahl-\nbar "sofort"', 2, "zahl-\nbar „sofort“"),
        ("Sageweg 3", 1, "Sägeweg 3"),
        ("nach Erhalt der Ware", 2, "nach Erhait der Ware"),
        ("Gesamtbetrag von 1.404,20 EUR", 2, "Gesamt-\nbetrag von 1.404,20 EUR"),
        ("Zeichen ‹|im_end|> und ［INST] im", 1, "Zeichen <|im_end|> und [INST] im"),
    ],
)
def test_a_quote_is_found_as_the_page_has_it(quote: str, page: int, words: str) -> None:
    place = QuoteFinder(PAGES).find(quote)
    assert place is not None
    assert (place.page.number, place.quote) == (page, words)


@pytest.mark.parametrize(
    "quote", ["", "  ", "...", "Total due 99.00", "404,20", "Lieferung erfolgt frei Haus", "ichholz", "€"]
)
def test_what_no_page_says_is_not_found(quote: str) -> None:
    assert QuoteFinder(PAGES).find(quote) is None


def test_a_very_long_or_hostile_quote_is_searched_in_reasonable_time() -> None:
    pages = tuple(PageText(number=n, text="aaaa bbbb " * 3000) for n in range(1, 20))
    assert QuoteFinder(pages).find("(a+)+$" * 40) is None


@pytest.mark.parametrize(
    ("kind", "value", "quote", "stored"),
    [
        ("date", "2024-02-07", "Rechnungsdatum: 07.02.2024", "2024-02-07"),
        ("date", "07.02.2024", "07.02.2024", "2024-02-07"),
        ("date", "2024-02-21", "fällig am 21. Februar 2024", "2024-02-21"),
        ("amount", "1404.20", "Rechnungsbetrag 1.404,20 €", "1404.20"),
        ("amount", "1.404,20 €", "1.404,20", "1404.20"),
        ("amount", "1404.2", "Rechnungsbetrag 1.404,20", "1404.20"),
        ("amount", "1.234", "in bar. 1.234 kg", "1234"),
        ("currency", "€", "Nettobetrag 1.180,00 €", "EUR"),
        ("currency", "EUR", "1.404,20 EUR", "EUR"),
        ("identifier", "2024-0815", "Rechnung Nr. 2024-0815", "2024-0815"),
        (
            "identifier",
            "DE02120300000000202051",
            "IBAN DE02 1203 0000 0000 2020 51",
            "DE02120300000000202051",
        ),
        ("party", "Tischlerei  Eichholz GmbH", "Tischlerei Eichholz GmbH", "Tischlerei Eichholz GmbH"),
        ("text", "in bar", "der Ware in bar.", "in bar"),
    ],
)
def test_what_the_page_says_is_verified(kind: FieldType, value: str, quote: str, stored: str) -> None:
    field = check(kind, value, quote)
    assert (field.status, field.value) == (FieldStatus.VERIFIED, stored)
    assert field.confidence > 0.75


@pytest.mark.parametrize(
    ("kind", "value", "quote"),
    [
        ("date", "2024-02-08", "Rechnungsdatum: 07.02.2024"),
        ("date", "2024-02-07", "Rechnungsdatum:"),
        ("amount", "1404.21", "Rechnungsbetrag 1.404,20 €"),
        ("amount", "-1404.20", "Rechnungsbetrag 1.404,20 €"),
        ("amount", "404.20", "404,20 €"),
        ("amount", "1180.00", "Rechnungsbetrag 1.404,20 €"),
        ("currency", "USD", "Rechnungsbetrag 1.404,20 €"),
        ("identifier", "0815", "Rechnung Nr. 2024-0815"),
        ("identifier", "2024-081", "Rechnung Nr. 2024-0815"),
        ("party", "Eich", "Tischlerei Eichholz GmbH"),
        ("party", "Someone Else Ltd", "Tischlerei Eichholz GmbH"),
        ("party", "Invented Ltd", "Invented Ltd, Nowhere Street"),
        ("text", "cash", "der Ware in bar."),
    ],
)
def test_what_the_page_does_not_say_is_unverified(kind: FieldType, value: str, quote: str) -> None:
    field = check(kind, value, quote)
    assert field.status is FieldStatus.UNVERIFIED
    assert field.value
    assert field.confidence < 0.5


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("date", "soon"),
        ("date", "2024-13-45"),
        ("amount", "5e985"),
        ("amount", "inf"),
        ("currency", "Taler"),
        ("party", " - "),
        ("identifier", ""),
        ("text", "\n"),
    ],
)
def test_a_value_of_the_wrong_kind_is_missing(kind: FieldType, value: str) -> None:
    field = check(kind, value, "Rechnungsdatum: 07.02.2024")
    assert (field.status, field.value, field.quote) == (FieldStatus.MISSING, "", "")


CODES = """\
Ref 2024-02-07/5, ID_1042, 1042/B, A-1042, 07:1042 and 0815; Smith-Jones Ltd
Karte 4111 1111 1111 1111, 10 42 Stück, 1\u202f404,20 €, am 21. Februar 2024
Rabatt - 5,00 EUR, Gutschrift \u20116,00 EUR, Muller & Söhne, KM/3802
Credit (7,00), Credit (€8,00) and (9,00 in all)
"""


@pytest.mark.parametrize(
    ("kind", "value", "quote"),
    [
        ("date", "2024-02-07", "Ref 2024-02-07/5"),
        ("amount", "1042", "ID_1042"),
        ("amount", "1042", "1042/B"),
        ("amount", "815", "0815"),
        ("amount", "2024", "am 21. Februar 2024"),
        ("amount", "1111", "1111"),
        ("amount", "5.00", "Rabatt - 5,00 EUR"),
        ("amount", "6.00", "Gutschrift \u20116,00 EUR"),
        ("amount", "7.00", "Credit (7,00)"),
        ("amount", "8.00", "Credit (€8,00)"),
        ("amount", "-7.00", "Credit (7,00)"),
        ("identifier", "1042", "10 42 Stück"),
        ("identifier", "1042", "07:1042"),
        ("identifier", "1111 1111", "1111 1111 1111"),
        ("identifier", "404", "1\u202f404,20 €"),
        ("identifier", "/3802", "KM/3802"),
        ("text", "1042", "A-1042"),
        ("party", "Smith", "Smith-Jones Ltd"),
        ("party", "Smith-Jones Ltd\u202e", "Smith-Jones Ltd"),
        ("party", "Smith-J\u043enes Ltd", "Smith-Jones Ltd"),
    ],
)
def test_what_is_only_a_part_or_only_looks_alike_is_unverified(
    kind: FieldType, value: str, quote: str
) -> None:
    document = DocumentText(name="c.pdf", pages=(PageText(number=1, text=CODES),))
    assert check(kind, value, quote, document).status is FieldStatus.UNVERIFIED


@pytest.mark.parametrize(
    ("kind", "value", "quote", "stored"),
    [
        ("party", "SMITH-JONES\u200b  Ltd", "Smith-Jones Ltd", "Smith-Jones Ltd"),
        ("party", "Müller & Sohne", "Muller & Söhne", "Muller & Söhne"),
        ("amount", "9.00", "(9,00 in all)", "9.00"),
        ("identifier", "\u212am/3802", "KM/3802", "KM/3802"),
        ("identifier", "4111111111111111", "Karte 4111 1111 1111 1111", "4111111111111111"),
    ],
)
def test_a_verified_value_is_spelled_as_on_the_page(
    kind: FieldType, value: str, quote: str, stored: str
) -> None:
    document = DocumentText(name="c.pdf", pages=(PageText(number=1, text=CODES),))
    field = check(kind, value, quote, document)
    assert (field.status, field.value) == (FieldStatus.VERIFIED, stored)


def test_the_quote_of_a_currency_holds_the_currency() -> None:
    field = check("currency", "EUR", "1.404,20", DocumentText(name="r.pdf", pages=(PAGES[1],)))
    assert (field.status, field.quote) == (FieldStatus.VERIFIED, "1.404,20 EUR")


def test_a_value_that_folds_to_nothing_is_missing() -> None:
    assert check("party", "\uff9e", "Tischlerei Eichholz GmbH").status is FieldStatus.MISSING


def test_offsets_of_a_part_count_from_the_beginning_of_its_page() -> None:
    start = PAGE_1.index("Nettobetrag")
    part = DocumentText(name="r.pdf", pages=(PageText(number=1, text=PAGE_1[start:], start=start),))
    field = check("amount", "1180.00", "Nettobetrag 1.180,00", part)
    assert field.start == start
    assert PAGE_1[field.start : field.end] == field.quote


def test_neutral_text_keeps_its_length_and_its_ordinary_brackets() -> None:
    text = "a <|im_end|> </s> [/INST] [img-0] [1] [see page 3] <b@c.de>"
    assert len(neutral(text)) == len(text)
    assert "<" not in neutral(text)
    assert "[/INST]" not in neutral(text) and "[img-0]" not in neutral(text)
    assert "[1] [see page 3]" in neutral(text)
