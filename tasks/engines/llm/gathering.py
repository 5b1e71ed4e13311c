"""The pieces of a reply while they come, and the answer that they make."""

import json
import re
from typing import TYPE_CHECKING

from tasks.engines.llm.base import LlmError, OnText, ReplyToken
from tasks.engines.llm.failures import Failures

if TYPE_CHECKING:
    from tasks.engines.llm.wire import Watch

EQUAL_PIECES = 30
"""So many equal tokens in a row, blanks aside, and Ollama ends the stream without a word."""
_MOST_PIECES = 4
"""For each token that the reply may have: more, and the server does not keep to it."""
_MORE_PIECES = 256
_SURROGATES = re.compile("[\ud800-\udfff]")
"""Halves of characters. JSON can hold them alone; no text that is stored or sent can."""


class Gathering:
    """What has come of a reply so far.

    `max_tokens`: what the server was told to end the reply after, in case it does not.
    """

    def __init__(self, watch: "Watch", on_text: OnText, max_tokens: int, failures: Failures) -> None:
        self.tokens: list[ReplyToken] = []
        self._watch = watch
        self._on_text = on_text
        self._failures = failures
        self._max_tokens = max_tokens
        self._pieces = 0
        self._content: list[str] = []
        self._thinking: list[str] = []

    def add(self, content: str, thinking: str) -> None:
        """Take a piece and pass its content on; either part may be empty.

        Raises:
            LlmError: CANCELLED: the reply is not wanted any more. UNAVAILABLE: the server does not end it.
        """
        content, thinking = (_SURROGATES.sub("\ufffd", text) for text in (content, thinking))
        self._pieces += 1
        if self._pieces > _MOST_PIECES * self._max_tokens + _MORE_PIECES:
            raise self._failures.no_answer(
                f"a reply without end, though it was to have {self._max_tokens} tokens"
            )
        if content:
            self._content.append(content)
        if thinking:
            self._thinking.append(thinking)
        if content or thinking:
            self._watch.piece()
        if content:
            self._on_text(content)
        self._watch.check()

    def answer(self, *, as_json: bool) -> tuple[str, str]:
        """Content and thinking.

        Where JSON was asked for, a Markdown fence around it is taken off. If then the content is no JSON but
        the thinking is, they change places: models whose thinking is off may answer there (ollama#15260).
        """
        content, thinking = "".join(self._content), "".join(self._thinking)
        if not as_json:
            return content, thinking
        content, in_thinking = _unfenced(content), _unfenced(thinking)
        if not _is_json(content) and _is_json(in_thinking):
            return in_thinking, content
        return content, thinking

    def unfinished(self) -> LlmError:
        """The error of a stream that ended too early: the model's if it looks so, else the server's."""
        last = [piece.strip() for piece in (self._content or self._thinking)[-EQUAL_PIECES:]]
        if not last:
            return self._failures.bad_reply("an empty stream, as when a model writes what is no text")
        if len(last) == EQUAL_PIECES and len(set(last)) == 1:
            repeated = repr(last[0][:20]) if last[0] else "blanks"
            return self._failures.bad_reply(f"the model repeated {repeated} without end")
        return self._failures.no_answer("the beginning of a reply, and nothing behind it")


def _unfenced(text: str) -> str:
    """Without ```json before it and ``` after it; the latter lacks in a reply that was cut."""
    inner = text.strip()
    if not inner.startswith("```"):
        return inner
    return inner.partition("\n")[2].removesuffix("```").strip()


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
