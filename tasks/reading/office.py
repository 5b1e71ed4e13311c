"""Office documents and books by kreuzberg."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree
from zipfile import ZipFile

from tasks.documents import Extraction
from tasks.errors import FileError
from tasks.reading.cleaning import clean_title, shown
from tasks.reading.kinds import GET_AGAIN, REMOVE_PROTECTION, ZIP_DAMAGE, Kind
from tasks.reading.plain import pages_of
from tasks.settings import Settings

if TYPE_CHECKING:
    from kreuzberg import ExtractionConfig, ExtractionResult

MAX_PART_BYTES = 5_000_000
_SAVE_AS_PDF = "Open it, print it to a PDF and add that."
_WORD_XML = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"


def extract_office(path: Path, name: str, kind: Kind, settings: Settings) -> Extraction:
    """The text of an office document or book; by page where the format has pages.

    Raises:
        FileError: protected by a password, damaged, or with too many pages.
    """
    result = read_with_kreuzberg(path, name, kind)
    texts = _by_page(result)
    if kind == Kind.DOCX:
        texts[0] = "\n".join(filter(None, (_running_text(path, "header"), texts[0])))
        texts[-1] = "\n".join(filter(None, (texts[-1], _running_text(path, "footer"))))
    title = clean_title(result.metadata.get("title")) or clean_title(result.metadata.get("subject"))
    return Extraction(mime=kind, pages=pages_of(texts, name, settings), title=title)


def read_with_kreuzberg(path: Path, name: str, kind: Kind) -> "ExtractionResult":
    """kreuzberg's plain text of a file, with its metadata.

    Raises:
        FileError: protected by a password or damaged, in kreuzberg's words.
    """
    from kreuzberg import KreuzbergError, extract_file_sync

    try:
        return extract_file_sync(str(path), str(kind), config=_config())
    # ValueError, OSError and RuntimeError come from its Rust core, past its own exception classes.
    except (KreuzbergError, ValueError, OSError, RuntimeError) as error:
        # The first line without its class name.
        reason = re.sub(r"^\w*Error: ", "", clean_title(str(error).partition("\n")[0])).rstrip(".")
        if re.search("password|encrypt", reason, re.IGNORECASE):
            raise FileError(f"{shown(name)} is protected by a password.", REMOVE_PROTECTION) from error
        if re.search("limit exceeded", reason, re.IGNORECASE):
            raise FileError(f"{shown(name)} is too large to be read: {reason}.", _SAVE_AS_PDF) from error
        raise FileError(f"{shown(name)} is damaged or cut off: {reason}.", GET_AGAIN) from error


def _config() -> "ExtractionConfig":
    """OCR, cache and clean-up off.

    The clean-up drops running headers, footers and repeated lines, where letterheads and bank details live.
    """
    from kreuzberg import ContentFilterConfig, ExtractionConfig, PageConfig

    everything = ContentFilterConfig(
        include_headers=True, include_footers=True, include_watermarks=True, strip_repeating_text=False
    )
    return ExtractionConfig(
        disable_ocr=True,  # type: ignore[call-arg]  # missing in kreuzberg 4.10's stubs
        use_cache=False,
        enable_quality_processing=False,
        content_filter=everything,
        pages=PageConfig(extract_pages=True),
    )


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


def _running_text(path: Path, part: str) -> str:
    """The `header` or `footer` of a DOCX, which kreuzberg 4.10 leaves out: letterheads and bank details."""
    with ZipFile(path) as archive:
        return "\n".join(_paragraphs(archive, part))


def _paragraphs(archive: ZipFile, part: str) -> Iterator[str]:
    """Each paragraph once; the headers of first, odd and even pages often repeat each other."""
    seen = {""}
    for entry in archive.infolist():
        if not re.fullmatch(rf"word/{part}\d*\.xml", entry.filename) or entry.file_size > MAX_PART_BYTES:
            continue
        try:
            root = ElementTree.fromstring(archive.read(entry))  # noqa: S314 - bounded; expat stops entity bombs
        except (ElementTree.ParseError, *ZIP_DAMAGE):
            continue
        for paragraph in root.iter(f"{_WORD_XML}p"):
            text = "".join(run.text or "" for run in paragraph.iter(f"{_WORD_XML}t")).strip()
            if text not in seen:
                seen.add(text)
                yield text
