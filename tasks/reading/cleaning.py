"""Text and names from files are untrusted: what has to happen to them before anything else sees them."""

import re
import unicodedata

from tasks.documents import Page, TextSource

MAX_PAGE_CHARACTERS = 2_000_000
"""About a thousand printed pages; more on one page is a data dump that nobody reads."""
MAX_TITLE_CHARACTERS = 300

# Controls except tab and newline, noncharacters, lone surrogates: SQLite and JSON stumble over some.
_UNWANTED = re.compile("[\x00-\x08\x0e-\x1f\x7f\ufdd0-\ufdef\ufffe\uffff\ud800-\udfff]")
# A form feed separates pages (see DocumentText.text), so within a page it can only be a line end.
_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\u2028\u2029]")
_BLANKS = " \t\u00a0"
_MAX_MARKS = 30
"""Combining marks in a row, as in Unicode's Stream-Safe Text Format (UAX 15). Sorting takes the square."""
_PERHAPS_MARKS = re.compile(rf"[^\w\s\x00-\x7f]{{{_MAX_MARKS + 1},}}")
_LIGATURES = str.maketrans(
    {"\ufb00": "ff", "\ufb01": "fi", "\ufb02": "fl", "\ufb03": "ffi", "\ufb04": "ffl", "\ufb06": "st"}
)
# Figure space and thin space group digits as the narrow no-break space does.
_SAME_CHARACTERS = _LIGATURES | str.maketrans({"\u2007": "\u202f", "\u2009": "\u202f"})
# PDFium marks a hyphen at a line's end with one of these in place of the hyphen itself.
_LINE_END_HYPHEN = re.compile("[\x02\ufffe](?=\\s|$)")
# As in every listing that shows names: control, bidirectional and invisible characters.
_NOT_SHOWN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)


def clean_text(text: str) -> str:
    """Newlines as `\\n`, composed characters, no ligatures, controls, noncharacters or trailing blanks."""
    text = _LINE_END_HYPHEN.sub("-", _LINE_ENDS.sub("\n", text))
    text = _PERHAPS_MARKS.sub(_fewer_marks, _UNWANTED.sub("", text).translate(_SAME_CHARACTERS))
    text = unicodedata.normalize("NFC", text)
    # No regular expression: from each of a million blanks it would look for the end of the line.
    return "\n".join(line.rstrip(_BLANKS) for line in text.split("\n")).strip("\n")


def _fewer_marks(run: re.Match[str]) -> str:
    """The run with at most `_MAX_MARKS` combining marks one after the other."""
    kept, marks = [], 0
    for character in run[0]:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks <= _MAX_MARKS:
            kept.append(character)
    return "".join(kept)


def clean_title(title: object) -> str:
    """One line of at most 300 characters, without controls; empty for anything but a string."""
    if not isinstance(title, str):
        return ""
    return " ".join(_NOT_SHOWN.sub(" ", title).split())[:MAX_TITLE_CHARACTERS]


def shown(name: str) -> str:
    """A file name as it may stand in a message: quoted, harmless, not endless; `The file` without a name."""
    if not name:
        return "The file"
    safe = _NOT_SHOWN.sub("\ufffd", name)
    return f"“{safe if len(safe) <= 120 else safe[:80] + '…' + safe[-30:]}”"


def text_page(number: int, text: str, score: float = 1.0) -> Page:
    """A page of clean text. A page without text has score 0 and source `none`.

    `score` is 1 for files that store characters, not glyphs: there the text is what the file says.
    """
    error = ""
    if len(text) > MAX_PAGE_CHARACTERS:
        text = text[:MAX_PAGE_CHARACTERS]
        error = f"Only the first {MAX_PAGE_CHARACTERS:,} characters of this page were read; it has more."
    cleaned = clean_text(text)
    if not cleaned.strip():
        return Page(number=number, text="", source=TextSource.NONE, score=0.0, error=error)
    return Page(number=number, text=cleaned, source=TextSource.LAYER, score=score, error=error)


def unreadable_page(number: int, error: str) -> Page:
    """A page of which nothing can be read, and why."""
    return Page(number=number, text="", source=TextSource.NONE, score=0.0, error=error)
