"""Plain text files, and text of unknown encoding."""

import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tasks.documents import Extraction, Page
from tasks.errors import FileError
from tasks.reading.cleaning import shown, text_page
from tasks.reading.kinds import Kind
from tasks.settings import Settings

MOST_BYTES_A_CHARACTER = 4
"""In UTF-8 and UTF-16."""
_BYTE_ORDER_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
HALF_CHARACTER = re.compile(rb"[\xc0-\xff][\x80-\xbf]{0,2}\Z")
_REST_UNREAD = (
    "The rest of the file was not read: it is too long. Split it, or raise the setting max_characters."
)
# <meta charset="..."> or <meta http-equiv="Content-Type" content="text/html; charset=...">
_HTML_CHARSET = re.compile(rb"<meta[^>]{1,200}charset=[\"']?([\w.:-]{1,40})", re.IGNORECASE)


def extract_plain(path: Path, name: str, kind: Kind, settings: Settings) -> Extraction:
    """A text file. Form feeds separate pages.

    Raises:
        FileError: it has too many pages.
    """
    # Of a text larger than a document may hold, the rest would be thrown away after decoding. What is asked
    # for is also what Python makes room for beforehand.
    with path.open("rb") as file:
        enough = min(path.stat().st_size, MOST_BYTES_A_CHARACTER * (settings.max_characters + 1))
        data = file.read(enough)
        is_cut = bool(file.read(1))
    # Half a character at the cut would make all of it look as if it were not UTF-8.
    text = decoded(HALF_CHARACTER.sub(b"", data) if is_cut else data)
    pages = pages_of(text.split("\f"), name, settings)
    if is_cut and not pages[-1].error:
        pages = (*pages[:-1], pages[-1].model_copy(update={"error": _REST_UNREAD}))
    return Extraction(mime=kind, pages=pages)


def pages_of(texts: Sequence[str], name: str, settings: Settings) -> tuple[Page, ...]:
    """One page for each text.

    Raises:
        FileError: they are too many.
    """
    if len(texts) > settings.max_pages:
        raise FileError(
            f"{shown(name)} has {len(texts):,} pages; the limit is {settings.max_pages:,}.",
            "Split it, or raise the setting max_pages.",
        )
    return tuple(text_page(number, text) for number, text in enumerate(texts, 1))


def decoded(data: bytes, charset: str = "") -> str:
    """Text by its byte order mark, as `charset`, as UTF-8, as HTML says in its head, or as Windows-1252.

    The last takes any bytes. UTF-8 comes before what HTML says, because it is never right by chance.
    """
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    named = _HTML_CHARSET.search(data[:4096])
    for encoding in (charset, "utf-8", named[1].decode("ascii") if named else ""):
        # Who says Latin-1 means Windows-1252, the same with quotes, dashes and the euro (WHATWG Encoding).
        is_latin = encoding.lower() in ("iso-8859-1", "latin-1", "latin1")
        with suppress(LookupError, ValueError):
            return data.decode("cp1252" if is_latin else encoding)
    return data.decode("cp1252", "replace")
