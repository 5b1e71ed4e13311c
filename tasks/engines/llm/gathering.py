"""The pieces of a reply while they come, and the answer that they make."""

import json
from typing import TYPE_CHECKING

from tasks.engines.llm.base import OnText, ReplyToken

if TYPE_CHECKING:
    from tasks.engines.llm.wire import Watch

EQUAL_PIECES = 30
"""So many equal tokens in a row, and Ollama ends the stream without a word."""


class Gathering:
    """What has come of a reply so far."""

    def __init__(self, watch: "Watch", on_text: OnText) -> None:
        self.tokens: list[ReplyToken] = []
        self._watch = watch
        self._on_text = on_text
        self._content: list[str] = []
        self._thinking: list[str] = []

    def add(self, content: str, thinking: str) -> None:
        """Take a piece and pass its content on; either part may be empty.

        Raises:
            LlmError: of kind CANCELLED: the reply is not wanted any more.
        """
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

    def why_unfinished(self) -> str:
        """In words, how a stream ended that ended too early."""
        last = (self._content or self._thinking)[-EQUAL_PIECES:]
        if not last:
            return "an empty stream, as when a model writes what is no text"
        if len(last) == EQUAL_PIECES and len(set(last)) == 1:
            return f"the model repeated {last[0].strip()[:20]!r} without end"
        return "the stream ended before the reply did"


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
