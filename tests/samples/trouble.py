"""Files that cannot be read, and file names that want to do harm."""

import os
import random
import struct
from email.message import EmailMessage
from pathlib import Path

from reportlab.lib.pdfencrypt import StandardEncryption

from tests.samples import office, papers, scans
from tests.samples.drawing import TOP, a4_pdf, draw_lines

HOSTILE_NAMES: tuple[bytes, ...] = (
    b"two\nlines.txt",
    b"\x1b[31mred\x1b[0m.txt",
    b"[red]markup [@click=app.quit]x.txt",
    "invoice\u202efdp.exe.txt".encode(),
    b"'single' \"double\" `tick` $(touch pwned).txt",
    b"-rf.txt",
    b"a" * 251 + b".txt",
    b"invalid-\xff\xfe-utf8.txt",
    b"  spaces  everywhere  .txt",
)


def make_hostile_names(folder: Path) -> list[Path]:
    """Write a small text under each hostile name. A name that the file system refuses is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index, name in enumerate(HOSTILE_NAMES):
        path = folder / os.fsdecode(name)
        try:
            path.write_text(f"Note number {index}: the name of this file is odd, its text is not.\n")
        except OSError:
            continue
        paths.append(path)
    return paths


def empty() -> bytes:
    """Nothing."""
    return b""


def truncated_pdf() -> bytes:
    """The first kilobyte of a PDF, as an interrupted download leaves it."""
    return papers.long_report(pages=3)[:1000]


def truncated_docx() -> bytes:
    """A DOCX that lost its end, and with it the directory of the ZIP."""
    return office.docx()[:-100]


def truncated_jpeg() -> bytes:
    """The first half of a photograph."""
    whole = scans.jpeg_with_exif()
    return whole[: len(whole) // 2]


def encrypted_pdf() -> bytes:
    """A PDF that asks for a password before it shows anything."""
    with a4_pdf("Secret", StandardEncryption("open sesame", strength=128)) as (canvas, buffer):
        draw_lines(canvas, papers.LETTER)
    return buffer.getvalue()


def encrypted_docx() -> bytes:
    """What Office makes of a DOCX with a password: a compound file with an EncryptedPackage stream."""
    return (
        compound_header()
        + "EncryptionInfo".encode("utf-16-le")
        + b"\0" * 36
        + ("EncryptedPackage".encode("utf-16-le").ljust(1024, b"\0"))
    )


def compound_header() -> bytes:
    """The first 512 bytes of a Microsoft compound file (OLE)."""
    magic = bytes.fromhex("d0cf11e0a1b11ae1")
    return (magic + b"\0" * 16 + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6)).ljust(512, b"\0")


def encrypted_odt() -> bytes:
    """An ODT whose manifest says that its content is encrypted."""
    return office.odt('<manifest:encryption-data manifest:checksum="x"/>')


def encrypted_eml() -> bytes:
    """A mail whose body is a PGP message."""
    message = EmailMessage()
    message["From"] = "Ada <ada@example.org>"
    message["To"] = "Bea <bea@example.org>"
    message["Subject"] = "Between us"
    message["MIME-Version"] = "1.0"
    message["Content-Type"] = 'multipart/encrypted; protocol="application/pgp-encrypted"; boundary="=-secret"'
    parts = (
        "--=-secret\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n"
        "--=-secret\r\nContent-Type: application/octet-stream\r\n\r\n"
        "-----BEGIN PGP MESSAGE-----\r\n\r\nhQEMA0\r\n-----END PGP MESSAGE-----\r\n--=-secret--\r\n"
    )
    return bytes(message).rstrip() + b"\r\n\r\n" + parts.encode()


def xfa_pdf() -> bytes:
    """The page that other readers show in place of an Adobe LiveCycle form."""
    with a4_pdf("Form") as (canvas, buffer):
        lines = [
            "Please wait...",
            "If this message is not eventually replaced by the proper contents of the document, your PDF",
            "viewer may not be able to display this type of document.",
            "You can upgrade to the latest version of Adobe Reader.",
        ]
        draw_lines(canvas, lines, top=TOP)
    return buffer.getvalue()


def unknown_binary() -> bytes:
    """Bytes of no known kind."""
    return b"\x7fSHBX\x00" + random.Random(5).randbytes(4000)
