"""Who sent a document and who it is for, on small layouts written for these tests."""

import json
from pathlib import Path

import pytest

from tasks.documents import DocumentText, PageText
from tasks.engines.offline import OfflineEngine
from tasks.reading import extract
from tasks.recipes import load_recipe
from tasks.settings import Settings
from tests import samples
from tests.samples.invoices import GERMAN

RECIPE = load_recipe("builtin", Path())
ENGINE = OfflineEngine()

LAYOUTS = {
    "heading right of the letterhead": (
        "invoice",
        """\
Pinewood Cabinets LLC                                  INVOICE
410 Sawmill Road, Bend, OR 97701
Invoice number: 8812
Date: March 4, 2024
Bill to:
Juniper Dental Group
77 Third Street, Bend, OR 97702
Cabinet, white oak 1 900.00 900.00
Total due 900.00 USD
""",
        {"seller": "Pinewood Cabinets LLC", "buyer": "Juniper Dental Group"},
    ),
    "letterhead below the heading, no legal form": (
        "invoice",
        """\
INVOICE
Moorland Wool Company
3 High Row, Skipton BD23 1AB
VAT no. GB 000 0000 00
Invoice no: 2291
Invoice date: 6 May 2024
Bill to
Derwent Hotel Ltd
14 Lakeside, Keswick CA12 5DJ
Blankets 12 30.00 360.00
Total 360.00 GBP
""",
        {"seller": "Moorland Wool Company", "buyer": "Derwent Hotel Ltd"},
    ),
    "letterhead in the right column": (
        "invoice",
        """\
Frau\tKlempnerei Vogt e.K.
Helga Brandt\tAmselweg 7
Rosenstraße 5\t26121 Oldenburg
26127 Oldenburg\tTel. 0441 000000
\tUSt-IdNr. DE000000000
Rechnung Nr. 310
Datum: 11.03.2024
Heizungswartung 1 180,00 180,00
Rechnungsbetrag 180,00 EUR
""",
        {"seller": "Klempnerei Vogt e.K.", "buyer": "Helga Brandt"},
    ),
    "letterhead in the centre": (
        "invoice",
        """\
                 Blumenhaus Stein
           Inhaberin: Karla Stein
         Bergstr. 4 · 01067 Dresden
     Telefon 0351 000000 · www.stein.example
Familie
Uwe Neumann
Elbweg 9
01069 Dresden
RECHNUNG Nr. 77
Dresden, 2. April 2024
Kränze 2 45,00 90,00
Gesamtbetrag 90,00 EUR
""",
        {"seller": "Blumenhaus Stein", "buyer": "Uwe Neumann"},
    ),
    "seller in the footer": (
        "invoice",
        """\
Herrn
Otto Lang
Hafenweg 3
48155 Münster
Rechnung Nr. 2024-12
Rechnungsdatum: 08.01.2024
Inspektion 1 75,00 75,00
Rechnungsbetrag 75,00 EUR
Vielen Dank für Ihren Auftrag.
Fahrradhaus Kettler · Inh. M. Kettler · Ringstraße 8 · 48143 Münster
Steuernummer 000/0000/0000 · IBAN DE02 1203 0000 0000 2020 51
""",
        {"seller": "Fahrradhaus Kettler", "buyer": "Otto Lang"},
    ),
    "sender line of a window envelope, legal form only at the buyer": (
        "invoice",
        """\
Malerbetrieb Sommer, Gartenstr. 2, 50667 Köln
Firma
Hotel Adler GmbH
Domplatz 1
50667 Köln
RECHNUNG
Rechnungsnummer 118
Rechnungsdatum 14.02.2024
Fassade streichen 1 2.400,00 2.400,00
Rechnungsbetrag 2.400,00 EUR
""",
        {"seller": "Malerbetrieb Sommer", "buyer": "Hotel Adler GmbH"},
    ),
    "French, below the heading": (
        "invoice",
        """\
FACTURE
Menuiserie Delorme
18 chemin du Moulin
38000 Grenoble
Tél. 04 00 00 00 00
SIRET 000 000 000 00000
Facture n° 2024-051
Date : 21/03/2024
Client :
Boulangerie Petitjean SARL
2 place Grenette
38000 Grenoble
Porte en chêne 1 1 450,00 1 450,00
Total TTC 1 450,00 €
""",
        {"seller": "Menuiserie Delorme", "buyer": "Boulangerie Petitjean SARL"},
    ),
    "both parties side by side under their labels": (
        "invoice",
        """\
Invoice 4471
From:                        Bill to:
Halden Optics Inc.           Rowan Clinic
90 Lens Avenue               12 Orchard Street
Rochester, NY 14604          Albany, NY 12207
Invoice date: June 9, 2025
Microscope 1 1,150.00 1,150.00
Total due 1,150.00 USD
""",
        {"seller": "Halden Optics Inc.", "buyer": "Rowan Clinic"},
    ),
    "OCR reads the letterhead after the address": (
        "invoice",
        """\
Familie Krause
Ulmenweg 6
99084 Erfurt
Rechnung
Rechnungs-Nr. 55
Datum 19.06.2024
Glaserei Pohl
Bahnhofstr. 20
99084 Erfurt
Tel. 0361 000000
Steuer-Nr. 000/000/00000
Scheibe ersetzt 1 140,00 140,00
Gesamtbetrag 140,00 EUR
""",
        {"seller": "Glaserei Pohl", "buyer": "Familie Krause"},
    ),
    "a letter whose address stands above the letterhead": (
        "letter",
        """\
Ms Anna Field
4 Lake Road
Keswick CA12 5AA

Northern Rail Archive
1 Station Yard
York YO24 1AB
Tel. 01904 000000

3 May 2024
Dear Ms Field,
thank you for the photographs of the old line. We would like to show two of them this summer.
Yours sincerely
Peter Cole
Northern Rail Archive
""",
        {"sender": "Northern Rail Archive"},
    ),
    "a till receipt with its heading first": (
        "receipt",
        """\
*** KASSENBON ***
Bäckerei Hollmann
Markt 3, 37073 Göttingen
Tel. 0551 000000
Brot 4,20
SUMME EUR 4,20
Vielen Dank für Ihren Einkauf
12.02.2024 08:11
""",
        {"seller": "Bäckerei Hollmann"},
    ),
    "parties of a contract in a sentence over two lines": (
        "contract",
        """\
TENANCY AGREEMENT
This agreement is made on 1 September 2026 between Pennine Homes Ltd (the Landlord)
and Tomasz Nowak (the Tenant).
1. The rent is 780.00 GBP a month.
""",
        {"party_a": "Pennine Homes Ltd", "party_b": "Tomasz Nowak"},
    ),
    "a trade between name and address, buyer without title": (
        "invoice",
        """\
Schreinerei Holzapfel
Möbel und Innenausbau
Dorfstraße 18, 83022 Rosenheim
Telefon 08031 000000

Andrea Wimmer
Lärchenweg 2
83024 Rosenheim

Rechnung 2024/31
Datum: 17.05.2024
Einbauschrank 1 3.200,00 3.200,00
Gesamtbetrag 3.200,00 EUR
""",
        {"seller": "Schreinerei Holzapfel", "buyer": "Andrea Wimmer"},
    ),
    "address in one line below the buyer's label, seller at the end": (
        "invoice",
        """\
TAX INVOICE
Invoice To:
Coral Bay Motel
5 Shore Parade, Exmouth WA 6707
Invoice No. 00981
Date: 12 July 2024
Pool pump 1 640.00 640.00
GST 64.00
Total 704.00 AUD
Desert Pools Pty Ltd
ABN 00 000 000 000
Phone 08 0000 0000
""",
        {"seller": "Desert Pools Pty Ltd", "buyer": "Coral Bay Motel"},
    ),
    "heading before the name in the same row": (
        "invoice",
        """\
INVOICE   Larkspur Translations
9 Castle Hill
Lincoln LN1 3AA
hello@larkspur.example
Invoice no. 61
Invoice date 3 October 2024
Client: Fenland Museum
Total due 210.00 GBP
""",
        {"seller": "Larkspur Translations", "buyer": "Fenland Museum"},
    ),
    "a telephone line below the name, no address": (
        "invoice",
        """\
Dachdecker Brandt
Tel. 0431 000000
Rechnung
Rechnungsnummer: 19
Rechnungsdatum: 04.09.2024
Kunde: Petra Voss
Dachrinne 1 260,00 260,00
Rechnungsbetrag 260,00 EUR
""",
        {"seller": "Dachdecker Brandt", "buyer": "Petra Voss"},
    ),
    "French letterhead with the customer opposite": (
        "invoice",
        """\
Atelier Roussel EURL          Facturé à :
7 bis rue Pasteur             Hôtel du Lac
21000 Dijon                   1 quai des Tilleuls
SIRET 000 000 000             74000 Annecy

Facture n° 88
Date : 02/02/2024
Rideaux 4 150,00 600,00
Total TTC 600,00 €
""",
        {"seller": "Atelier Roussel EURL", "buyer": "Hôtel du Lac"},
    ),
    "sender line with dots, company with a person": (
        "invoice",
        """\
Praxis Dr. Lindner • Parkallee 44 • 28209 Bremen
An
Werft Nord GmbH & Co. KG
Frau Inga Thomsen
Hafenstraße 100
28217 Bremen
Rechnung Nr. 7/24
Datum 30.06.2024
Vorsorge 10 45,00 450,00
Rechnungsbetrag 450,00 EUR
""",
        {"seller": "Praxis Dr. Lindner", "buyer": "Werft Nord GmbH & Co. KG"},
    ),
    "a receipt with the shop in capitals and a slogan": (
        "receipt",
        """\
RECEIPT
THE COPPER KETTLE
Tea and cakes since 1988
12 Bridge Street, Whitby
Scone 2.80
Tea 2.20
TOTAL 5.00
Thank you
14/08/2024 15:02
""",
        {"seller": "THE COPPER KETTLE"},
    ),
    "a letter signed below, without a letterhead": (
        "letter",
        """\
Leeds, 4 March 2024

Dear Mr Holt,
thank you for lending us the ladder last week. We will bring it back on Sunday afternoon.
Kind regards
Miriam Blake
""",
        {"sender": "Miriam Blake"},
    ),
    "OCR reads both columns of the head as lines in turn": (
        "invoice",
        """\
Kanzlei Ostertag
Rechnung
Seestraße 30
Nr. 501
88045 Friedrichshafen
Datum: 21.10.2024
Herrn
Jonas Beck
Uferweg 1
88046 Friedrichshafen
Beratung 2 190,00 380,00
Rechnungsbetrag 380,00 EUR
Kanzlei Ostertag, Seestraße 30, 88045 Friedrichshafen
""",
        {"seller": "Kanzlei Ostertag", "buyer": "Jonas Beck"},
    ),
    "a contract with the parties in blocks": (
        "contract",
        """\
Dienstvertrag
zwischen
Hofgut Sonnenberg e.K.
Talstraße 1, 88400 Biberach
- Auftraggeber -
und
Lukas Ritter
Birkenweg 5, 88471 Laupheim
- Auftragnehmer -
Vertragsbeginn: 01.05.2024
""",
        {"party_a": "Hofgut Sonnenberg e.K.", "party_b": "Lukas Ritter"},
    ),
}


