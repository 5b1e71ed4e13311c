"""Web pages and HTML mails: the text that a reader sees.

By Python's parser: kreuzberg 4.10's plain text of HTML keeps Markdown for emphasis, images and links, which
would stand within quotes and fill the page with tracking addresses.
"""

import re
from html.parser import HTMLParser
from pathlib import Path

from tasks.documents import Extraction
from tasks.reading.cleaning import clean_title
from tasks.reading.kinds import Kind
from tasks.reading.plain import HALF_CHARACTER, decoded, pages_of
from tasks.settings import Settings

MAX_HTML_BYTES = 20_000_000
"""Pages are kilobytes; what is longer holds data, not text, and the parser is slow."""

_UNSEEN = frozenset({"script", "style", "svg", "template", "title"})
# Marks in the collected text, none of which can come from a page: line, paragraph, <br>, next cell.
_LINE, _PARAGRAPH, _BREAK, _CELL = "\v", "\f", "\r", "\t"
_MARKS = {
    **dict.fromkeys(("caption", "dd", "div", "dt", "figcaption", "li", "tr"), _LINE),
    **dict.fromkeys(("address", "article", "aside", "blockquote", "dl", "fieldset", "figure"), _PARAGRAPH),
    **dict.fromkeys(("footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr"), _PARAGRAPH),
    **dict.fromkeys(("main", "nav", "ol", "p", "pre", "section", "table", "ul"), _PARAGRAPH),
}
# A blank that does not break holds a number together where it stands between two digits: 1&nbsp;234.56.
_ANY_BLANK = re.compile(r"(?!(?<=\d)[\u00a0\u2007\u2009\u202f]\d)[\s\u00a0]+")
_BLANKS = re.compile(" +")


def extract_html(path: Path, name: str, settings: Settings) -> Extraction:
    """The text of a web page, without scripts and styles."""
    with path.open("rb") as file:
        data = file.read(MAX_HTML_BYTES)
        is_cut = bool(file.read(1))
    reader = _read(decoded(HALF_CHARACTER.sub(b"", data) if is_cut else data))
    pages = pages_of([reader.text], name, settings)
    if is_cut and not pages[0].error:
        words = f"Only the first {MAX_HTML_BYTES // 1_000_000} MB of this file were read."
        pages = (pages[0].model_copy(update={"error": words}), *pages[1:])
    return Extraction(mime=Kind.HTML, pages=pages, title=clean_title(reader.title))


def html_text(html: str) -> str:
    """The text of a web page."""
    return _read(html).text


def _read(html: str) -> "_Reader":
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader


class _Reader(HTMLParser):
    """Collects text: block elements start a line or paragraph, table cells are separated by a tab."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title = ""
        self._pieces: list[str] = []
        self._unseen: list[str] = []

    @property
    def text(self) -> str:
        """Blanks as a browser shows them: runs count once, none at the ends of lines and cells."""
        text = re.sub(r" ?([\v\f\r\t]+) ?", r"\1", _BLANKS.sub(" ", "".join(self._pieces)))
        return re.sub(r"[\v\f\r][\v\f\r\t]*", _line_end, text).strip()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        if tag in _UNSEEN:
            if tag not in self._unseen:  # its end is the end of those in it, of which there may be a million
                self._unseen.append(tag)
        elif tag in ("td", "th"):
            self._pieces.append(_CELL)
        elif tag == "br":
            self._pieces.append(_BREAK)
        else:
            self._pieces.append(_MARKS.get(tag, ""))

    def handle_endtag(self, tag: str) -> None:
        if tag in self._unseen:
            # An element that is never closed ends with the one around it.
            del self._unseen[self._unseen.index(tag) :]
        self._pieces.append(_MARKS.get(tag, ""))

    def handle_data(self, data: str) -> None:
        if "title" in self._unseen:
            self.title += data
        elif not self._unseen:
            self._pieces.append(_ANY_BLANK.sub(" ", data))


def _line_end(marks: re.Match[str]) -> str:
    """Adjacent marks are one line end, or an empty line after a paragraph or two <br>."""
    return "\n\n" if _PARAGRAPH in marks[0] or marks[0].count(_BREAK) > 1 else "\n"
