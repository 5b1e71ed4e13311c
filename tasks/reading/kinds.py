"""What kind of file this is: by its content first, by its name second."""

import mmap
import re
import zlib
from enum import StrEnum
from lzma import LZMAError
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from tasks.errors import FileError
from tasks.reading.cleaning import shown

HEAD_BYTES = 64 * 1024
MAX_GROWTH_BYTES = 1_000_000_000
"""An office file that grows by more when it is unpacked is a bomb; large real ones grow by a tenth of it."""
READ_KINDS = (
    "Shoebox reads PDF, DOCX, ODT, XLSX, ODS, PPTX, RTF, EPUB, DOC, XLS, PPT, EML, MSG, HTML, MD, TXT, CSV, "
    "PNG, JPEG, TIFF, WebP, BMP, GIF and HEIC."
)
REMOVE_PROTECTION = "Save a copy without the password and add that."
GET_AGAIN = "Get the file again from where it came from."


# What reading a broken ZIP raises.
ZIP_DAMAGE = (
    BadZipFile,
    EOFError,
    LZMAError,
    LookupError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
    zlib.error,
)


class UnknownKindError(FileError):
    """The file is none of the kinds that are read."""


class Kind(StrEnum):
    """The kinds that are read; the value is the media type."""

    PDF = "application/pdf"
    PNG = "image/png"
    JPEG = "image/jpeg"
    TIFF = "image/tiff"
    WEBP = "image/webp"
    BMP = "image/bmp"
    GIF = "image/gif"
    HEIC = "image/heic"
    DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
    ODT = "application/vnd.oasis.opendocument.text"
    ODS = "application/vnd.oasis.opendocument.spreadsheet"
    EPUB = "application/epub+zip"
    DOC = "application/msword"
    XLS = "application/vnd.ms-excel"
    PPT = "application/vnd.ms-powerpoint"
    RTF = "application/rtf"
    MSG = "application/vnd.ms-outlook"
    EML = "message/rfc822"
    HTML = "text/html"
    MARKDOWN = "text/markdown"
    CSV = "text/csv"
    TEXT = "text/plain"


IMAGES = frozenset({Kind.PNG, Kind.JPEG, Kind.TIFF, Kind.WEBP, Kind.BMP, Kind.GIF, Kind.HEIC})
PLAIN_TEXTS = frozenset({Kind.TEXT, Kind.MARKDOWN, Kind.CSV})
_BY_EXTENSION = {
    ".txt": Kind.TEXT,
    ".md": Kind.MARKDOWN,
    ".markdown": Kind.MARKDOWN,
    ".csv": Kind.CSV,
    ".tsv": Kind.CSV,
    ".html": Kind.HTML,
    ".htm": Kind.HTML,
    ".xhtml": Kind.HTML,
    ".eml": Kind.EML,
}
_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", Kind.PNG),
    (b"\xff\xd8\xff", Kind.JPEG),
    (b"II*\0", Kind.TIFF),
    (b"MM\0*", Kind.TIFF),
    (b"II+\0", Kind.TIFF),
    (b"MM\0+", Kind.TIFF),
    (b"GIF8", Kind.GIF),
    (b"{\\rtf", Kind.RTF),
)
_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
_ZIP_MEMBERS = (("word/", Kind.DOCX), ("xl/", Kind.XLSX), ("ppt/", Kind.PPTX))
# Names of streams in a Microsoft compound file. A mail may contain the others, so it comes first.
_COMPOUND_STREAMS = (
    ("__substg1.0_", Kind.MSG),
    ("WordDocument", Kind.DOC),
    ("Workbook", Kind.XLS),
    ("PowerPoint Document", Kind.PPT),
)
# What people do drop by mistake, so that the message can say what it is.
_KNOWN_STRANGERS = (
    (b"PK\x03\x04", "a ZIP archive", "Unpack it and add the files in it."),
    (b"PK\x05\x06", "an empty ZIP archive", ""),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "Unpack it and add the files in it."),
    (b"Rar!", "a RAR archive", "Unpack it and add the files in it."),
    (b"\x1f\x8b", "a gzip archive", "Unpack it and add the files in it."),
    (b"MZ", "a Windows program", ""),
    (b"\x7fELF", "a Linux program", ""),
    (b"%!PS", "PostScript", "Convert it to PDF and add that."),
    (b"AT&TFORM", "DjVu", "Convert it to PDF and add that."),
    (b"SQLite format 3\0", "an SQLite database", ""),
    (b"ID3", "a sound recording", ""),
    (b"RIFF", "a sound recording or video", ""),
)
_MAIL_HEADER = re.compile(
    rb"^(From|To|Subject|Date|Received|Return-Path|MIME-Version|Message-ID|Delivered-To|Content-Type):",
    re.IGNORECASE | re.MULTILINE,
)
_HTML_START = re.compile(
    # Possessive: comments can be taken apart in one way only, or hundreds would be tried in all ways.
    rb"\s*(<\?xml[^>]*>\s*)?(?:<!--(?>.*?-->)\s*)*+<(!doctype\s+html|html)\b",
    re.IGNORECASE | re.DOTALL,
)
# Controls that text does not contain, or rarely: all but backspace, tab, newlines, form feed and escape.
_CONTROLS = bytes(set(range(32)) - {8, 9, 10, 12, 13, 27}) + b"\x7f"
_MAX_CONTROL_SHARE = 0.02