def parties(document: DocumentText, category: str) -> dict[str, str]:
    specs = RECIPE.category(category).fields
    names = {spec.name for spec in specs if spec.type == "party"}
    fields = ENGINE.analyse(document, RECIPE.category(category)).fields
    return {field.name: field.value for field in fields if field.name in names and field.value}


@pytest.mark.parametrize(("category", "text", "expected"), LAYOUTS.values(), ids=LAYOUTS)
def test_parties_are_found_in_a_plain_layout(category: str, text: str, expected: dict[str, str]) -> None:
    document = DocumentText(name="scan.pdf", pages=(PageText(number=1, text=text),))
    found = parties(document, category)
    assert {name: found.get(name) for name in expected} == expected


def read(path: Path) -> DocumentText:
    extraction = extract(path, path.name, Settings())
    pages = tuple(PageText(number=page.number, text=page.text) for page in extraction.pages)
    return DocumentText(name=path.name, pages=pages, title=extraction.title)


def test_a_heading_in_the_row_of_the_name_is_no_part_of_it(tmp_path: Path) -> None:
    found = parties(read(samples.make("invoice-de.pdf", tmp_path)), "invoice")
    assert found == {"seller": GERMAN.seller, "buyer": GERMAN.buyer}


def test_the_attached_invoice_outranks_the_mail_it_came_with(tmp_path: Path) -> None:
    mail = read(samples.make("mail-with-invoice.eml", tmp_path))
    assert parties(mail, "invoice")["seller"] == GERMAN.seller
    assert parties(mail, "email")["sender"] == "Gärtnerei Grünwald"


