"""Born-digital invoices whose every field is known."""

import random
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from tests.samples.drawing import BOLD, TOP, a4_pdf

CENT = Decimal("0.01")


@dataclass(frozen=True)
class Item:
    """One line of an invoice."""

    text: str
    quantity: int
    price: Decimal

    @property
    def amount(self) -> Decimal:
        return self.quantity * self.price


@dataclass(frozen=True)
class Wording:
    """The words and formats of one language."""

    invoice: str
    number: str
    date: str
    due: str
    to: str
    columns: tuple[str, str, str, str]
    net: str
    tax: str
    total: str
    closing: str
    date_format: str
    swap_separators: bool

    def money(self, amount: Decimal) -> str:
        """The amount as it is printed, without currency."""
        printed = f"{amount:,.2f}"
        return printed.translate(str.maketrans(",.", ".,")) if self.swap_separators else printed


IN_ENGLISH = Wording(
    "INVOICE",
    "Invoice number",
    "Invoice date",
    "Due date",
    "Bill to",
    ("Description", "Qty", "Unit price", "Amount"),
    "Subtotal",
    "VAT",
    "Total due",
    "Please pay within the stated time and quote the invoice number. Thank you for your order.",
    "%d %B %Y",
    swap_separators=False,
)
IN_GERMAN = Wording(
    "RECHNUNG",
    "Rechnungsnummer",
    "Rechnungsdatum",
    "Fällig am",
    "Rechnung an",
    ("Bezeichnung", "Menge", "Einzelpreis", "Betrag"),
    "Nettobetrag",
    "zzgl. USt.",
    "Rechnungsbetrag",
    "Bitte überweisen Sie den Betrag unter Angabe der Rechnungsnummer. Vielen Dank für Ihren Auftrag.",
    "%d.%m.%Y",
    swap_separators=True,
)


@dataclass(frozen=True)
class Invoice:
    """An invoice, and what a perfect reader would find in it."""

    wording: Wording
    number: str
    date: date
    due: date
    currency: str
    tax_percent: int
    seller: str
    seller_address: str
    buyer: str
    buyer_address: str
    items: tuple[Item, ...]

    @property
    def net(self) -> Decimal:
        return sum((item.amount for item in self.items), Decimal(0))

    @property
    def tax(self) -> Decimal:
        return (self.net * self.tax_percent / 100).quantize(CENT)

    @property
    def total(self) -> Decimal:
        return self.net + self.tax

    def truth(self) -> dict[str, str]:
        """The values in normal form: ISO date, decimal point."""
        return {
            "number": self.number,
            "date": self.date.isoformat(),
            "total": str(self.total),
            "currency": self.currency,
            "seller": self.seller,
            "buyer": self.buyer,
            "category": "invoice",
        }

    def head(self) -> list[str]:
        """The lines above the table."""
        words = self.wording
        return [
            f"{words.number}: {self.number}",
            f"{words.date}: {self.date.strftime(words.date_format)}",
            f"{words.due}: {self.due.strftime(words.date_format)}",
            "",
            f"{words.to}:",
            self.buyer,
            self.buyer_address,
        ]

    def totals(self) -> list[tuple[str, str]]:
        """The labels and amounts below the table."""
        words = self.wording
        return [
            (words.net, words.money(self.net)),
            (f"{words.tax} {self.tax_percent} %", words.money(self.tax)),
            (words.total, f"{words.money(self.total)} {self.currency}"),
        ]

    def pdf(self) -> bytes:
        """One A4 page with a text layer."""
        with a4_pdf(title=f"{self.wording.invoice.title()} {self.number}") as (canvas, buffer):
            canvas.setFont(BOLD, 12)
            canvas.drawString(60, TOP, self.seller)
            canvas.drawRightString(535, TOP, self.wording.invoice)
            canvas.setFont("Helvetica", 10)
            canvas.drawString(60, TOP - 16, self.seller_address)
            for index, line in enumerate(self.head()):
                canvas.drawString(60, TOP - 60 - 15 * index, line)
            y = TOP - 200
            rows = [self.wording.columns, *(self._row(item) for item in self.items)]
            for row in rows:
                canvas.drawString(60, y, row[0])
                for x, cell in zip((330, 430, 535), row[1:], strict=True):
                    canvas.drawRightString(x, y, cell)
                y -= 18
            for label, amount in self.totals():
                y -= 18
                canvas.drawRightString(430, y, label)
                canvas.drawRightString(535, y, amount)
            canvas.drawString(60, y - 50, self.wording.closing)
        return buffer.getvalue()

    def lines(self) -> list[str]:
        """The whole invoice as lines of text, for pages that are images."""
        rows = ["   ".join(row) for row in (self.wording.columns, *(self._row(item) for item in self.items))]
        totals = [f"{label}   {amount}" for label, amount in self.totals()]
        heading = [self.wording.invoice, "", self.seller, self.seller_address, ""]
        return [*heading, *self.head(), "", *rows, "", *totals]

    def _row(self, item: Item) -> tuple[str, str, str, str]:
        money = self.wording.money
        return item.text, str(item.quantity), money(item.price), money(item.amount)


