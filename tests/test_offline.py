"""The offline engine on small documents written for it, on hostile text, and measured against truth."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.accuracy import Outcome, compare, measure_folder, read_truth
from tasks.documents import Analysis, DocumentText, Field, FieldStatus, PageText
from tasks.engines.base import ReadingEngine
from tasks.engines.offline import OfflineEngine
from tasks.errors import FileError, NotFoundError
from tasks.recipes import load_recipe, parse_recipe

RECIPE = load_recipe("builtin", Path())
ENGINE: ReadingEngine = OfflineEngine()

INVOICE_DE = """\
Tischlerei Eichholz GmbH · Sägeweg 3 · 24103 Kiel
Frau
Ada Winter
Lindenallee 12a
24937 Flensburg
Rechnung
Rechnungsnummer: 2024-0815
Rechnungsdatum: 07.02.2024
Kundennummer: 5531
Lieferdatum: 01.02.2024
Pos Bezeichnung Menge Einzelpreis Gesamt
1 Regal, Eiche 2 450,00 900,00
2 Montage 3,5 80,00 280,00
Nettobetrag 1.180,00 €
zzgl. 19 % MwSt. 224,20 €
Rechnungsbetrag 1.404,20 €
Bitte überweisen Sie den Betrag bis zum 21.02.2024 auf unser Konto.
Tischlerei Eichholz GmbH, Geschäftsführer: Jan Eichholz, Amtsgericht Kiel HRB 99
USt-IdNr. DE136695976 IBAN DE02 1203 0000 0000 2020 51
"""

INVOICE_EN = """\
Brightwater Plumbing Ltd
14 Canal Street
Leeds LS1 4AB
VAT No GB980780684
INVOICE
Invoice No: BW/1042
Invoice Date: 03/05/2023
Due Date: 02/06/2023
Bill to:
Harold Finch
8 Station Road
York YO1 7HH
Description Qty Price Amount
Boiler service 1 £95.00 £95.00
Valve 2 £12.50 £25.00
Subtotal £120.00
VAT 20% £24.00
Total due £144.00
Please pay within 30 days. Late payment is charged with interest under the law.
"""

CREDIT_NOTE_DE = """\
Nordlicht Handel AG
Hafenstr. 5
20457 Hamburg
Tel. 040 000000, www.nordlicht.example
Gutschrift Nr. GS-77
Datum: 12.11.2022
Summe netto: -100,00 €
Umsatzsteuer 19 %: -19,00 €
Gutschriftbetrag: -119,00 €
"""

INVOICE_US = """\
Granite Tools Corporation
500 Industrial Way
Salem, OR 97301
INVOICE
BILL TO SHIP TO INVOICE # 10442
Jane Roe Jane Roe INVOICE DATE 11/02/2023
77 Elm St 77 Elm St P.O. 991
Dover, DE 19901 Dover, DE 19901 DUE DATE 12/02/2023
QTY DESCRIPTION UNIT PRICE AMOUNT
2 Widget 10.00 20.00
Subtotal 20.00
Sales Tax 6.25% 1.25
TOTAL $21.25
"""

INVOICE_FR = """\
SARL Dupont Frères
12 rue des Lilas
75011 Paris
SIRET 000 000 000
Facture n° F-2023-118
Date de facture : 15/09/2023
Facturé à :
Madame Claire Petit
3 avenue Foch
69006 Lyon
Total HT 1 000,00 €
TVA 20 % 200,00 €
Total TTC 1 200,00 €
Date d'échéance : 15/10/2023
"""

INVOICE_CH = """\
Bergwind Treuhand AG
Bahnhofstrasse 10
8001 Zürich
Herr
Urs Meier
Dorfweg 4
6300 Zug
Zürich, 3. Juni 2022
Rechnung Nr. 220603
Nettobetrag CHF 2'400.00
MWST 7.7% CHF 184.80
Total CHF 2'584.80
Zahlbar innert 30 Tagen
"""

RECEIPT_EN = """\
CORNER BAKERY
221 Mill Lane
Sales Receipt
Receipt No 000187
Date: 10/14/2023 08:12
Croissant $3.25
Coffee $2.75
Subtotal $6.00
Sales tax $0.48
TOTAL $6.48
VISA ************1111
Change due $0.00
Thank you for your purchase!
"""

RECEIPT_DE = """\
Markthalle Süd
Kassenbon
Bon-Nr. 4412 Kasse 3
Brot 3,20
Käse 5,79
SUMME EUR 8,99
Gegeben Bar EUR 10,00
Rückgeld EUR 1,01
enthaltene MwSt 7% 0,59
05.06.2024 17:45
Vielen Dank für Ihren Einkauf
"""

CONTRACT_EN = """\
SERVICE AGREEMENT
This Agreement is made on 1 March 2021 between Harbour Analytics Limited, a company registered in
England, and Otter Books Ltd (hereinafter "the Client").
The parties agree as follows.
Effective Date: 15 March 2021
Fee: GBP 2,500.00 per month
Notice period: three months to the end of a quarter
Governing law and termination. This Agreement is governed by the law of England and Wales.
"""

CONTRACT_DE = """\
Mietvertrag
zwischen
Erika Sommer
und
Bernd Herbst
wird folgender Mietvertrag geschlossen:
Vermieter: Erika Sommer
Mieter: Bernd Herbst
Mietbeginn: 01.04.2020
Die Kaltmiete beträgt 780,00 € im Monat.
Kündigungsfrist: drei Monate
Münster, den 14.03.2020
"""

LETTER_DE = """\
Stadtwerke Beispielstadt
Am Wasserturm 1
10000 Beispielstadt
Herrn
Paul Krüger
Gartenweg 8
10001 Beispielstadt
Unser Zeichen: SW-2231/9
Datum: 3. September 2021
Ablesung Ihres Zählers
Sehr geehrter Herr Krüger,
in der kommenden Woche lesen unsere Mitarbeiter die Zähler in Ihrer Straße ab. Bitte sorgen Sie dafür,
dass der Keller zugänglich ist. Falls Sie verhindert sind, rufen Sie uns bis zum 10.09.2021 an.
Mit freundlichen Grüßen
Stadtwerke Beispielstadt
"""

LETTER_EN = """\
Oakfield Primary School
2 Chapel Hill
Bath BA1 1AA
12 January 2022
Dear Mrs Palmer,
We are pleased to confirm that your daughter has a place in our school from September. Please return the
enclosed slip no later than 28 January 2022. We look forward to meeting you at the open day.
Yours sincerely
Joan Abbot
"""

MAIL = """\
From: "Rosa Klein" <rosa@example.org>
To: "Support Team" <help@example.org>
Date: Tue, 9 Apr 2024 10:15:00 +0200
Subject: Printer on the second floor

