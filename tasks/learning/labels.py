"""The words of a document that say what a value beside them is."""

import re

_MOST = 60
_MOST_WORDS = 5
_CELL = re.compile(r"\t|\s{3,}")
_NUMBER = re.compile(r"[^\s]*\d[^\s]*")
_AROUND = " \t:;.,-–—=|#"
_CURRENCY = re.compile(r"(?:[€£$¥₹]|\b(?:EUR|USD|GBP|CHF))\s*$")


def label_of(text: str, start: int) -> str:
    """The label of the value that begins at an offset of a page's text; empty if it has none.

    The words before it in its cell of the line; without any, the line above.
    """
    line_start = text.rfind("\n", 0, start) + 1
    beside = _as_label(_CELL.split(text[line_start:start].rstrip())[-1])
    if beside or text[line_start:start].strip():
        return beside
    above = text[:line_start].rstrip()
    line = above[above.rfind("\n") + 1 :]
    return "" if any(character.isdigit() for character in line) else _as_label(line)


def _as_label(words: str) -> str:
    """Words without what changes from document to document: numbers become ` … `."""
    words = _CURRENCY.sub("", words.strip(_AROUND)).strip(_AROUND)
    parts = _NUMBER.sub(" … ", words).split()
    while parts and parts[0] == "…":
        parts.pop(0)
    while parts and parts[-1] == "…":
        parts.pop()
    label = " ".join(parts[-_MOST_WORDS:]).lstrip("… ").strip()
    if len(label) > _MOST or sum(character.isalpha() for character in label) < 2:
        return ""
    return label
