"""What travels between the engine that reads and the client of a chat server."""

import math
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Literal, Protocol

from pydantic import Field

from tasks.documents import Scope, Value
from tasks.errors import ShoeboxError


class Message(Value):
    """One message of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str
    images: tuple[bytes, ...] = Field(default=(), repr=False)
    """JPEG files that the model is shown before the text."""


class ChatRequest(Value):
    """One call. The document begins the first message of the user, the instruction ends it."""

    model: str
    messages: tuple[Message, ...]
    reply_schema: dict[str, Any] | None = None
    """JSON schema that the reply is held to."""
    num_ctx: int = Field(ge=1)
    """Always the same for a model tier: another value would make the server load the model again."""
    max_tokens: int = Field(ge=1)
    """The reply is cut after so many tokens, with `done_reason` length. Ollama takes 0 for no limit."""
    top_logprobs: int = Field(default=0, ge=0, le=20)
    """How many alternatives to report for each token, 0 to 20."""
    on_cpu: bool = False
    """Keep the model off the GPU, so that it never evicts the large one."""
    num_thread: int | None = None
    keep_alive: str = "15m"


class EmbedRequest(Value):
    """Texts that are to become vectors. A text longer than the context is an error, it is never cut."""

    model: str
    texts: tuple[str, ...]
    num_ctx: int = Field(ge=1)
    """Always the same for a model: another value would make the server load it again."""
    on_cpu: bool = False
    """Keep the model off the GPU, so that it never evicts the large one."""
    num_thread: int | None = None
    keep_alive: str = "15m"


Vector = tuple[float, ...]


UNLIKELY = -9999.0
"""OpenAI's own number for a token so unlikely that it has none; llama.cpp writes null."""


def likely(logprob: float | None) -> float:
    """A log probability as a server sends it: perhaps none, or no number where its sums overflowed."""
    return logprob if logprob is not None and math.isfinite(logprob) else UNLIKELY


class Alternative(Value):
    """A token that could have stood there, with its natural log probability before any grammar."""

    token: str
    logprob: float


class ReplyToken(Value):
    """A token of the reply with its alternatives, itself usually among them."""

    token: str
    logprob: float
    alternatives: tuple[Alternative, ...] = ()


class ChatReply(Value):
    """A reply that ended as it should: `done: true` was seen."""

    content: str
    thinking: str = ""
    done_reason: Literal["stop", "length"]
    prompt_tokens: int
    """Tokens of the whole prompt, those from the cache included."""
    cached_tokens: int | None = None
    """Tokens of the prompt that were not computed again; None where the server does not say."""
    reply_tokens: int
    load_seconds: float = 0.0
    prompt_seconds: float = 0.0
    """Spent on the part of the prompt that was not cached."""
    tokens: tuple[ReplyToken, ...] = ()
    """Only if `top_logprobs` was asked for."""


class ModelInfo(Value):
    """A model as its server reports it."""

    name: str
    parameters: int
    """How many, 0 if the server does not say."""
    context_length: int = 0
    """What it was trained for; 0 if unknown."""
    capabilities: tuple[str, ...] = ()
    """Ollama's words: completion, thinking, vision, embedding, tools, systemone."""
    is_remote: bool = False
    """Runs in a cloud: refused unless allowed."""
    loaded: bool | None = None
    """Whether it is in memory now; None where the server does not say."""
    vram: int | None = None
    """Bytes of GPU memory that it takes; None where the server does not say."""


class LlmErrorKind(StrEnum):
    """What to do about a call that failed."""

    UNAVAILABLE = "unavailable"
    """The server is away, overloaded or broken: wait. The error's scope says how much that concerns."""
    NO_MODEL = "no model"
    """The server lacks the model: wait for it; other models can be asked."""
    OVERFLOW = "overflow"
    """The prompt is longer than the context: cut it smaller."""
    BAD_REPLY = "bad reply"
    """The model's own fault: it repeated itself, wrote what is no text, or nothing of the form asked for.

    It is shown that once; asked the same again it says the same, because nothing is left to chance.
    """
    REFUSED = "refused"
    """The request itself is at fault (schema, option, cloud model): another attempt changes nothing."""
    CANCELLED = "cancelled"
    """We closed the stream because nobody wants the reply any more."""


class LlmError(ShoeboxError):
    """A call to a model server that gave no reply."""

    def __init__(
        self,
        kind: LlmErrorKind,
        message: str,
        remedy: str = "",
        *,
        prompt_tokens: int | None = None,
        context_tokens: int | None = None,
        scope: Scope = Scope.CALL,
    ) -> None:
        super().__init__(message, remedy)
        self.kind = kind
        self.scope = scope
        """Of UNAVAILABLE: how much does not work."""
        self.retry_seconds = 0
        """Of UNAVAILABLE: when the server wants to be asked again; 0 if it does not say."""
        self.prompt_tokens = prompt_tokens
        """Of an overflow: how long the prompt was."""
        self.context_tokens = context_tokens
        """Of an overflow: how long it may be."""


OnText = Callable[[str], None]
"""Is given each piece of the reply as it comes."""
ShouldStop = Callable[[], bool]
"""Is asked between the pieces, and while nothing comes, whether to close the stream."""


class ChatClient(Protocol):
    """A chat server. One client serves one thread."""

    name: str
    """`ollama` or `openai`."""

    def chat(self, request: ChatRequest, on_text: OnText, should_stop: ShouldStop) -> ChatReply:
        """Stream one reply to its end.

        Raises:
            LlmError: there is no reply; its kind says what to do.
        """
        ...

    def models(self) -> tuple[ModelInfo, ...]:
        """The models that the server has.

        Raises:
            LlmError: of kind UNAVAILABLE: the server does not answer.
        """
        ...

    def choose(
        self,
        model: str,
        text: str,
        instruction: str,
        choices: dict[str, str],
        keep_alive: str,
        should_stop: ShouldStop = lambda: False,
    ) -> dict[str, float]:
        """Ask a decision model; `choices` maps names to descriptions. Returns a probability for each name.

        Raises:
            LlmError: there is no answer, or the server has no decision models.
        """
        ...

    def embed(self, request: EmbedRequest) -> tuple[Vector, ...]:
        """A vector for each text, in their order, all of the same length and none of them zero.

        Raises:
            LlmError: there are none; OVERFLOW: one of the texts is longer than the context.
        """
        ...

    def close(self) -> None:
        """Close connections."""
        ...


class ImageNote(Value):
    """What is kept of a page image that a model was shown: never its pixels."""

    page: int
    sha256: str
    size: int
    """Bytes of the JPEG file."""


class CallTrace(Value):
    """What is kept of a call, for people who want to know why."""

    engine: str
    model: str
    purpose: str
    """`classify`, `summary`, `fields`, `merge`, `repair ...`."""
    prompt_sha256: str
    prompt: str
    """The text of all messages, in order."""
    images: tuple[ImageNote, ...] = ()
    """The page images that were sent along, in order."""
    reply: str = ""
    thinking: str = ""
    done_reason: str = ""
    prompt_tokens: int = 0
    cached_tokens: int | None = None
    reply_tokens: int = 0
    seconds: float = 0.0
    load_seconds: float = 0.0
    error: str = ""
    """Kind and message of the error, if there was one, or why the reply was not valid."""
