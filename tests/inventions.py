"""Documents to be read, what an inventing model may say of them, and a naive reading to hold it against.

The reading shares nothing with the code under test: it writes a value in every way in which the language of
the document does, and looks whether one of these ways stands on the page as a row of whole words.
"""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from random import Random

from hypothesis import strategies as st

from tasks.documents import Field
from tasks.recipes import FieldType

MONTHS = {
    "en": "January February March April May June July August September October November December",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
}
SIGNS = {"EUR": ("€", "EUR"), "GBP": ("£", "GBP"), "USD": ("$", "USD"), "CHF": ("CHF",)}
AROUND = ".,;:()\"'„“€£$°"
IBANS = ("GB29 NWBK 6016 1331 9268 19", "DE02 1203 0000 0000 2020 51", "FR14 2004 1010 0505 0001 3M02 606")
HIDDEN = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u2060\ufeff"))
FORMS = {
    "en": """\
{seller}
12 Mill Lane, Whitby. Thank you for your order; this is the invoice for it.
Invoice No: {number}
Invoice Date: {day:02}/{month:02}/{year}
Please pay by {due_day} {due_month} {due_year} to IBAN GB29 NWBK 6016 1331 9268 19
Sold to {buyer}
Subtotal {net}
Rebate -{rebate}
VAT {tax}
Total due £{total}
""",
    "de": """\
{seller}
Mühlenweg 12, 24103 Kiel. Vielen Dank für Ihren Auftrag, hier ist die Rechnung.
Rechnung Nr. {number}
Rechnungsdatum: {day:02}.{month:02}.{year}
Zahlbar bis {due_day}. {due_month} {due_year} auf IBAN DE02 1203 0000 0000 2020 51
Rechnung an {buyer}
Nettobetrag {net} EUR
Rabatt - {rebate} EUR
USt. {tax} EUR
Rechnungsbetrag {total} EUR
""",
    "fr": """\
{seller}
12 rue du Moulin, 35000 Rennes. Nous vous remercions pour votre commande, voici la facture.
Facture n° {number}
Date de facture : {day:02}/{month:02}/{year}
À payer avant le {due_day} {due_month} {due_year} sur FR14 2004 1010 0505 0001 3M02 606
Pour {buyer}
Montant HT {net} €
Remise {rebate}- €
TVA {tax} €
Total à payer {total} €
""",
}
TRAPS = (
    "File {number}-7, then A-{number}, {number}/B, X{number} and ID_{number} at 07:{number}",
    "Parts {net_code}-1, REF-{net_code}, {net_code}/A7, ID_{net_code}, {year}-{month:02}-{day:02}/5, 0{year}",
    "Credited ({total}) and (€{net}), that is \u2011{tax} and - {total}; see (also {net_code}) there",
    "{seller_word}-Jones, {seller_word}smith and anti-{seller_word} sell 10 42 and 1 198 pieces",
)


@dataclass(frozen=True)
class Paper:
    """A document and what is really in it, by the names of the built-in recipe's invoice."""

    language: str
    text: str
    truth: dict[str, str]
    quotes: dict[str, str]


def written_amount(value: Decimal, language: str, *, grouped: bool = True) -> str:
    """An amount in one of the ways of a language."""
    marks = {"en": ",.", "de": ".,", "fr": "\u202f,"}[language]
    return format(value, ",f" if grouped else "f").translate(str.maketrans(",.", marks))


@st.composite
def papers(draw: st.DrawFn) -> Paper:
    """Invoices in three languages with much that looks like their values."""
    language = draw(st.sampled_from(sorted(FORMS)))
    day, due = draw(st.dates(date(2019, 1, 1), date(2027, 12, 31))), date(2028, 6, 21)
    if day.day == day.month:
        day = day.replace(day=day.day % 27 + 1)
    cents = st.integers(10_000, 99_999_999).map(lambda number: Decimal(number) / 100)
    net, tax, total, rebate = (Decimal(draw(cents)).quantize(Decimal("0.01")) for _ in range(4))
    number = draw(
        st.from_regex(r"[1-9][0-9]{4,6}|[A-Z]{2}/[1-9][0-9]{3}|RE-20[0-9]{2}-0[0-9]{3}", fullmatch=True)
    )
    seller = draw(
        st.sampled_from(("Brightwater Plumbing Ltd", "Tischlerei Müller GmbH", "Lefèvre & Fils SARL"))
    )
    buyer = draw(st.sampled_from(("Jane Roe", "Café Sonnenschein", "Élodie Dupont-Martin")))
    amounts = {"net": net, "tax": tax, "total": total, "rebate": rebate}
    values = {
        **{name: written_amount(value, language) for name, value in amounts.items()},
        **{"seller": seller, "buyer": buyer, "number": number, "seller_word": seller.split()[0]},
        **{"day": day.day, "month": day.month, "year": day.year, "net_code": int(net)},
        **{"due_day": due.day, "due_month": MONTHS[language].split()[due.month - 1], "due_year": due.year},
    }
    traps = draw(st.lists(st.sampled_from(TRAPS), unique=True))
    lines = [*FORMS[language].splitlines(), *traps]
    text = "\n".join(line.format(**values) for line in lines) + "\n"
    truth = {
        **{name: str(value) for name, value in amounts.items() if name != "rebate"},
        **{"number": number, "seller": seller, "buyer": buyer},
        **{"date": day.isoformat(), "due_date": due.isoformat()},
        "currency": "GBP" if language == "en" else "EUR",
    }
    holder = {"due_date": "due_day", "currency": "total", "date": "month"}
    quotes = {
        name: next(line.format(**values) for line in lines if "{" + holder.get(name, name) in line)
        for name in truth
    }
    return Paper(language, text, truth, quotes)