ENGLISH = Invoice(
    IN_ENGLISH,
    "INV-2026-0417",
    date(2026, 3, 14),
    date(2026, 4, 13),
    "GBP",
    20,
    "Harbour Lane Joinery Ltd",
    "7 Harbour Lane, Whitby YO21 3PU, VAT no. GB 980 7806 84",
    "Marchmont Bookshop",
    "22 Marchmont Road, Edinburgh EH9 1HZ",
    (
        Item("Oak shelf, 180 cm, oiled", 6, Decimal("148.50")),
        Item("Fitting on site, hours", 9, Decimal("42.00")),
        Item("Delivery", 1, Decimal("65.00")),
    ),
)
GERMAN = Invoice(
    IN_GERMAN,
    "RE-2026/118",
    date(2026, 5, 7),
    date(2026, 6, 6),
    "EUR",
    19,
    "Gärtnerei Grünwald GmbH",
    "Lindenstraße 12, 79098 Freiburg, USt-IdNr. DE 123 456 789",
    "Café Sonnenschein",
    "Münsterplatz 3, 79098 Freiburg",
    (
        Item("Balkonkästen, bepflanzt", 14, Decimal("38.90")),
        Item("Lieferung und Aufbau", 1, Decimal("120.00")),
        Item("Pflege im Abonnement, Monate", 6, Decimal("95.50")),
    ),
)

_TOWNS = ("Ashford", "Brackley", "Corbridge", "Dunster", "Elstow", "Fairford", "Grassington", "Hawes")
_TRADES = ("Plumbing", "Paper Mill", "Bakery", "Cycles", "Printworks", "Orchards", "Glassworks", "Tools")
_GOODS = ("Copper pipe", "Recycled paper", "Rye loaf", "Wheel truing", "Leaflets", "Cider apples", "Window")


def random_invoice(rng: random.Random, index: int) -> Invoice:
    """An invoice that differs from every other with another index."""
    wording, currency, tax = rng.choice(((IN_ENGLISH, "GBP", 20), (IN_GERMAN, "EUR", 19)))
    day = date(2025, 1, 1) + timedelta(days=rng.randrange(700))
    seller, buyer = rng.sample(_TOWNS, 2)
    items = tuple(
        Item(rng.choice(_GOODS), rng.randint(1, 20), Decimal(rng.randint(100, 50_000)) / 100)
        for _ in range(rng.randint(1, 5))
    )
    return Invoice(
        wording,
        f"{rng.choice('ABCDEFGH')}{index:05}",
        day,
        day + timedelta(days=30),
        currency,
        tax,
        f"{seller} {rng.choice(_TRADES)} Ltd",
        f"{rng.randint(1, 99)} Mill Street, {seller}",
        f"{buyer} {rng.choice(_TRADES)} & Co",
        f"{rng.randint(1, 99)} Station Road, {buyer}",
        items,
    )
