"""The documents of a round: a small mixed batch that no round before has had."""

import random
from email.message import EmailMessage
from pathlib import Path

from tests.bench.papers import paper
from tests.samples import scans
from tests.samples.invoices import random_invoice

_CHARACTERS = 700
_SCAN_LINES = 4


def write_batch(folder: Path, rng: random.Random, count: int, *, with_scan: bool) -> list[Path]:
    """Write so many documents of different kinds; with the same generator always the same."""
    folder.mkdir(parents=True)
    makers = (_text, _invoice, _mail, _markdown)
    paths = [makers[number % len(makers)](folder, rng, number) for number in range(count - with_scan)]
    if with_scan:
        paths.append(folder / "scan.pdf")
        paths[-1].write_bytes(scans.scanned(pages=1, seed=rng.randrange(2**30), lines=_SCAN_LINES))
    return paths


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _new_paper(rng: random.Random) -> str:
    return paper(rng.randrange(2**30), _CHARACTERS)


def _text(folder: Path, rng: random.Random, number: int) -> Path:
    return _written(folder / f"paper {number}.txt", _new_paper(rng).encode())


def _markdown(folder: Path, rng: random.Random, number: int) -> Path:
    return _written(folder / f"notes {number}.md", f"# Notes\n\n{_new_paper(rng)}".encode())


def _invoice(folder: Path, rng: random.Random, number: int) -> Path:
    return _written(folder / f"invoice {number}.pdf", random_invoice(rng, rng.randrange(2**20)).pdf())


def _mail(folder: Path, rng: random.Random, number: int) -> Path:
    message = EmailMessage()
    message["From"], message["To"] = "Gesa Kolb <gesa@kolb.example>", "Falk Noll <falk@noll.example>"
    message["Date"] = "Thu, 07 May 2026 09:30:00 +0200"
    message["Subject"] = f"What you asked for, no. {rng.randrange(2**20)}"
    message.set_content(_new_paper(rng))
    attached = random_invoice(rng, rng.randrange(2**20)).pdf()
    message.add_attachment(attached, maintype="application", subtype="pdf", filename="bill.pdf")
    message.set_boundary("=-shoebox-chaos")
    return _written(folder / f"mail {number}.eml", message.as_bytes())
