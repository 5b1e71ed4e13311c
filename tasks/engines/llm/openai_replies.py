"""What OpenAI-compatible servers send, as far as it is of use, in the forms of all of them."""

from typing import Any, NamedTuple, Self

from pydantic import BaseModel, Field

from tasks.engines.llm.base import Alternative, ModelInfo, ReplyToken, likely

_MULTIMODAL = "multimodal"
"""llama.cpp's word for a model with a projector (`has_mtmd` in its server): for images, sound or both."""


class Delta(BaseModel):
    """A piece of the reply."""

    content: str | None = None
    reasoning_content: str | None = None
    """llama.cpp, LM Studio, older vLLM."""
    reasoning: str | None = None
    """vLLM since 0.11."""

    @property
    def text(self) -> str:
        """The content, empty if there is none."""
        return self.content or ""

    @property
    def thinking(self) -> str:
        """The thinking, empty if there is none."""
        return self.reasoning_content or self.reasoning or ""


class TopLogprob(BaseModel):
    """A token that could have stood there."""

    token: str
    logprob: float | None = None


class TokenLogprob(TopLogprob):
    """A token of the reply."""

    top_logprobs: list[TopLogprob] = Field(default_factory=list)


class Logprobs(BaseModel):
    """The tokens of a piece."""

    content: list[TokenLogprob] | None = None


class Choice(BaseModel):
    """The one reply that we ask for."""

    delta: Delta = Delta()
    finish_reason: str | None = None
    logprobs: Logprobs | None = None


class PromptDetails(BaseModel):
    """Part of the usage."""

    cached_tokens: int | None = None


class Usage(BaseModel):
    """Counts, in the chunk after the last piece."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None


class Timings(BaseModel):
    """llama.cpp's own counts."""

    cache_n: int | None = None
    prompt_n: int | None = None
    prompt_ms: float | None = None
    predicted_n: int | None = None


class Chunk(BaseModel):
    """One event of a stream."""

    choices: list[Choice] = Field(default_factory=list)
    usage: Usage | None = None
    timings: Timings | None = None
    error: Any = None
    object: str | None = None

    @property
    def is_error(self) -> bool:
        """Whether it says what went wrong, in the form of OpenAI or in vLLM's older one."""
        return self.error is not None or self.object == "error"


class Counts(NamedTuple):
    """Tokens and seconds of a call, 0 and None where the server does not say."""

    prompt_tokens: int = 0
    cached_tokens: int | None = None
    reply_tokens: int = 0
    prompt_seconds: float = 0.0

    def updated(self, chunk: Chunk) -> Self:
        """With what a chunk says. llama.cpp's `prompt_n` leaves out what came from the cache."""
        usage, timings = chunk.usage or Usage(), chunk.timings or Timings()
        details = usage.prompt_tokens_details or PromptDetails()
        cached = timings.cache_n if details.cached_tokens is None else details.cached_tokens
        prompt = usage.prompt_tokens or (timings.prompt_n or 0) + (timings.cache_n or 0)
        return self._replace(
            prompt_tokens=prompt or self.prompt_tokens,
            cached_tokens=self.cached_tokens if cached is None else cached,
            reply_tokens=usage.completion_tokens or timings.predicted_n or self.reply_tokens,
            prompt_seconds=(timings.prompt_ms or 0.0) / 1000 or self.prompt_seconds,
        )


class Meta(BaseModel):
    """What llama.cpp says of its model."""

    n_params: int | None = None
    n_ctx: int | None = None
    n_ctx_train: int | None = None


class Listed(BaseModel):
    """A model in the list."""

    id: str
    max_model_len: int | None = None
    """vLLM."""
    meta: Meta | None = None


class Listing(BaseModel):
    """The reply of /v1/models."""

    data: list[Listed] = Field(default_factory=list)
    models: object = None
    """Only llama.cpp's, beside the protocol and in the manner of Ollama: name and capabilities of each."""

    def sees(self, name: str) -> bool:
        """Whether the model takes images, as far as the server says."""
        described = self.models if isinstance(self.models, list) else []
        return any(
            isinstance(one, dict)
            and one.get("name") == name
            and _MULTIMODAL in (one.get("capabilities") or ())
            for one in described
        )


class EmbeddedText(BaseModel):
    """The vector of one text."""

    index: int
    embedding: list[float]


class Embedded(BaseModel):
    """The reply of /v1/embeddings."""

    data: list[EmbeddedText]


def model_info(listed: Listed, listing: Listing) -> ModelInfo:
    """A model in our words. The protocol knows no capabilities; a model that is listed can chat."""
    meta = listed.meta or Meta()
    return ModelInfo(
        name=listed.id,
        parameters=meta.n_params or 0,
        context_length=listed.max_model_len or meta.n_ctx or meta.n_ctx_train or 0,
        capabilities=("completion", "vision") if listing.sees(listed.id) else ("completion",),
    )


def tokens(choice: Choice) -> list[ReplyToken]:
    """The tokens of a piece with their alternatives."""
    return [
        ReplyToken(
            token=found.token,
            logprob=likely(found.logprob),
            alternatives=tuple(
                Alternative(token=t.token, logprob=likely(t.logprob)) for t in found.top_logprobs
            ),
        )
        for found in (choice.logprobs and choice.logprobs.content) or ()
    ]