HOMOGLYPHS = str.maketrans("aeopcxyABEHKMOPCTX0", "аеорсхуАВЕНКМОРСТХО")
OTHERS = (
    *("1042", "1198", "2020", "0000", "NWBK"),
    "512.00",
    "2021-03-17",
    "USD",
    "CHF",
    "Acme Ltd",
    "１２",
    "ﾞ",
    "null",
    "n/a",
    "",
    " ",
    "\u200b",
    "\u202e",
)
BEFORE = ("-", "+", "−", "(", "0", "1", "£", "$", "€")
BEHIND = ("-", "0", "1", ")", " USD", "%", "\u200b", "\u202e", "\u0301")


def invented_value(paper: Paper, random: Random, name: str) -> str:
    """What an inventing model says: a value of this field or another, bent in all ways that come to mind."""
    pieces = [*paper.truth.values(), *paper.text.split(), *OTHERS]
    value = paper.truth.get(name, "") if random.random() < 0.4 else random.choice(pieces)
    at = random.randint(0, len(value))
    bend: Callable[[], str] = random.choice(
        (
            lambda: value,
            lambda: value[at : at + random.randint(1, 12)],
            lambda: "".join(random.sample(value, len(value))),
            lambda: "-".join((value[:4], value[8:10], value[5:7])),
            lambda: random.choice(BEFORE) + value,
            lambda: value + random.choice(BEHIND),
            lambda: value.translate(str.maketrans(",.", ".,")),
            lambda: value.replace(".", "").replace(",", ""),
            lambda: f"{value[:at]}.{value[at:]}",
            lambda: value.translate(HOMOGLYPHS),
            lambda: "\u200b".join(value),
            lambda: random.choice((value.upper(), value.lower(), value.swapcase())),
            lambda: unicodedata.normalize(random.choice(("NFD", "NFKD")), value),
            lambda: random.choice(("", " ")).join((value, random.choice(pieces))),
        )
    )
    return bend()[:160]


def invented_quote(paper: Paper, random: Random, name: str) -> str:
    """A quote that is right, stands elsewhere, nearly stands there, or not at all."""
    lines = paper.text.splitlines()
    line = paper.quotes.get(name, "") if random.random() < 0.5 else random.choice(lines)
    if random.random() < 0.3:
        return line
    at, place = random.randint(0, len(line)), random.randint(0, len(paper.text))
    bend: Callable[[], str] = random.choice(
        (
            lambda: line,
            lambda: line[at : at + random.randint(1, 30)],
            lambda: paper.text[place : place + random.randint(1, 240)],
            lambda: random.choice(paper.text.split()),
            lambda: line[:at] + random.choice("xO1.") + line[at + 1 :],
            lambda: line.translate(HOMOGLYPHS),
            line.upper,
            lambda: f"{line} {random.choice(lines)}",
            lambda: paper.text,
            lambda: random.choice((*OTHERS, "\n\n", "...", "Total due 99.00")),
        )
    )
    return bend()[:240]


def is_literal(field: Field, kind: FieldType, page: str, language: str) -> bool:
    """Whether the page says the value at the place of the quote, as whole words."""
    if field.start is None or field.end is None or page[field.start : field.end] != field.quote:
        return False
    if kind == "identifier" and any(field.value == iban.replace(" ", "") for iban in IBANS):
        return True
    for iban in IBANS:  # one number, whatever its groups look like
        page = page.replace(iban, iban.replace(" ", "_"))
    words = _words(page, field.start, field.end)
    if kind == "currency":
        return any(_names_currency(word, field.value) for word in words)
    ways = _ways(field.value, kind, language)
    for first in range(len(words)):
        for last in range(first + 1, min(first + 14, len(words) + 1)):
            run = words[first:last]
            if kind == "amount" and _may_be_negative(words, first, last):
                continue
            glued = "".join(run).strip(AROUND)
            if " ".join(run).strip(AROUND) in ways:
                return True
            if kind == "identifier" and glued in ways and len(glued) >= 8:
                return True
    return False


def _words(page: str, start: int, end: int) -> list[str]:
    """The words that a span touches, whole."""
    while start > 0 and not page[start - 1].isspace():
        start -= 1
    while end < len(page) and not page[end].isspace():
        end += 1
    return [word.translate(HIDDEN) for word in page[start:end].replace("\u202f", "_").split()]


def _may_be_negative(words: list[str], first: int, last: int) -> bool:
    """Whether a row of words is in brackets of its own, or behind a dash."""
    row = " ".join(words[first:last]).strip(".,;:")
    return (row[0:1] == "(" and row[-1:] == ")") or (first > 0 and words[first - 1] in ("-", "−"))


def _names_currency(word: str, code: str) -> bool:
    return any(word.strip(".,;:()-0123456789_") == sign for sign in SIGNS.get(code, ()))


def _ways(value: str, kind: FieldType, language: str) -> set[str]:
    if kind == "date":
        day = date.fromisoformat(value)
        month = MONTHS[language].split()[day.month - 1]
        mark = "." if language == "de" else "/"
        return {
            value,
            mark.join((f"{day.day:02}", f"{day.month:02}", str(day.year))),
            f"{day.day}{'.' if language == 'de' else ''} {month} {day.year}",
        }
    if kind == "amount":
        amount = Decimal(value)
        plain = [written_amount(abs(amount), language, grouped=grouped) for grouped in (True, False)]
        signed = [f"-{way}" for way in plain] + [f"{way}-" for way in plain] if amount < 0 else plain
        return {way.replace("\u202f", "_") for way in signed}
    return {value.replace("\u202f", "_").strip(AROUND)}
