"""Office documents, books and web pages by kreuzberg; plain text by hand."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree
from zipfile import BadZipFile, ZipFile

from tasks.documents import Extraction, Page
from tasks.errors import FileError
from tasks.reading.cleaning import MAX_PAGE_CHARACTERS, clean_title, shown, text_page
from tasks.reading.kinds import GET_AGAIN, REMOVE_PROTECTION, Kind
from tasks.settings import Settings

if TYPE_CHECKING:
    from kreuzberg import ExtractionResult

MAX_PART_BYTES = 5_000_000
_BYTE_ORDER_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_WORD_XML = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"


def extract_office(path: Path, name: str, kind: Kind, settings: Settings) -> Extraction:
    """The text of an office document, book or web page; by page where the format has pages.

    Raises:
        FileError: protected by a password, damaged, or with too many pages.
    """
    result = read_with_kreuzberg(path, name, kind)
    texts = _by_page(result)
    if kind == Kind.DOCX:
        with ZipFile(path) as archive:
            header, footer = ("\n".join(_paragraphs(archive, part)) for part in ("header", "footer"))
        texts[0] = "\n".join(filter(None, (header, texts[0])))
        texts[-1] = "\n".join(filter(None, (texts[-1], footer)))
    title = clean_title(result.metadata.get("title")) or clean_title(result.metadata.get("subject"))
    return Extraction(mime=kind, pages=_pages(texts, name, settings), title=title)


def extract_plain(path: Path, name: str, kind: Kind, settings: Settings) -> Extraction:
    """A text file. Form feeds separate pages; the encoding is the byte order mark's, UTF-8 or Windows-1252.

    Raises:
        FileError: it has too many pages.
    """
    # Of a text larger than all pages may hold, the rest would be thrown away after decoding.
    with path.open("rb") as file:
        text = decoded(file.read(settings.max_pages * MAX_PAGE_CHARACTERS))
    return Extraction(mime=kind, pages=_pages(text.split("\f"), name, settings))


def decoded(data: bytes) -> str:
    """Text of unknown encoding. Windows-1252 takes any bytes, so it comes last."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def read_with_kreuzberg(path: Path, name: str, kind: Kind) -> "ExtractionResult":
    """kreuzberg's plain text of a file, with its OCR, its cache and its clean-up off.

    Its clean-up drops running headers, footers and repeated lines, where letterheads and bank details live.

    Raises:
        FileError: protected by a password or damaged, in kreuzberg's words.
    """
    from kreuzberg import ContentFilterConfig, ExtractionConfig, KreuzbergError, PageConfig, extract_file_sync

    everything = ContentFilterConfig(
        include_headers=True, include_footers=True, include_watermarks=True, strip_repeating_text=False
    )
    config = ExtractionConfig(
        disable_ocr=True,  # type: ignore[call-arg]  # missing in kreuzberg 4.10's stubs
        use_cache=False,
        enable_quality_processing=False,
        content_filter=everything,
        pages=PageConfig(extract_pages=True),
    )
    try:
        return extract_file_sync(str(path), str(kind), config=config)
    # ValueError, OSError and RuntimeError come from its Rust core, past its own exception classes.
    except (KreuzbergError, ValueError, OSError, RuntimeError) as error:
        reason = _reason(str(error))
        if re.search("password|encrypt", reason, re.IGNORECASE):
            raise FileError(f"{shown(name)} is protected by a password.", REMOVE_PROTECTION) from error
        raise FileError(f"{shown(name)} is damaged or cut off: {reason}.", GET_AGAIN) from error


def _reason(message: str) -> str:
    """The first line of kreuzberg's message without its class name and path."""
    first = clean_title(message.partition("\n")[0])
    return re.sub(r"^\w*Error: ", "", first).rstrip(".")


def _by_page(result: "ExtractionResult") -> list[str]:
    """The content cut at kreuzberg's page borders, if they cover it, else in one piece.

    Its `pages` are not used: in 4.10 they lack merged cells of DOCX tables and all of XLSX and PPTX.
    """
    content = result.content.encode()
    borders = (result.metadata.get("pages") or {}).get("boundaries") or []
    texts = [content[b["byte_start"] : b["byte_end"]].decode(errors="replace") for b in borders]
    if "".join("".join(texts).split()) != "".join(result.content.split()):
        return [result.content]
    # Two page breaks in a row are no page that anybody would count.
    return [text for text in texts if text.strip()] or [""]


def _pages(texts: list[str], name: str, settings: Settings) -> tuple[Page, ...]:
    if len(texts) > settings.max_pages:
        raise FileError(
            f"{shown(name)} has {len(texts):,} pages; the limit is {settings.max_pages:,}.",
            "Split it, or raise the setting max_pages.",
        )
    return tuple(text_page(number, text) for number, text in enumerate(texts, 1))


def _paragraphs(archive: ZipFile, part: str) -> Iterator[str]:
    """The paragraphs of a DOCX's running headers or footers, which kreuzberg 4.10 leaves out.

    They hold letterheads and bank details. First, odd and even pages often repeat them: each comes once.
    """
    seen = {""}
    for entry in archive.infolist():
        if not re.fullmatch(rf"word/{part}\d*\.xml", entry.filename) or entry.file_size > MAX_PART_BYTES:
            continue
        try:
            root = ElementTree.fromstring(archive.read(entry))  # noqa: S314 - size-limited; expat stops entity bombs
        except (ElementTree.ParseError, BadZipFile, RuntimeError):
            continue
        for paragraph in root.iter(f"{_WORD_XML}p"):
            text = "".join(run.text or "" for run in paragraph.iter(f"{_WORD_XML}t")).strip()
            if text not in seen:
                seen.add(text)
                yield text