def test_a_mark_beside_a_heading_is_no_sender_where_a_company_stands_below() -> None:
    """As OCR reads a page whose label and picture stand in one row."""
    text = (
        "Rechnungssteller\tNORDSTERN\nelektronische\nRechnung\nLieferhaus GmbH\nAm Markt 3\n12345 Kiel\n"
        "Rechnungsnummer\t17"
    )
    page = DocumentText(name="scan.pdf", pages=(PageText(number=1, text=text),))
    assert parties(page, "invoice")["seller"] == "Lieferhaus GmbH"
    beside = text.replace("NORDSTERN", "Nordstern AG")
    page = DocumentText(name="scan.pdf", pages=(PageText(number=1, text=beside),))
    assert parties(page, "invoice")["seller"] == "Nordstern AG"


def test_the_parties_of_every_made_invoice_are_found(tmp_path: Path) -> None:
    truth = json.loads((samples.make_corpus(tmp_path, 10)[0].parent / "truth.json").read_text("utf-8"))
    for name, expected in truth.items():
        found = parties(read(tmp_path / name), "invoice")
        assert found == {"seller": expected["seller"], "buyer": expected["buyer"]}


@pytest.mark.parametrize(
    "text",
    [
        "INVOICE",
        "R E C H N U N G Nr. 5",
        "Tel. 0351 000000",
        "Total 5.00",
        "Dear Sir,",
        "4 Lake Road, Keswick",
    ],
)
def test_a_line_without_a_name_names_nobody(text: str) -> None:
    document = DocumentText(name="scan.pdf", pages=(PageText(number=1, text=text),))
    for category in ("invoice", "receipt", "letter", "contract"):
        assert parties(document, category) == {}


HOSTILE = {
    "gaps": "Acme GmbH    " * 8_000,
    "tabs": "Acme\t" * 20_000,
    "deep rows": "Acme Ltd      Foo Ltd\n" * 4_000,
    "wide rows": ("A   " * 99 + "\n") * 250,
    "headings": "INVOICE " * 12_000,
    "spaced headings": "I N V O I C E " * 7_000,
    "one-line addresses": "Acme GmbH\nStreet 5, 12345 Town\n" * 3_000,
    "endless contract": "between\nand\n" * 9_000,
    "closings": "Kind regards\nJane Roe\n" * 4_000,
    "commas": "Street 5, " * 9_000,
}


@pytest.mark.timeout(60)  # a pattern that backtracks would run for hours
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_read_to_the_end(text: str) -> None:
    document = DocumentText(name="scan.pdf", pages=(PageText(number=1, text=text),))
    for category in ("invoice", "letter", "contract"):
        for field in ENGINE.analyse(document, RECIPE.category(category)).fields:
            if field.value:
                assert text[field.start : field.end] == field.quote
