"""Text from files and models, made safe to print: control characters are shown, never acted on."""

import json
import re
from typing import Any

# Control and bidirectional characters, invisible ones, line separators, and lone surrogates. A terminal, or
# a person reading, could be deceived by each of them.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def visible_json(data: Any, *, indent: int | None = None) -> str:
    """JSON in which nothing acts on a terminal; whoever parses it gets the same data.

    What `json.dumps` leaves as it is, such as U+009B or a change of direction, is escaped.
    """
    text = json.dumps(data, ensure_ascii=False, indent=indent)
    # Of control characters it escapes those below U+0020; in its output they are the line ends of `indent`.
    return _UNSAFE.sub(lambda match: match[0] if match[0] < " " else f"\\u{ord(match[0]):04x}", text)


def visible(text: str) -> str:
    """One line of text in which nothing is hidden and nothing acts: ESC becomes \\x1b, a newline \\x0a."""
    return _UNSAFE.sub(_escape, text)


def visible_lines(text: str) -> str:
    """As `visible`, but newlines and tabs stay: for text that is shown as a block."""
    return "\n".join("\t".join(map(visible, line.split("\t"))) for line in text.split("\n"))


def shortened(text: str, width: int) -> str:
    """At most `width` characters, made visible; what was cut is marked."""
    safe = visible(text)
    return safe if len(safe) <= width else safe[: max(0, width - 1)] + "…"
