"""File names from what was read. Whatever a model wrote, the result is a safe path below the target.

Safe on every common file system: Linux, macOS (NFD and NFC are the same name), Windows and FAT (reserved
characters and names, no end in a dot or blank), and with their lengths.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import PurePosixPath
from string import Formatter
from typing import Self

from tasks.errors import ConfigError
from tasks.ledger import DocumentRow

PLACEHOLDERS = (
    *("category", "date", "year", "month", "party", "title", "amount", "currency"),
    *("id", "name", "ext"),
)
MAX_FOLDERS = 3
_MAX_FOLDER = 40
_MAX_STEM = 80
"""Characters; with three folders a path stays below Windows' 260 in any usual place."""
_MAX_BYTES = 180
"""Of one part in UTF-8, with room for ` (1234)`; file systems take 255."""
# learn.microsoft.com, "Naming Files, Paths, and Namespaces". The superscript digits count as digits.
_RESERVED = re.compile(
    r"^(con|prn|aux|nul|conin\$|conout\$|com[0-9\u00b9\u00b2\u00b3]|lpt[0-9\u00b9\u00b2\u00b3]) *(\.|$)", re.I
)
_SEPARATORS = re.compile(r"[/\\:*?\"<>|\u2044\u2215\uff0f\uff3c]+")
_UNSEEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
_SUFFIX = re.compile(r"^\.[a-z0-9]{1,10}$")
_NUMBER = re.compile(r" \([0-9]+\)$")
_MISSING = {"category": "uncategorised", "date": "undated", "year": "undated", "month": "undated"}
_DATE = re.compile(r"^(\d{4})-(\d{2})-(\d{2})$")


@dataclass(frozen=True, slots=True)
class Template:
    """How names are made: parts with placeholders, the last of them the file's name."""

    parts: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a template such as `{category}/{date}_{party}_{title}{ext}`. A missing `{ext}` is added.

        Raises:
            ConfigError: it has an unknown placeholder, is absolute, climbs, or has empty or too many parts.
        """
        parts = text.split("/")
        if any(part.strip() in ("", ".", "..") for part in parts) or "\\" in text or ":" in text:
            raise _wrong(text, "it is no path of folders and a name below the target")
        if len(parts) > MAX_FOLDERS + 1:
            raise _wrong(text, f"it has more than {MAX_FOLDERS} folders")
        if "{ext}" in text.removesuffix("{ext}"):
            raise _wrong(text, "{ext} can only stand at its end")
        for part in parts:
            _check(text, part)
        parts[-1] = parts[-1].removesuffix("{ext}")
        if not parts[-1]:
            raise _wrong(text, "the file's name has nothing but its ending")
        return cls(tuple(parts))

    def path(self, values: Mapping[str, str]) -> PurePosixPath:
        """The path of a document with these values, by placeholder; what is missing is left out or said."""
        clean = {name: _value(name, values.get(name, "")) for name in PLACEHOLDERS}
        *folders, stem = (part.format_map(clean) for part in self.parts)
        suffix = values.get("ext", "").lower()
        suffix = suffix if _SUFFIX.match(suffix) else ""
        parts = [_part(folder, _MAX_FOLDER, "") for folder in folders]
        return PurePosixPath(*parts, _part(stem, _MAX_STEM, suffix))


def _wrong(text: str, why: str) -> ConfigError:
    known = " ".join(f"{{{name}}}" for name in PLACEHOLDERS)
    return ConfigError(f"The template {text!r} cannot be used: {why}.", f"It may hold {known}.")


def _check(text: str, part: str) -> None:
    try:
        for literal, name, form, conversion in Formatter().parse(part):
            if not literal.isprintable() or _SEPARATORS.search(literal):
                raise _wrong(text, "it holds a character that not every file system takes")
            if name is not None and (name not in PLACEHOLDERS or form or conversion):
                raise _wrong(text, f"{{{name}}} is not known")
    except ValueError as error:
        raise _wrong(text, f"its braces do not match ({error})") from error


def values_of(document: DocumentRow) -> dict[str, str]:
    """The values of a document, by placeholder."""
    name = PurePosixPath(document.name.replace("/", "_"))
    date = _DATE.match(document.date)
    return {
        "category": document.category,
        "date": document.date if date else "",
        "year": date[1] if date else "",
        "month": f"{date[1]}-{date[2]}" if date else "",
        "party": document.party,
        "title": document.title or name.stem,
        "amount": document.amount,
        "currency": document.currency,
        "id": document.id,
        "name": name.stem,
        "ext": name.suffix,
    }


def safe_file_name(name: str) -> str:
    """What somebody calls a file, as a name that is safe on every file system. Never a path, never empty."""
    last = PurePosixPath(re.split(r"[/\\]", name[-1000:])[-1].strip())
    suffix = last.suffix.lower()
    if not _SUFFIX.match(suffix):
        return _part(_value("name", last.name), _MAX_STEM, "")
    return _part(_value("name", last.stem), _MAX_STEM, suffix)


def _value(name: str, text: str) -> str:
    """A value that can make neither a folder nor a character that is not seen."""
    text = unicodedata.normalize("NFC", text[:1000])
    text = "".join(
        " " if character in "\t\r\n\v\f\x85\u2028\u2029" else character
        for character in text
        if character in "\t\r\n\v\f\x85\u2028\u2029" or unicodedata.category(character) not in _UNSEEN
    )
    text = re.sub(r"\s+", " ", _SEPARATORS.sub("-", text)).strip(" ._-")
    return text or _MISSING.get(name, "")


def _part(text: str, most: int, suffix: str) -> str:
    """One part of a path: tidied where values were missing, short enough, and of no meaning to any system."""
    text = unicodedata.normalize("NFC", text)
    text = re.sub(r"_(?:[ -]*_)+", "_", text).rstrip(" ._-~")
    while text and (text[0] in " ._-~" or unicodedata.combining(text[0])):  # a mark has no letter
        text = text[1:]
    text = _shortened(text, most, _MAX_BYTES - len(suffix)).rstrip(" ._-~")
    text = text or "unnamed"
    return f"_{text}{suffix}" if _RESERVED.match(text + suffix) else text + suffix


def _shortened(text: str, characters: int, size: int) -> str:
    kept = text[:characters]
    while len(kept.encode()) > size:
        kept = kept[:-1]
    # A cut must not part a character from the marks that belong to it.
    while len(kept) < len(text) and kept and unicodedata.combining(text[len(kept)]):
        kept = kept[:-1]
    return unicodedata.normalize("NFC", kept)


def key_of(path: PurePosixPath) -> str:
    """Two paths with the same key are the same file on some file system."""
    folded = unicodedata.normalize("NFD", str(path)).casefold()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", folded))


def numbered(path: PurePosixPath, first: int = 1) -> Iterator[tuple[int, PurePosixPath]]:
    """`a.pdf`, `a (2).pdf`, `a (3).pdf` ... without end, each with its number."""
    for number in count(first):
        yield number, path if number == 1 else path.with_name(f"{path.stem} ({number}){path.suffix}")


def without_number(path: PurePosixPath) -> PurePosixPath:
    """`a.pdf` for `a (2).pdf`; any other path as it is."""
    stem = _NUMBER.sub("", path.stem)
    return path.with_name(stem + path.suffix) if stem.strip(".") else path
