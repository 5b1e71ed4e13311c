"""A chat server in the process: it says what a test tells it, and counts tokens like one."""

import json
from collections.abc import Callable
from typing import Any

from tasks.engines.llm.base import (
    ChatReply,
    ChatRequest,
    LlmError,
    LlmErrorKind,
    ModelInfo,
    OnText,
    ReplyToken,
    ShouldStop,
)

Said = str | dict[str, Any] | ChatReply | LlmError
Script = Callable[[ChatRequest], Said]


class ChatScript:
    """Implements `ChatClient`. A prompt longer than the context overflows, as on a real server."""

    name = "script"

    def __init__(
        self,
        script: Script,
        *,
        characters_per_token: float = 3.0,
        context: int | None = None,
        image_tokens: int = 0,
    ) -> None:
        self.requests: list[ChatRequest] = []
        self.chosen: list[tuple[str, dict[str, str]]] = []
        self.probabilities: dict[str, float] = {}
        self._script = script
        self._characters_per_token = characters_per_token
        self._context = context
        self._image_tokens = image_tokens

    def chat(self, request: ChatRequest, on_text: OnText, should_stop: ShouldStop) -> ChatReply:
        self.requests.append(request)
        if should_stop():
            raise LlmError(LlmErrorKind.CANCELLED, "cancelled")
        tokens = self.count(request)
        context = self._context or request.num_ctx
        if tokens > context:
            raise LlmError(LlmErrorKind.OVERFLOW, "too long", prompt_tokens=tokens, context_tokens=context)
        said = self._script(request)
        if isinstance(said, LlmError):
            raise said
        if isinstance(said, ChatReply):
            return said if said.prompt_tokens else said.model_copy(update={"prompt_tokens": tokens})
        text = said if isinstance(said, str) else json.dumps(said)
        on_text(text)
        return reply(text, prompt_tokens=tokens)

    def count(self, request: ChatRequest) -> int:
        images = sum(len(message.images) for message in request.messages) * self._image_tokens
        characters = sum(len(message.content) for message in request.messages)
        return int(characters / self._characters_per_token) + images

    def models(self) -> tuple[ModelInfo, ...]:
        return ()

    def choose(
        self,
        model: str,
        text: str,
        instruction: str,
        choices: dict[str, str],
        keep_alive: str,
        should_stop: ShouldStop = lambda: False,
    ) -> dict[str, float]:
        self.chosen.append((text, choices))
        return self.probabilities

    def close(self) -> None:
        pass


def reply(
    content: str,
    *,
    prompt_tokens: int = 0,
    done_reason: Any = "stop",
    thinking: str = "",
    tokens: tuple[ReplyToken, ...] = (),
) -> ChatReply:
    """A reply; without `prompt_tokens` it gets those of its prompt."""
    return ChatReply(
        content=content,
        thinking=thinking,
        done_reason=done_reason,
        prompt_tokens=prompt_tokens,
        reply_tokens=len(content) // 3,
        tokens=tokens,
    )


def purpose(request: ChatRequest) -> str:
    """What a request asks for, told by its schema: `classify`, `summary` or `fields`."""
    names = set((request.reply_schema or {})["properties"])
    return {"category": "classify", "title": "summary"}.get(
        min(names & {"category", "title"}, default=""), "fields"
    )


def document_of(request: ChatRequest) -> str:
    """The fenced document of a request, with its fence."""
    user = request.messages[1].content
    return user[: user.rindex("</document ") + len("</document ") + 17]
