"""Reading an answer while it is being written: sentences appear before the JSON around them is whole."""

import json
import string
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from tasks.asking.reply import Claim

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_HIGH = range(0xD800, 0xDC00)
_LOW = range(0xDC00, 0xE000)
_HEX_DIGITS = frozenset(string.hexdigits)
_REPLACEMENT = "\ufffd"
_CLAIM_DEPTH = 3
"""The answer is an object, with a list, of objects."""
_MOST_CHARACTERS = 100_000
"""Of one sentence; what is longer is no answer of ours."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A piece of the text of a sentence that is being written."""

    text: str


@dataclass(frozen=True, slots=True)
class Written:
    """A whole sentence, with its sources."""

    claim: Claim


class ReplyReader:
    """Takes the reply in pieces of any size. Never raises: what is no answer gives nothing."""

    def __init__(self) -> None:
        self._open: list[str] = []
        """The brackets that are open."""
        self._string: _String | None = None
        self._is_name = False
        """Whether the string that is open, or comes next, is the name of a value."""
        self._name = ""
        self._literal = ""
        self._claim: list[str] = []
        self._is_answered = True

    def feed(self, piece: str) -> Iterator[Draft | Written]:
        """What a piece of the reply brings."""
        draft: list[str] = []
        for character in piece:
            written, text = self._take(character)
            draft.append(text)
            if written is None:
                continue
            if whole := "".join(draft):
                yield Draft(whole)
                draft.clear()
            yield Written(written)
        if whole := "".join(draft):
            yield Draft(whole)

    def _take(self, character: str) -> tuple[Claim | None, str]:
        """A sentence that this character ends; and what it adds to the text of one."""
        if len(self._open) >= _CLAIM_DEPTH and len(self._claim) < _MOST_CHARACTERS:
            self._claim.append(character)
        if self._string is not None:
            return None, self._in_string(self._string, character)
        claim = None
        if character == '"':
            self._string = _String()
        elif character in "{[":
            self._opened(character)
        elif character in "}]":
            claim = self._closed()
        elif character == ",":
            self._end_literal()
            self._is_name = self._open[-1:] == ["{"]
        elif character == ":":
            self._is_name = False
            self._literal = ""
        elif not character.isspace():
            self._literal += character
        return claim, ""

    def _in_string(self, string: "_String", character: str) -> str:
        text = string.take(character)
        if string.ended:
            self._string = None
            if self._is_name:
                self._name = string.text
        is_text = len(self._open) == _CLAIM_DEPTH and self._name == "text" and not self._is_name
        return text if is_text and self._is_answered else ""

    def _opened(self, bracket: str) -> None:
        self._open.append(bracket)
        self._is_name = bracket == "{"
        if len(self._open) == _CLAIM_DEPTH:
            self._claim = [bracket]

    def _closed(self) -> Claim | None:
        self._end_literal()
        depth = len(self._open)
        if self._open:
            self._open.pop()
        self._is_name = False
        if depth != _CLAIM_DEPTH or not self._is_answered:
            return None
        return _claim("".join(self._claim))

    def _end_literal(self) -> None:
        if len(self._open) == 1 and self._name == "answered" and self._literal == "false":
            self._is_answered = False
        self._literal = ""


class _String:
    """A JSON string as it comes, decoded."""

    def __init__(self) -> None:
        self.ended = False
        self._parts: list[str] = []
        self._escape = ""
        self._high = 0
        """The first half of a character that is written as two."""

    @property
    def text(self) -> str:
        return "".join(self._parts)

    def take(self, character: str) -> str:
        """What the character adds to the text."""
        text = self._decoded(character)
        self._parts.append(text)
        return text

    def _decoded(self, character: str) -> str:
        if self._escape:
            return self._escaped(character)
        if character == "\\":
            self._escape = character
            return ""
        text = self._dropped_half()
        if character == '"':
            self.ended = True
            return text
        return text + character

    def _escaped(self, character: str) -> str:
        self._escape += character
        if self._escape[1] != "u":
            self._escape = ""
            return self._dropped_half() + _ESCAPES.get(character, character)
        if len(self._escape) < 6:
            return ""
        digits, self._escape = self._escape[2:], ""
        if not set(digits) <= _HEX_DIGITS:  # int() takes signs, blanks, underscores and other scripts' digits
            return self._dropped_half() + _REPLACEMENT
        return self._code(int(digits, 16))

    def _code(self, code: int) -> str:
        if self._high and code in _LOW:
            whole = chr(0x10000 + ((self._high - 0xD800) << 10) + (code - 0xDC00))
            self._high = 0
            return whole
        text = self._dropped_half()
        if code in _HIGH:
            self._high = code
            return text
        return text + (_REPLACEMENT if code in _LOW else chr(code))

    def _dropped_half(self) -> str:
        """What stands for a first half that no second one followed."""
        half, self._high = self._high, 0
        return _REPLACEMENT if half else ""


def _claim(text: str) -> Claim | None:
    try:
        value: Any = json.loads(text)
        return Claim.model_validate(value)
    except (ValueError, ValidationError, RecursionError):
        return None
