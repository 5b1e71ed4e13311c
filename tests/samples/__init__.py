"""Sample documents, made on the spot, always the same bytes: `python -m tests.samples OUTDIR`.

Every sample is a function without arguments that returns the bytes of a file; all text is our own.
Needs reportlab and Pillow only.
"""

import json
import random
from collections.abc import Callable
from pathlib import Path

from tests.samples import office, papers, scans, trouble
from tests.samples.invoices import ENGLISH, GERMAN, Invoice, random_invoice

SAMPLES: dict[str, Callable[[], bytes]] = {
    "invoice-en.pdf": ENGLISH.pdf,
    "invoice-de.pdf": GERMAN.pdf,
    "receipt.pdf": papers.receipt,
    "letter.pdf": papers.letter,
    "contract.pdf": papers.contract,
    "long-report.pdf": papers.long_report,
    "two-columns.pdf": papers.two_columns,
    "form.pdf": papers.form,
    "scanned-invoice.pdf": scans.scanned_invoice,
    "scanned-long.pdf": scans.scanned,
    "scanned-rotated.pdf": scans.rotated,
    "mixed.pdf": scans.mixed,
    "stamped-scan.pdf": scans.stamped,
    "page.png": scans.png,
    "photo-rotated.jpg": scans.jpeg_with_exif,
    "fax.tiff": scans.tiff,
    "page.webp": scans.webp,
    "page.bmp": scans.bmp,
    "page.gif": scans.gif,
    "photo.heic": scans.heic,
    "letter.docx": office.docx,
    "budget.xlsx": office.xlsx,
    "talk.pptx": office.pptx,
    "notes.odt": office.odt,
    "memo.rtf": office.rtf,
    "booklet.epub": office.epub,
    "mail-with-invoice.eml": office.eml,
    "page.html": office.html,
    "notes.md": office.markdown,
    "notes.txt": office.text,
    "latin1.txt": office.latin1_text,
    "table.csv": office.csv_table,
    "truncated.pdf": trouble.truncated_pdf,
    "encrypted.pdf": trouble.encrypted_pdf,
    "encrypted.docx": trouble.encrypted_docx,
    "encrypted.eml": trouble.encrypted_eml,
    "xfa-form.pdf": trouble.xfa_pdf,
    "truncated.docx": trouble.truncated_docx,
    "truncated.jpg": trouble.truncated_jpeg,
    "empty.pdf": trouble.empty,
    "really-a-png.pdf": scans.png,
    "unknown.bin": trouble.unknown_binary,
}

TRUTH: dict[str, dict[str, str]] = {
    "invoice-en.pdf": ENGLISH.truth(),
    "invoice-de.pdf": GERMAN.truth(),
    "scanned-invoice.pdf": ENGLISH.truth(),
    "mail-with-invoice.eml": GERMAN.truth(),
    "receipt.pdf": papers.RECEIPT_TRUTH,
    "letter.pdf": {"category": "letter"},
    "contract.pdf": {"category": "contract"},
}
"""What a perfect reader would find: number, date, total, currency, seller, buyer, category."""


def make(name: str, outdir: Path) -> Path:
    """Write one sample and return its path."""
    path = outdir / name
    path.write_bytes(SAMPLES[name]())
    return path


def make_all(outdir: Path) -> list[Path]:
    """Write every sample, `truth.json` beside them, and `names/` with hostile file names.

    Returns the samples, without truth.json.
    """
    outdir.mkdir(parents=True, exist_ok=True)
    (outdir / "truth.json").write_text(json.dumps(TRUTH, indent=1) + "\n", encoding="utf-8")
    return [make(name, outdir) for name in SAMPLES] + trouble.make_hostile_names(outdir / "names")


def make_corpus(outdir: Path, count: int, seed: int = 1) -> list[Path]:
    """Write `count` distinct one-page invoices quickly (milliseconds each), and their truth.json."""
    outdir.mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    invoices: dict[str, Invoice] = {
        f"invoice-{index:05}.pdf": random_invoice(rng, index) for index in range(1, count + 1)
    }
    for name, invoice in invoices.items():
        (outdir / name).write_bytes(invoice.pdf())
    truth = {name: invoice.truth() for name, invoice in invoices.items()}
    (outdir / "truth.json").write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")
    return [outdir / name for name in invoices]
