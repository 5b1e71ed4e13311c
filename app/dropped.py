"""From the text that a terminal sends when files are dropped on it to the paths that are meant.

No terminal says in which form it writes them, and file names may hold anything, so each form is tried in
turn, the most literal first, and the first is right whose paths all exist. Known forms: raw lines (kitty,
Alacritty), shell quotes (GNOME Terminal, Konsole), backslashes (iTerm2, Terminal.app, WezTerm), `file:` URIs
(file managers), Windows paths (Windows Terminal; inside WSL they are looked for where WSL mounts the drives).
"""

import os
import platform
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_to_bytes

_MOST_LOOKS = 60_000
"""How often the disk is asked at most, for a text that is full of what could be paths."""
_LONGEST_PATH = 4_096
"""Linux' PATH_MAX; what is longer is not looked for."""
_LONGEST_WORD = 3 * _LONGEST_PATH + 100  # a URI writes a byte as three characters
_MOST_PIECES = 8
"""A path that holds newlines, or a space before a slash, is put together from so many pieces at most."""

_MOST_MISSED = 1_000
"""After so many names of what is not there the rest of a text is not looked at."""

# Quantifiers are possessive, so that no text makes the matching slow. Words end at ASCII blanks only: other
# Unicode spaces are part of names, and no terminal escapes them.
_LINE = re.compile(r"(?:(?<=\n)|(?<=\r)(?!\n)|\A)[^\r\n]*+")
_SHELL_WORD = re.compile(r"""(?:'[^']*+'|"(?:\\.|[^"\\])*+"|\\.|[^ \t\r\n'"\\])++|['"\\]""", re.DOTALL)
_SHELL_PIECE = re.compile(r"""'([^']*+)'|"((?:\\.|[^"\\])*+)"|\\(.)|([^'"\\]++)""", re.DOTALL)
_ESCAPED_IN_QUOTES = re.compile(r"""\\(["\\$`])""")
_ESCAPED_WORD = re.compile(
    r"""'((?:\\.|[^'\\])*+)'|"((?:\\.|[^"\\])*+)"|((?:\\.|[^ \t\r\n'"\\])++)""", re.DOTALL
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_SPACE_ESCAPED_WORD = re.compile(r"(?:\\ |[^ ])++")
_WINDOWS_WORD = re.compile(r'"([^"\r\n]*+)"|([^ \t\r\n"]++)')
_PATH_AFTER_BLANK = re.compile(r"(?:/|file:)(?:(?![ \t]++(?:/|file:))[^\r\n])*+")

_FILE_URI = re.compile(r"file:(?://([^/]*+))?(?=/)", re.IGNORECASE)
_WINDOWS_PATH = re.compile(r"([A-Za-z]):[\\/]")
_WSL_PATH = re.compile(r"\\\\wsl(?:\.localhost|\$)\\[^\\]++(?=\\)", re.IGNORECASE)
_STARTS_PATH = re.compile(r"""['"]?(?:/|file:/)""")

_Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Dropped:
    """What a text of dropped files means."""

    paths: tuple[Path, ...]
    """What exists, in the order of the text, each once."""
    unknown: tuple[str, ...]
    """What was named and does not exist, or is no path at all; of very much, the first. Untrusted text."""


def parse_dropped(
    text: str, base: Path | None = None, exists: Callable[[str], bool] = os.path.lexists
) -> Dropped:
    """Find the paths in a text that a terminal sent, or that a person typed. No text raises an error.

    Args:
        text: whatever arrived.
        base: for typed text, the folder that relative paths start from; `~` is then the home folder. Without
            it only absolute paths count: terminals send no others.
        exists: whether there is something at a path.
    """
    finder = _Finder(base, exists)
    lines = _spans(_LINE, text)
    if len(lines) > 1:  # a quoted name may hold newlines: the text as a whole goes first
        for words in _forms(text, lines, finder):
            if found := finder.all(words):
                return _dropped(found, ())
    return _by_lines(text, lines, finder)


def _dropped(found: Iterable[str], unknown: Iterable[str]) -> Dropped:
    return Dropped(tuple(map(Path, dict.fromkeys(found))), tuple(dict.fromkeys(unknown)))


class _Finder:
    """Asks the disk, about each word once, and not without end."""

    def __init__(self, base: Path | None, exists: Callable[[str], bool]) -> None:
        self._base = base
        self._exists = exists
        self._looks_left = _MOST_LOOKS
        self._known: dict[str, str | None] = {}

    def all(self, words: Iterable[str]) -> list[str]:
        """Where each of these is; nothing as soon as one of them is nowhere."""
        found = []
        for word in words:
            path = self.path(word)
            if path is None:
                return []
            found.append(path)
        return found

    def path(self, word: str) -> str | None:
        """The path of what a word means, if there is something."""
        if len(word) > _LONGEST_WORD or not word or word.isspace():
            return None
        if word not in self._known:
            self._known[word] = next(filter(self._is_there, self._meanings(word)), None)
        return self._known[word]

    def _is_there(self, path: str) -> bool:
        if not self._looks_left or len(path) > _LONGEST_PATH or "\0" in path:
            return False
        self._looks_left -= 1
        return self._exists(path)

    def _meanings(self, word: str) -> Iterator[str]:
        absolute = _absolute(word)
        yield from absolute
        if not absolute and self._base is not None:
            yield str(self._base / word)
            from_home = expanded(word)
            if from_home != word:
                yield from_home


def expanded(path: str) -> str:
    """A path with `~` or `~user` replaced; as it is if there is no such user."""
    try:
        return os.path.expanduser(path)  # noqa: PTH111 - Path's raises for an unknown user
    except ValueError:  # NUL, or a surrogate that stands for no byte
        return path


def _absolute(word: str) -> tuple[str, ...]:
    """The absolute paths that a word can mean, the likeliest first."""
    if word.startswith("/"):
        return (word,)
    if uri := _FILE_URI.match(word):
        if (uri[1] or "localhost").lower() not in ("localhost", platform.node().lower()):
            return ()  # a file of another machine
        encoded = word[uri.end() :]
        return (_decoded(encoded), encoded)
    if drive := _WINDOWS_PATH.match(word):
        return (f"/mnt/{drive[1].lower()}/{word[drive.end() :]}".replace("\\", "/"),)
    if wsl := _WSL_PATH.match(word):
        return (word[wsl.end() :].replace("\\", "/"),)
    return ()


def _decoded(encoded: str) -> str:
    try:
        return os.fsdecode(unquote_to_bytes(os.fsencode(encoded)))
    except UnicodeEncodeError:  # a surrogate that stands for no byte
        return encoded


def _forms(text: str, lines: list[_Span], finder: _Finder) -> Iterator[Iterator[str]]:
    """The text cut into words as each kind of terminal means it, the most literal first."""
    yield _joined(text, lines, finder)
    yield ("".join(map(_unquoted, _SHELL_PIECE.finditer(word[0]))) for word in _SHELL_WORD.finditer(text))
    yield (_ESCAPED.sub(r"\1", _first(word)) for word in _ESCAPED_WORD.finditer(text))
    yield (word[0].replace("\\ ", " ") for word in _SPACE_ESCAPED_WORD.finditer(text))
    yield (_first(word) for word in _WINDOWS_WORD.finditer(text))
    if text.startswith(("/", "file:")):
        yield _joined(text, _spans(_PATH_AFTER_BLANK, text), finder)


def _spans(pattern: re.Pattern[str], text: str) -> list[_Span]:
    return [match.span() for match in pattern.finditer(text)]


def _first(match: re.Match[str]) -> str:
    return next((group for group in match.groups() if group is not None), "")


def _unquoted(piece: re.Match[str]) -> str:
    return _first(piece) if piece[2] is None else _ESCAPED_IN_QUOTES.sub(r"\1", piece[2])


def _joined(text: str, spans: list[_Span], finder: _Finder) -> Iterator[str]:
    """Raw pieces, put together where that gives a path."""
    index = 0
    while index < len(spans):
        count, word = _joined_at(text, spans, index, finder)
        if count or not _is_blank(text, spans[index]):
            yield word
        index += count or 1


def _joined_at(text: str, spans: list[_Span], index: int, finder: _Finder) -> tuple[int, str]:
    """How many pieces from this one on are one path, and what they say; 0 and the piece if there is none.

    The fewest after which another path starts: `/a` is not meant where the text goes on with `b` on the next
    line, and the name `a`, newline, `b` exists as well.
    """
    start, end = spans[index]
    best = (0, text[start:end])
    if _is_blank(text, spans[index]):
        return best
    for count in range(1, min(_MOST_PIECES, len(spans) - index) + 1):
        end = spans[index + count - 1][1]
        word = _existing(text[start:end], finder) or _ending_in_return(text, start, end, finder)
        if not word:
            continue
        if index + count == len(spans) or _STARTS_PATH.match(text, spans[index + count][0]):
            return count, word
        best = best if best[0] else (count, word)
    return best


def _existing(word: str, finder: _Finder) -> str:
    """The word, or the word without blanks around it, whichever names something."""
    return next((form for form in (word, word.strip(" \t")) if finder.path(form) is not None), "")


def _ending_in_return(text: str, start: int, end: int, finder: _Finder) -> str:
    """A name may end in the first half of what looks like one line end."""
    return _existing(text[start : end + 1], finder) if text.startswith("\r\n", end) else ""


def _is_blank(text: str, span: _Span) -> bool:
    return not text[slice(*span)].strip()


def _by_lines(text: str, lines: list[_Span], finder: _Finder) -> Dropped:
    """Each line in its own form; what is found of it, and the rest."""
    found: list[str] = []
    unknown: list[str] = []
    index = 0
    while index < len(lines) and len(unknown) < _MOST_MISSED:
        count, word = _joined_at(text, lines, index, finder)
        if count:
            found += finder.all([word])
        elif not _is_blank(text, lines[index]):
            paths, missing = _of_line(word.lstrip(" \t"), finder)
            found += paths
            unknown += missing
        index += count or 1
    return _dropped(found, unknown)


def _of_line(line: str, finder: _Finder) -> tuple[list[str], list[str]]:
    """The paths of one line that is no raw path, and what of it is nowhere."""
    whole = [(0, len(line))]
    for words in _forms(line, whole, finder):
        if found := finder.all(words):
            return found, []
    readings = [reading for words in _forms(line, whole, finder) if (reading := _partly(words, finder))]
    return max(readings, key=lambda reading: len(reading[0]), default=([], [line.rstrip()]))


def _partly(words: Iterator[str], finder: _Finder) -> tuple[list[str], list[str]] | None:
    """What is there of these, and what is not. None if they are not all absolute: prose is full of words."""
    found: list[str] = []
    missing: list[str] = []
    for word in words:
        if not _absolute(word):
            return None
        path = finder.path(word)
        if path is None:
            missing.append(word)
        else:
            found.append(path)
        if len(missing) >= _MOST_MISSED:
            break
    return (found, missing) if found or missing else None
