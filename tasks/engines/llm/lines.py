"""The body of an answer in whole lines, bounded, however a broken server goes on.

What reads the lines takes them apart where Unicode says that a line ends (`str.splitlines`), and JSON
may hold three of those characters as they are: U+0085, U+2028 and U+2029. llama.cpp writes all of them
so, Ollama the first. They are escaped here, so that a line ends where the server ended it.
"""

from collections.abc import Callable, Iterable, Iterator

MOST_LINE_BYTES = 16 * 1024 * 1024
"""Of one line, or of a body without line ends. The vectors of a batch take about 2 MB."""
MOST_BYTES = 256 * 1024 * 1024
"""Of a whole body: a reply of 16,384 tokens with 20 alternatives for each takes about 40 MB."""

_ESCAPED = (
    ("\u0085".encode(), rb"\u0085"),
    ("\u2028".encode(), rb"\u2028"),
    ("\u2029".encode(), rb"\u2029"),
)


def whole_lines(pieces: Iterable[bytes], too_much: Callable[[str], Exception]) -> Iterator[bytes]:
    """The same bytes, cut behind line ends only, so that no character is cut in two.

    Args:
        pieces: as they came.
        too_much: makes the error that is raised if a line, or all of it, is longer than any answer; it is
            told how long in words.
    """
    pending = bytearray()
    total = 0
    for piece in pieces:
        total += len(piece)
        lines, end, rest = piece.rpartition(b"\n")
        if end:
            yield _escaped(bytes(pending + lines + end))
            pending.clear()
        pending += rest
        if len(pending) > MOST_LINE_BYTES:
            raise too_much(f"a line of more than {MOST_LINE_BYTES >> 20} MB")
        if total > MOST_BYTES:
            raise too_much(f"more than {MOST_BYTES >> 20} MB")
    if pending:
        yield _escaped(bytes(pending))


def _escaped(lines: bytes) -> bytes:
    for character, escape in _ESCAPED:
        lines = lines.replace(character, escape)
    return lines
