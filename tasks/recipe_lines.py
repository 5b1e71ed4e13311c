"""Where a key stands in a TOML source: tomllib tells the line of a syntax error only."""

import re

_TABLE = re.compile(r"\s*\[\[?\s*(?P<path>[^\[\]]{1,300}?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"\s*(?P<key>(?:\"[^\"]{0,80}\"|'[^']{0,80}'|[\w. -])*)=")
_PART = re.compile(r"\"([^\"]*)\"|'([^']*)'|([\w-]+)")


def line_of(source: str, path: list[str]) -> int:
    """Line (from 1) of the key with that path, or of the innermost table around it; 0 if there is none."""
    lines = _lines_of_keys(source)
    for length in range(len(path), 0, -1):
        if line := lines.get(tuple(path[:length])):
            return line
    return 0


def _lines_of_keys(source: str) -> dict[tuple[str, ...], int]:
    lines: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    inside = ""  # the quotes of a multi-line string that is open
    for number, line in enumerate(source.split("\n"), start=1):
        if not inside:
            if match := _TABLE.match(line):
                table = _parts(match["path"])
                _note(lines, table, number)
            elif match := _KEY.match(line):
                _note(lines, table + _parts(match["key"]), number)
        inside = _open_string(line, inside)
    return lines


def _note(lines: dict[tuple[str, ...], int], path: tuple[str, ...], number: int) -> None:
    for length in range(1, len(path) + 1):
        lines.setdefault(path[:length], number)


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(match[1] or match[2] or match[3] or "" for match in _PART.finditer(dotted))


def _open_string(line: str, inside: str) -> str:
    for quotes in ('"""', "'''"):
        if inside in ("", quotes) and line.count(quotes) % 2:
            return "" if inside else quotes
    return inside