def kind_of(path: Path, name: str) -> Kind:
    """The kind of the file at `path`, whose original name is `name`.

    Raises:
        UnknownKindError: of a kind that is not read.
        FileError: empty, protected by a password or cut off.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        raise FileError(f"{shown(name)} is empty.", GET_AGAIN)
    kind = _binary_kind(path, name, head) or _text_kind(name, head)
    if kind is None:
        found, remedy = _stranger(head)
        raise UnknownKindError(f"{shown(name)} is {found}.", remedy or READ_KINDS)
    return kind


def _binary_kind(path: Path, name: str, head: bytes) -> Kind | None:
    # Junk before the header is allowed and common: the PDF specification asks for the first 1,024 bytes.
    if b"%PDF-" in head[:1024]:
        return Kind.PDF
    for signature, kind in _SIGNATURES:
        if head.startswith(signature):
            return kind
    if head.startswith(bytes.fromhex("d0cf11e0a1b11ae1")):
        return _compound_kind(path, name)
    if head.startswith(b"PK\x03\x04"):
        return _zip_kind(path, name)
    return _split_signature(head)


def _split_signature(head: bytes) -> Kind | None:
    """Kinds whose signature has a length or a size in its middle."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return Kind.WEBP
    if head[:2] == b"BM" and head[6:10] == b"\0\0\0\0":
        return Kind.BMP
    if head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS:
        return Kind.HEIC
    return None


def _compound_kind(path: Path, name: str) -> Kind | None:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for stream, kind in _COMPOUND_STREAMS:
            if content.find(stream.encode("utf-16-le")) >= 0:
                return kind
        # Office stores a DOCX, XLSX or PPTX with a password as this stream ([MS-OFFCRYPTO]).
        if content.find("EncryptedPackage".encode("utf-16-le")) >= 0:
            raise FileError(f"{shown(name)} is protected by a password.", REMOVE_PROTECTION)
    return None


def _zip_kind(path: Path, name: str) -> Kind | None:
    try:
        with ZipFile(path) as archive:
            members = archive.namelist()
            _refuse_bomb(archive, name)
            media_type = _member(archive, "mimetype").decode("ascii", "replace").strip()
            manifest = _member(archive, "META-INF/manifest.xml")
    except ZIP_DAMAGE as error:
        raise FileError(f"{shown(name)} is damaged or cut off: {error}.", GET_AGAIN) from error
    if media_type in (Kind.ODT, Kind.ODS, Kind.EPUB):
        # OpenDocument marks each encrypted entry in its manifest; the ZIP itself looks plain.
        if b"encryption-data" in manifest:
            raise FileError(f"{shown(name)} is protected by a password.", REMOVE_PROTECTION)
        return Kind(media_type)
    if "[Content_Types].xml" in members:
        for folder, kind in _ZIP_MEMBERS:
            if any(member.startswith(folder) for member in members):
                return kind
    return None


def _refuse_bomb(archive: ZipFile, name: str) -> None:
    """Refuse what unpacks to very much more than it is; what lies about it meets the limit of memory."""
    growth = sum(entry.file_size - entry.compress_size for entry in archive.infolist())
    if growth > MAX_GROWTH_BYTES:
        raise FileError(
            f"{shown(name)} would unpack to {growth / 1e6:,.0f} MB more than it has; "
            f"the limit is {MAX_GROWTH_BYTES / 1e6:,.0f} MB.",
            "Open it, print it to a PDF and add that.",
        )


def _member(archive: ZipFile, name: str) -> bytes:
    """The first megabyte of an entry, or nothing if there is none."""
    if name not in archive.namelist():
        return b""
    with archive.open(name) as entry:
        return entry.read(1_000_000)


def _text_kind(name: str, head: bytes) -> Kind | None:
    is_utf16 = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    if b"\0" in head and not is_utf16:
        return None
    if by_name := _BY_EXTENSION.get(Path(name).suffix.lower()):
        return by_name
    controls = len(head) - len(head.translate(None, _CONTROLS))
    if controls > _MAX_CONTROL_SHARE * len(head) and not is_utf16:
        return None
    if _HTML_START.match(head):
        return Kind.HTML
    return Kind.EML if _begins_with_headers(head) else Kind.TEXT


def _begins_with_headers(head: bytes) -> bool:
    """Two or more of a mail's headers, from the first line on; a note that quotes a mail has them later."""
    headers = re.split(rb"\r?\n\r?\n", head, maxsplit=1)[0]
    return bool(re.match(rb"[!-9;-~]+:", headers)) and len(set(_MAIL_HEADER.findall(headers))) >= 2


def _stranger(head: bytes) -> tuple[str, str]:
    for signature, description, remedy in _KNOWN_STRANGERS:
        if head.startswith(signature):
            return f"{description}, which is not read", remedy
    if head[4:8] == b"ftyp":
        return "a video or a picture of a kind that is not read", ""
    return f"of an unknown kind (it begins with the bytes {head[:8].hex(' ')})", ""
