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
