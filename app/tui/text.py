"""Text on the screen. Markup is never read: everything goes through `Content`, made visible first."""

from textual.content import Content
from textual.style import Style

from app.plain_text import visible, visible_lines

_LONGEST_LINE = 2_000
"""Characters of one line that are ever shown; a line of 100 kB would be laid out again for every frame."""


def plain(text: str, style: str | Style = "") -> Content:
    """One line of untrusted text, in a style of ours."""
    return Content.styled(visible(_cut(text)), style) if style else Content(visible(_cut(text)))


def plain_lines(text: str, style: str | Style = "") -> Content:
    """Untrusted text of several lines."""
    safe = "\n".join(_cut(line) for line in visible_lines(text).split("\n"))
    return Content.styled(safe, style) if style else Content(safe)


def _cut(line: str) -> str:
    if len(line) <= _LONGEST_LINE:
        return line
    return f"{line[:_LONGEST_LINE]}… ({len(line) - _LONGEST_LINE} more characters)"
