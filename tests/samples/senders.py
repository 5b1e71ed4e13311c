"""Invoices of senders who write them in their own way: several of each, to learn from one for the others.

Their words for a number, a date and a total are ones that real senders use and that lists of labels lack.
"""

import random
from dataclasses import dataclass
from datetime import date, timedelta


@dataclass(frozen=True)
class Sample:
    """The text of an invoice, and what it says."""

    sender: str
    text: str
    truth: dict[str, str]


_UTILITY = """\
Wasserwerk Auental
Zweckverband · Am Wehr 2 · 99734 Nordhausen
{buyer}
{street}
Vertragskonto {account}
Vorgang {number}
Nordhausen, den {day:%d.%m.%Y}
Ihre Verbrauchsabrechnung
Ablesung am {read:%d.%m.%Y}
Frischwasser {cubic} m3 {net} EUR
Kanalgebühr {fee} EUR
Ihr Abbuchungsbetrag {total} EUR
Der Einzug erfolgt am {due:%d.%m.%Y} von Ihrem Konto.
"""
_DOCTOR = """\
Dr. med. Ines Falk
Fachärztin für Augenheilkunde · Ringstraße 4 · 04109 Leipzig
Patient: {buyer}
{street}
Leipzig, {day:%d.%m.%Y}
Liquidation
Aktenzeichen: {number}
Behandlung vom {read:%d.%m.%Y}
Ziffer 1240 Spaltlampe 2,3 {fee} EUR
Ziffer 1256 Tonometrie 2,3 {net} EUR
Honorarforderung {total} EUR
Bitte begleichen Sie die Liquidation bis {due:%d.%m.%Y}.
"""
_CLUB = """\
Rowing Club Harwell
Boathouse Lane, Harwell OX11 0QJ
{buyer}
{street}
Our ref {number}
Posted on {day:%d %B %Y}
Subscription for the season
Since last statement on {read:%d %B %Y}
Boat storage £{fee}
Coaching £{net}
To be settled £{total}
Kindly settle by {due:%d %B %Y}
"""
_GARAGE = """\
GARAGE DU LAC SA
Route de la Plage 12 - 1180 Rolle
{buyer}
{street}
Dossier atelier {number}
Rolle, le {day:%d.%m.%Y}
Véhicule entré le {read:%d.%m.%Y}
Main d'oeuvre CHF {fee}
Pièces CHF {net}
Votre versement CHF {total}
Payable jusqu'au {due:%d.%m.%Y}
"""
_HOSTING = """\
Nimbus Hosting BV
Kanaalweg 9, 3526 KL Utrecht
{buyer}
{street}
Kenmerk {number}
Opgemaakt {day:%d-%m-%Y}
Periode vanaf {read:%d-%m-%Y}
Domeinnaam € {fee}
Webruimte € {net}
Af te schrijven € {total}
Wij incasseren op {due:%d-%m-%Y}
"""
_SENDERS = {
    "Wasserwerk Auental": (_UTILITY, "EUR", ","),
    "Dr. med. Ines Falk": (_DOCTOR, "EUR", ","),
    "Rowing Club Harwell": (_CLUB, "GBP", "."),
    "GARAGE DU LAC SA": (_GARAGE, "CHF", "."),
    "Nimbus Hosting BV": (_HOSTING, "EUR", ","),
}
_BUYERS = ("Ada Winter", "Jonas Brandt", "Mia Keller", "Paul Sommer", "Lea Vogt", "Emil Roth")


def invoices_by_sender(each: int, seed: int = 1) -> list[Sample]:
    """`each` invoices of every sender, one sender after the other in turn."""
    rng = random.Random(seed)
    return [_invoice(sender, rng) for _ in range(each) for sender in _SENDERS]


def _invoice(sender: str, rng: random.Random) -> Sample:
    form, currency, mark = _SENDERS[sender]
    day = date(2024, 1, 1) + timedelta(days=rng.randrange(700))
    fee, net = rng.randrange(500, 9_000), rng.randrange(1_000, 90_000)
    number = f"{rng.choice('ABKLV')}{rng.randrange(100_000, 999_999)}"

    def amount(cents: int) -> str:
        return f"{cents / 100:.2f}".replace(".", mark)

    text = form.format(
        buyer=rng.choice(_BUYERS),
        street=f"Lindenweg {rng.randrange(1, 99)}",
        account=rng.randrange(10_000_000, 99_999_999),
        number=number,
        day=day,
        read=day - timedelta(days=rng.randrange(20, 60)),
        due=day + timedelta(days=14),
        cubic=rng.randrange(20, 200),
        fee=amount(fee),
        net=amount(net),
        total=amount(fee + net),
    )
    truth = {
        "number": number,
        "date": day.isoformat(),
        "total": f"{(fee + net) / 100:.2f}",
        "currency": currency,
        "seller": sender,
    }
    return Sample(sender, text, truth)