Hello, the printer on the second floor prints blank pages since this morning. Could somebody look at it
before the meeting at noon? Thank you very much for your help.
"""

STATEMENT_DE = """\
Sparbank Musterland
Kontoauszug Nr. 4
IBAN: DE02 1203 0000 0000 2020 51
Kontoauszug vom 30.04.2023
Alter Kontostand EUR 1.250,00
Buchungstag Wertstellung Vorgang Betrag
03.04.2023 03.04.2023 Miete -780,00
28.04.2023 28.04.2023 Gehalt 2.400,00
Neuer Kontostand EUR 2.870,00
"""

REPORT_EN = """\
Annual Report of the River Trust
Prepared by: Helen Marsh
Date: 31 December 2020
Table of Contents
Executive Summary
Introduction
The trust planted four thousand trees along the river. Volunteers cleaned twelve miles of the bank. The
water is now clearer than at any time since measurements began. Recommendations follow in the appendix.
Conclusion
The methodology and the findings are described in the references.
"""

FORM_DE = """\
Antragsformular
Zutreffendes bitte ankreuzen und in Druckbuchstaben ausfüllen
Antragsteller: Nora Falk
Geburtsdatum: 02.02.1990
Vorname Familienname
☐ Neuantrag ☒ Verlängerung
Datum: 11.10.2023
Unterschrift
"""


def document(*pages: str, name: str = "scan.pdf", title: str = "") -> DocumentText:
    return DocumentText(
        name=name,
        title=title,
        pages=tuple(PageText(number=number, text=text) for number, text in enumerate(pages, start=1)),
    )


def analyse(text: str, category: str) -> Analysis:
    return ENGINE.analyse(document(text), RECIPE.category(category))


def values(analysis: Analysis) -> dict[str, str]:
    return {field.name: field.value for field in analysis.fields if field.value}


SAMPLES = [
    (
        INVOICE_DE,
        "invoice",
        {
            "number": "2024-0815",
            "date": "2024-02-07",
            "due_date": "2024-02-21",
            "total": "1404.20",
            "net": "1180.00",
            "tax": "224.20",
            "currency": "EUR",
            "iban": "DE02120300000000202051",
            "vat_id": "DE136695976",
            "seller": "Tischlerei Eichholz GmbH",
            "buyer": "Ada Winter",
        },
    ),
    (
        INVOICE_EN,
        "invoice",
        {
            "number": "BW/1042",
            "date": "2023-05-03",
            "due_date": "2023-06-02",
            "total": "144.00",
            "net": "120.00",
            "tax": "24.00",
            "currency": "GBP",
            "vat_id": "GB980780684",
            "seller": "Brightwater Plumbing Ltd",
            "buyer": "Harold Finch",
        },
    ),
    (
        CREDIT_NOTE_DE,
        "invoice",
        {
            "number": "GS-77",
            "date": "2022-11-12",
            "total": "-119.00",
            "net": "-100.00",
            "tax": "-19.00",
            "currency": "EUR",
            "seller": "Nordlicht Handel AG",
        },
    ),
    (
        INVOICE_US,
        "invoice",
        {
            "number": "10442",
            "date": "2023-11-02",
            "due_date": "2023-12-02",
            "total": "21.25",
            "net": "20.00",
            "tax": "1.25",
            "currency": "USD",
            "seller": "Granite Tools Corporation",
            "buyer": "Jane Roe",
        },
    ),
    (
        INVOICE_FR,
        "invoice",
        {
            "number": "F-2023-118",
            "date": "2023-09-15",
            "due_date": "2023-10-15",
            "total": "1200.00",
            "net": "1000.00",
            "tax": "200.00",
            "currency": "EUR",
            "seller": "SARL Dupont Frères",
            "buyer": "Madame Claire Petit",
        },
    ),
    (
        INVOICE_CH,
        "invoice",
        {
            "number": "220603",
            "date": "2022-06-03",
            "total": "2584.80",
            "net": "2400.00",
            "tax": "184.80",
            "currency": "CHF",
            "seller": "Bergwind Treuhand AG",
            "buyer": "Urs Meier",
        },
    ),
    (
        RECEIPT_EN,
        "receipt",
        {
            "number": "000187",
            "date": "2023-10-14",
            "total": "6.48",
            "net": "6.00",
            "tax": "0.48",
            "currency": "USD",
            "seller": "CORNER BAKERY",
        },
    ),
    (
        RECEIPT_DE,
        "receipt",
        {
            "number": "4412",
            "date": "2024-06-05",
            "total": "8.99",
            "tax": "0.59",
            "currency": "EUR",
            "seller": "Markthalle Süd",
        },
    ),
    (
        CONTRACT_EN,
        "contract",
        {
            "date": "2021-03-01",
            "start_date": "2021-03-15",
            "amount": "2500.00",
            "currency": "GBP",
            "party_a": "Harbour Analytics Limited",
            "party_b": "Otter Books Ltd",
            "notice_period": "three months to the end of a quarter",
        },
    ),
    (
        CONTRACT_DE,
        "contract",
        {
            "date": "2020-03-14",
            "start_date": "2020-04-01",
            "amount": "780.00",
            "currency": "EUR",
            "party_a": "Erika Sommer",
            "party_b": "Bernd Herbst",
            "notice_period": "drei Monate",
        },
    ),
    (
        LETTER_DE,
        "letter",
        {
            "sender": "Stadtwerke Beispielstadt",
            "recipient": "Paul Krüger",
            "date": "2021-09-03",
            "due_date": "2021-09-10",
            "subject": "Ablesung Ihres Zählers",
            "reference": "SW-2231/9",
        },
    ),
    (
        LETTER_EN,
        "letter",
        {"sender": "Oakfield Primary School", "date": "2022-01-12", "due_date": "2022-01-28"},
    ),
    (
        MAIL,
        "email",
        {
            "sender": "Rosa Klein",
            "recipient": "Support Team",
            "date": "2024-04-09",
            "subject": "Printer on the second floor",
        },
    ),
    (
        STATEMENT_DE,
        "statement",
        {
            "issuer": "Sparbank Musterland",
            "account": "DE02120300000000202051",
            "date": "2023-04-30",
            "opening_balance": "1250.00",
            "closing_balance": "2870.00",
            "currency": "EUR",
        },
    ),
    (REPORT_EN, "report", {"author": "Helen Marsh", "date": "2020-12-31"}),
    (FORM_DE, "form", {"applicant": "Nora Falk", "date": "2023-10-11"}),
]
IDS = [f"{category}-{text.split()[0]}" for text, category, _ in SAMPLES]


@pytest.mark.parametrize(("text", "category", "expected"), SAMPLES, ids=IDS)
def test_a_document_gets_its_category_and_its_fields(
    text: str, category: str, expected: dict[str, str]
) -> None:
    classification = ENGINE.classify(document(text), RECIPE)
    assert classification.category == category
    assert classification.confidence >= 0.5
    assert values(analyse(text, category)) == expected


@pytest.mark.parametrize(("text", "category", "expected"), SAMPLES, ids=IDS)
def test_every_value_stands_where_it_says(text: str, category: str, expected: dict[str, str]) -> None:
    spec_names = [spec.name for spec in RECIPE.category(category).fields]
    fields = analyse(text, category).fields
    assert [field.name for field in fields] == spec_names
    for field in fields:
        if field.name in expected:
            assert field.status is FieldStatus.VERIFIED
            assert field.page == 1
            assert text[field.start : field.end] == field.quote != ""
            assert 0 < field.confidence < 1
        else:
            assert field == Field(name=field.name, value="", status=FieldStatus.MISSING)


def test_an_iban_is_read_over_the_lines_that_it_is_set_in() -> None:
    text = (
        "Rechnung Nr. 5\nIBAN:\n \xa0DE02\n \xa01203\n \xa00000\n \xa00000\n \xa02020\n \xa051\nAB GMBH 2020"
    )
    assert values(analyse(text, "invoice"))["iban"] == "DE02120300000000202051"
    assert values(analyse("Rechnung\nIBAN: DE02 1203 0000 0000 2020 51 AG 12", "invoice"))["iban"].endswith(
        "51"
    )


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("VAT no. GB 980 7806 84", "GB980780684"),
        ("VAT no: GB 980 7806 84 Registered in England", "GB980780684"),
        ("USt-IdNr. DE136695976 IBAN DE02", "DE136695976"),
        ("N° TVA FR 83 404833048", "FR83404833048"),
        ("UID CHE-107.787.577 MWST", "CHE-107.787.577"),
        ("P. IVA 00743110157", "00743110157"),
    ],
)
def test_a_vat_id_may_be_set_in_groups(text: str, number: str) -> None:
    assert values(analyse(f"Invoice\n{text}\nTotal 5.00", "invoice")).get("vat_id") == number


def test_a_value_names_the_page_it_stands_on() -> None:
    pages = INVOICE_DE.split("Nettobetrag")
    analysis = ENGINE.analyse(document(pages[0], "Nettobetrag" + pages[1]), RECIPE.category("invoice"))
    places = {field.name: field.page for field in analysis.fields}
    assert (places["number"], places["total"]) == (1, 2)


def test_columns_that_were_read_one_after_the_other_are_put_together() -> None:
    text = (
        "INVOICE\nInvoice number:\nCustomer:\nInvoice date:\nAB-12\nMary Stone\n2 May 2022\n"
        "Net total:\nVAT amount:\nTotal due:\n$100.00\n$7.00\n$107.00\n"
    )
    found = values(analyse(text, "invoice"))
    assert (
        found.items() >= {"number": "AB-12", "date": "2022-05-02", "total": "107.00", "tax": "7.00"}.items()
    )


def test_the_value_of_a_last_column_stands_in_the_last_row() -> None:
    text = "Rechnung\nNettobetrag MwSt-Betrag Endbetrag\n20,00 3,80 23,80\n30,00 5,70 35,70 EUR\n"
    found = values(analyse(text, "invoice"))
    assert found.items() >= {"net": "30.00", "tax": "5.70", "total": "35.70"}.items()


def test_a_total_that_adds_up_is_preferred() -> None:
    text = "Invoice\nTotal: 500.00 items weighed\nNet total 80.00\nVAT amount 16.00\nTotal 96.00\n"
    assert values(analyse(text, "invoice"))["total"] == "96.00"


def test_of_two_taxes_none_is_taken_for_the_whole() -> None:
    text = "Rechnung\nNettobetrag 200,00\nMwSt 7% 7,00\nMwSt 19% 19,00\nGesamtbetrag 226,00 EUR\n"
    found = values(analyse(text, "invoice"))
    assert found["total"] == "226.00"
    assert "tax" not in found


def test_evidence_is_given_in_words() -> None:
    classification = ENGINE.classify(document(INVOICE_DE, name="rechnung_februar.pdf"), RECIPE)
    assert "'Rechnung' on page 1" in classification.evidence
    mail = ENGINE.classify(document(MAIL), RECIPE)
    assert mail.evidence[0] == "mail headers at the beginning"


def test_letter_spaced_headings_are_read() -> None:
    text = "Probe AG\nR E C H N U N G\nRechnungsnummer 5"
    assert ENGINE.classify(document(text), RECIPE).category == "invoice"
    assert analyse(text, "invoice").title == "RECHNUNG"


@pytest.mark.parametrize("text", ["", " \n\t ", "Blue whales are large.", "12345", "☃" * 50])
def test_unclear_text_is_other_with_little_confidence(text: str) -> None:
    classification = ENGINE.classify(document(text), RECIPE)
    assert classification.category == "other"
    assert classification.confidence < 0.5
    assert classification.evidence


def test_a_document_of_no_pages_has_a_result() -> None:
    assert ENGINE.classify(document(), RECIPE).category == "other"
    for category in RECIPE.categories:
        analysis = ENGINE.analyse(document(name="empty.pdf"), category)
        assert (analysis.title, analysis.summary, values(analysis)) == ("empty.pdf", "", {})


def test_a_mixed_text_is_less_certain_than_a_clear_one() -> None:
    clear = ENGINE.classify(document(INVOICE_EN), RECIPE)
    mixed = ENGINE.classify(document(LETTER_EN.replace("slip", "invoice and receipt")), RECIPE)
    assert mixed.confidence < clear.confidence


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Boiler service in May", "Boiler service in May"),
        ("Microsoft Word - invoice-42.docx", "INVOICE"),
        ("untitled", "INVOICE"),
        ("scan0001.pdf", "INVOICE"),
        ("", "INVOICE"),
    ],
)
def test_a_title_comes_from_the_file_only_if_it_says_something(title: str, expected: str) -> None:
    analysis = ENGINE.analyse(document(INVOICE_EN, title=title), RECIPE.category("invoice"))
    assert analysis.title == expected


def test_a_summary_is_two_or_three_of_the_documents_sentences() -> None:
    for text, category in ((LETTER_DE, "letter"), (LETTER_EN, "letter"), (REPORT_EN, "report")):
        summary = analyse(text, category).summary
        assert summary.count(". ") + 1 in (2, 3)
        plain = " ".join(text.split())
        assert all(sentence.strip(". ") in plain for sentence in summary.split(". "))


def test_a_recipe_of_ones_own_is_followed() -> None:
    recipe = parse_recipe(
        b'[categories.payslip]\ndescribe = "A payslip."\n[categories.payslip.evidence]\npayslip = 8\n'
        b'[categories.payslip.fields.pay]\ntype = "amount"\nrole = "amount"\ndescribe = "d"\n'
        b'labels = ["net pay", "pay out"]\n',
        "own",
        "own.toml",
    )
    text = document("PAYSLIP March\nGross 3,000.00\nNet pay 2,100.50\n")
    classification = ENGINE.classify(text, recipe)
    assert classification.category == "payslip"
    assert values(ENGINE.analyse(text, recipe.category("payslip"))) == {"pay": "2100.50"}


HOSTILE = {
    "one line": INVOICE_EN.replace("\n", " ") * 150,
    "digits": "1" * 100_000,
    "dotted digits": "1." * 50_000,
    "grouped digits": "1,111" * 20_000,
    "spaces": " " * 100_000,
    "labels": "Total:\n" * 15_000,
    "half labels": "zahlbar rechnung between " * 4_000,
    "amounts": "1.234,56 € " * 9_000,
    "addresses": "Acme GmbH\nStreet 5\n12345 Town\n" * 3_000,
    "quotes": '"a<' * 33_000,
    "letters apart": "a b c d " * 12_000,
    "abbreviations": "A. " * 33_000,
    "underscores": "_" * 100_000,
    "controls": "\x00\x1b[31m\u202e\ufeff" * 10_000,
}


@pytest.mark.timeout(60)  # a pattern that backtracks would run for hours
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_read_to_the_end(text: str) -> None:
    classification = ENGINE.classify(document(text), RECIPE)
    assert classification.category in RECIPE.category_names
    for name in ("invoice", "contract", "letter"):
        for field in analyse(text, name).fields:
            if field.value:
                assert text[field.start : field.end] == field.quote


@pytest.mark.timeout(60)
def test_a_long_document_is_read_at_both_ends() -> None:
    filler = "The committee met again and agreed on nothing in particular that day. " * 40
    pages = [REPORT_EN, *[filler] * 598, "Report number: RT-2020/7"]
    analysis = ENGINE.analyse(document(*pages), RECIPE.category("report"))
    found = {field.name: (field.value, field.page) for field in analysis.fields}
    assert found["author"] == ("Helen Marsh", 1)
    assert found["number"] == ("RT-2020/7", 600)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([line for text, _, _ in SAMPLES for line in text.splitlines()]), max_size=40))
def test_lines_in_any_order_give_values_in_their_places(lines: list[str]) -> None:
    text = "\n".join(lines)
    category = ENGINE.classify(document(text), RECIPE).category
    for field in analyse(text, category).fields:
        found = field.status is FieldStatus.VERIFIED
        assert found == bool(field.value)
        assert not found or text[field.start : field.end] == field.quote


def test_the_same_text_gives_the_same_result() -> None:
    for text, category, _ in SAMPLES:
        assert analyse(text, category) == analyse(text, category)


def test_amounts_and_dates_survive_swapped_lines() -> None:
    lines = INVOICE_EN.splitlines()
    for seed in range(5):
        swapped = lines.copy()
        place = random.Random(seed).randrange(len(lines) - 1)
        swapped[place], swapped[place + 1] = swapped[place + 1], swapped[place]
        found = values(analyse("\n".join(swapped), "invoice"))
        expected = {"number": "BW/1042", "date": "2023-05-03", "total": "144.00", "currency": "GBP"}
        assert found.items() >= expected.items(), swapped[place]


@pytest.mark.parametrize(
    ("field", "truth", "value", "outcome"),
    [
        ("total", "119", "119.00", Outcome.EXACT),
        ("total", "119", "119.01", Outcome.WRONG),
        ("total", "119", "", Outcome.MISSING),
        ("date", "2024-01-02", "2024-01-02", Outcome.EXACT),
        ("number", "AB 12", "ab12", Outcome.EXACT),
        ("seller", "ACME\r\n GmbH", "Acme GmbH", Outcome.EXACT),
        ("seller", "Acme GmbH", "Acme GmbH, Werk 3", Outcome.CONTAINED),
        ("seller", "GLN 1\r\nAcme GmbH", "Acme GmbH", Outcome.CONTAINED),
        ("seller", "Acme GmbH", "cme Gm", Outcome.WRONG),
        ("seller", "Acme GmbH", "GmbH & Co", Outcome.WRONG),
    ],
)
def test_values_are_compared_as_documented(field: str, truth: str, value: str, outcome: Outcome) -> None:
    assert compare(field, truth, value) is outcome


def test_a_folder_is_measured_against_its_truth(tmp_path: Path) -> None:
    truth = {
        "a.txt": {
            "number": "2024-0815",
            "total": "1404.2",
            "seller": "Tischlerei Eichholz",
            "category": "invoice",
        },
        "b.txt": {"number": "none", "date": "2023-05-04", "buyer": None, "category": "letter"},
        "c.txt": {"seller": "Nobody"},
    }
    (tmp_path / "truth.json").write_text(json.dumps(truth), encoding="utf-8")
    for name, text in (("a.txt", INVOICE_DE), ("b.txt", INVOICE_EN), ("c.txt", "")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    report = measure_folder(
        tmp_path, lambda path: document(path.read_text(encoding="utf-8"), name=path.name), ENGINE, RECIPE
    )
    counts = {
        f.field: (f.right, f.contained, f.wrong, f.missing, f.total, f.not_in_text) for f in report.fields
    }
    assert counts == {
        "number": (1, 0, 1, 0, 2, 1),
        "date": (0, 0, 1, 0, 1, 1),
        "total": (1, 0, 0, 0, 1, 0),
        "seller": (1, 1, 0, 1, 2, 1),
        "category": (1, 0, 1, 0, 2, 0),
    }
    assert [row.file for row in report.rows] == ["a.txt", "b.txt", "c.txt"]
    number = report.fields[0]
    assert (number.share, number.share_in_text) == (0.5, 1.0)
    assert report.engine == f"offline {ENGINE.version}"


def test_a_truth_file_is_checked(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"There is no truth\.json"):
        read_truth(tmp_path / "truth.json")
    for content in ("[", '["a"]', '{"a.txt": {"total": 5}}', '{"../a.txt": {}}'):
        (tmp_path / "truth.json").write_text(content, encoding="utf-8")
        with pytest.raises(FileError, match=r"truth\.json"):
            read_truth(tmp_path / "truth.json")
    (tmp_path / "truth.json").write_text('{"gone.pdf": {}}', encoding="utf-8")
    with pytest.raises(NotFoundError, match=r"gone\.pdf"):
        measure_folder(tmp_path, lambda path: document(), ENGINE, RECIPE)
