"""Born-digital PDFs: receipt, letter, contract, long report, two columns, form."""

import random

from tests.samples.drawing import BOLD, TOP, a4_pdf, draw_lines

RECEIPT_TRUTH = {
    "number": "00482",
    "date": "2026-02-03",
    "total": "17.35",
    "currency": "EUR",
    "seller": "Greengrocer Byrne",
    "category": "receipt",
}
_RECEIPT = [
    "Greengrocer Byrne",
    "14 Quay Street, Galway",
    "",
    "RECEIPT No. 00482",
    "Date 03/02/2026   Time 10:42",
    "",
    "Apples 2 kg            5.80",
    "Brown bread            3.95",
    "Olive oil 0.5 l        7.60",
    "",
    "TOTAL EUR             17.35",
    "Paid by card. Thank you, see you again!",
]
LETTER = [
    "Rosalind Okafor",
    "3 Mill Cottages, Hebden Bridge",
    "",
    "12 January 2026",
    "",
    "Calder Valley Water",
    "Customer Service",
    "",
    "Subject: Reading of my water meter",
    "",
    "Dear Sir or Madam,",
    "",
    "on 9 January I read the meter in our cellar. It shows 482 cubic metres, forty fewer than",
    "your estimate. Please correct the account and send me a new statement. The old meter was",
    "exchanged in November, which may be the reason for the difference.",
    "",
    "Yours faithfully,",
    "Rosalind Okafor",
]
_CONTRACT = [
    "TENANCY AGREEMENT",
    "",
    "This agreement is made on 1 September 2026 between Pennine Homes Ltd (the Landlord)",
    "and Tomasz Nowak (the Tenant).",
    "",
    "1. The Landlord lets the flat at 5 Canal Wharf, Skipton, to the Tenant.",
    "2. The term is twelve months, beginning on 1 October 2026.",
    "3. The rent is 780.00 GBP a month, payable in advance on the first day of each month.",
    "4. The deposit is 900.00 GBP. It is returned within ten days after the end of the term.",
    "5. Either party may end this agreement with a notice of two months in writing.",
    "",
    "Signed: A. Hargreaves for Pennine Homes Ltd          Signed: Tomasz Nowak",
]
_SUBJECTS = ("The river", "Our council", "A volunteer", "The old bridge", "The school", "Each household")
_VERBS = ("measured", "repaired", "described", "protected", "visited", "paid for", "recorded")
_OBJECTS = ("the northern bank", "a row of willows", "two hundred pages", "the flood gate", "every spring")
_ENDINGS = ("before winter", "without delay", "in the third year", "at low cost", "as agreed in May")


def sentence(rng: random.Random) -> str:
    """A plain English sentence."""
    words = (rng.choice(part) for part in (_SUBJECTS, _VERBS, _OBJECTS, _ENDINGS))
    return " ".join(words) + "."


def receipt() -> bytes:
    """A till receipt."""
    with a4_pdf("Receipt") as (canvas, buffer):
        draw_lines(canvas, _RECEIPT)
    return buffer.getvalue()


def letter() -> bytes:
    """A private letter."""
    with a4_pdf("Letter") as (canvas, buffer):
        draw_lines(canvas, LETTER)
    return buffer.getvalue()


def contract() -> bytes:
    """A short tenancy agreement."""
    with a4_pdf("Tenancy agreement") as (canvas, buffer):
        draw_lines(canvas, _CONTRACT)
    return buffer.getvalue()


def long_report(pages: int = 60, seed: int = 60) -> bytes:
    """A report of many text pages, each with its number in the heading."""
    rng = random.Random(seed)
    with a4_pdf("River report") as (canvas, buffer):
        for number in range(1, pages + 1):
            canvas.setFont(BOLD, 14)
            canvas.drawString(60, TOP, f"Chapter {number} of the river report")
            draw_lines(canvas, [f"{sentence(rng)} {sentence(rng)}" for _ in range(40)], top=TOP - 30)
            canvas.showPage()
    return buffer.getvalue()


def two_columns() -> bytes:
    """A page whose left column is to be read before the right one."""
    rng = random.Random(2)
    with a4_pdf("Two columns") as (canvas, buffer):
        for x, side in ((60, "left"), (310, "right")):
            lines = [f"Here the {side} column begins.", *(sentence(rng)[:44] for _ in range(38))]
            draw_lines(canvas, [*lines, f"Here the {side} column ends."], x=x)
    return buffer.getvalue()


def form() -> bytes:
    """A form with filled-in fields; their values are not part of the page's own text."""
    with a4_pdf("Membership form") as (canvas, buffer):
        draw_lines(canvas, ["Membership of the allotment society", "", "Name", "", "Town"], step=24)
        fields = canvas.acroForm
        fields.textfield(name="name", value="Ingrid Solberg", x=160, y=TOP - 54, width=200, height=20)
        fields.textfield(name="town", value="Lillehammer", x=160, y=TOP - 102, width=200, height=20)
        fields.checkbox(name="newsletter", checked=True, x=60, y=TOP - 150, size=16)
    return buffer.getvalue()
