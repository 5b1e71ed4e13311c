"""From the text that a terminal sends when files are dropped on it to the paths that are meant.

No terminal says in which form it writes them, and file names may hold anything, so each form is tried in
turn, the most literal first, and the first is right whose paths all exist. Known forms: raw lines (kitty,
Alacritty), shell quotes (GNOME Terminal, Konsole), backslashes (iTerm2, Terminal.app, WezTerm), `file:` URIs
(file managers), Windows paths (Windows Terminal; inside WSL they are looked for where WSL mounts the drives).
"""

import os
import platform
import re
from collections.abc import Callable, Iterator, Sequence
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

# Quantifiers are possessive, so that no text makes the matching slow. Words end at ASCII blanks only: other
# Unicode spaces are part of names, and no terminal escapes them.
_LINE = re.compile(r"(?:(?<=\n)|(?<=\r)(?!\n)|\A)[^\r\n]*+")
_SHELL_WORD = re.compile(
    r"""(?:'[^']*+'|"(?:\\.|[^"\\])*+"|\\.|[^ \t\r\n'"\\])++|(?P<stray>['"\\])""", re.DOTALL
)
_SHELL_PIECE = re.compile(r"""'([^']*+)'|"((?:\\.|[^"\\])*+)"|\\(.)|([^'"\\]++)""", re.DOTALL)
_ESCAPED_IN_QUOTES = re.compile(r"""\\(["\\$`])""")
_ESCAPED_WORD = re.compile(
    r"""'((?:\\.|[^'\\])*+)'|"((?:\\.|[^"\\])*+)"|((?:\\.|[^ \t\r\n'"\\])++)""", re.DOTALL
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_SPACE_ESCAPED_WORD = re.compile(r"(?:\\ |[^ \r\n])++")
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
    """What was named and does not exist, or is no path at all. Untrusted text."""


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
    for words in _forms(text, finder):
        found = finder.all(words)
        if found:
            return _dropped(found, [])
    return _by_lines(text, finder)


def _dropped(found: Sequence[str], unknown: Sequence[str]) -> Dropped:
    return Dropped(tuple(dict.fromkeys(map(Path, found))), tuple(dict.fromkeys(unknown)))


class _Finder:
    """Asks the disk, each path once, and not without end."""

    def __init__(self, base: Path | None, exists: Callable[[str], bool]) -> None:
        self._base = base
        self._exists = exists
        self._known: dict[str, bool] = {}

    def all(self, words: Sequence[str]) -> list[str] | None:
        """Where each of these is; None when one of them is nowhere."""
        found = []
        for word in words:
            path = self.path(word)
            if path is None:
                return None
            found.append(path)
        return found

    def path(self, word: str) -> str | None:
        """The path of what a word means, if there is something."""
        if not word.strip() or len(word) > _LONGEST_WORD:
            return None
        return next(filter(self._is_there, self._meanings(word)), None)

    def _is_there(self, path: str) -> bool:
        if path not in self._known:
            if len(self._known) >= _MOST_LOOKS or len(path) > _LONGEST_PATH or "\0" in path:
                return False
            self._known[path] = self._exists(path)
        return self._known[path]

    def _meanings(self, word: str) -> Iterator[str]:
        absolute = _absolute(word)
        yield from absolute
        if absolute or self._base is None:
            return
        yield str(self._base / word)
        if word.startswith("~"):
            yield os.path.expanduser(word)  # noqa: PTH111 - Path's raises for an unknown user


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


def _forms(text: str, finder: _Finder) -> Iterator[list[str]]:
    """The text cut into words, as each kind of terminal means it; the most literal first."""
    yield _joined(text, _spans(_LINE, text), finder)
    yield _shell_words(text)
    yield [_ESCAPED.sub(r"\1", _first(match)) for match in _ESCAPED_WORD.finditer(text)]
    yield [match[0].replace("\\ ", " ") for match in _SPACE_ESCAPED_WORD.finditer(text)]
    yield [_first(match) for match in _WINDOWS_WORD.finditer(text)]
    if text.startswith(("/", "file:")):
        yield _joined(text, _spans(_PATH_AFTER_BLANK, text), finder)


def _spans(pattern: re.Pattern[str], text: str) -> list[_Span]:
    return [match.span() for match in pattern.finditer(text)]


def _first(match: re.Match[str]) -> str:
    return next((group for group in match.groups() if group is not None), "")


def _shell_words(text: str) -> list[str]:
    words = []
    for word in _SHELL_WORD.finditer(text):
        if word["stray"]:
            return []
        words.append("".join(map(_unquoted, _SHELL_PIECE.finditer(word[0]))))
    return words


def _unquoted(piece: re.Match[str]) -> str:
    if piece[2] is not None:
        return _ESCAPED_IN_QUOTES.sub(r"\1", piece[2])
    return _first(piece)


def _joined(text: str, spans: list[_Span], finder: _Finder) -> list[str]:
    """Raw pieces put together to paths; nothing as soon as a piece belongs to none."""
    paths = []
    index = 0
    while index < len(spans):
        count, path = _joined_at(text, spans, index, finder)
        if count:
            paths.append(path)
        elif not _is_blank(text, spans[index]):
            return []
        index += count or 1
    return paths


def _joined_at(text: str, spans: list[_Span], index: int, finder: _Finder) -> tuple[int, str]:
    """How many pieces from this one on are one path, and where it is; 0 pieces if there is none.

    The fewest after which another path starts: `/a` is not meant where the text goes on with `b` on the next
    line, and the name `a`, newline, `b` exists as well.
    """
    best = (0, "")
    start = spans[index][0]
    for count in range(1, min(_MOST_PIECES, len(spans) - index) + 1):
        word = text[start : spans[index + count - 1][1]]
        path = finder.path(word) or finder.path(word.strip(" \t"))
        if path is None:
            continue
        if index + count == len(spans) or _STARTS_PATH.match(text, spans[index + count][0]):
            return count, path
        best = best if best[0] else (count, path)
    return best


def _is_blank(text: str, span: _Span) -> bool:
    return not text[slice(*span)].strip()


def _by_lines(text: str, finder: _Finder) -> Dropped:
    """Each line in its own form; what is found of it, and the rest."""
    found: list[str] = []
    unknown: list[str] = []
    lines = _spans(_LINE, text)
    index = 0
    while index < len(lines):
        count, path = _joined_at(text, lines, index, finder)
        if count:
            found.append(path)
        elif not _is_blank(text, lines[index]):
            paths, missing = _of_line(text[slice(*lines[index])].strip(), finder)
            found += paths
            unknown += missing
        index += count or 1
    return _dropped(found, unknown)


def _of_line(line: str, finder: _Finder) -> tuple[list[str], list[str]]:
    """The paths of one line that is no raw path, and what of it is nowhere."""
    best: tuple[list[str], list[str]] = ([], [line])
    for words in _forms(line, finder):
        if found := finder.all(words):
            return found, []
        if any(map(_absolute, words)):
            # A relative word says nothing on its own: prose is full of them.
            paths = {word: finder.path(word) for word in words if _absolute(word)}
            hits = [path for path in paths.values() if path is not None]
            if len(hits) > len(best[0]) or (not best[0] and len(best[1]) == 1 and len(paths) == len(words)):
                best = (hits, [word for word in words if paths.get(word) is None])
    return best
