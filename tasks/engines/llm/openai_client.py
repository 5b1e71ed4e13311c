"""The chat client for servers that speak OpenAI's protocol: vLLM, llama.cpp, LM Studio."""

from base64 import b64encode
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from tasks.documents import Scope
from tasks.engines.llm.addresses import openai_url, shown
from tasks.engines.llm.base import (
    ChatReply,
    ChatRequest,
    EmbedRequest,
    LlmError,
    Message,
    ModelInfo,
    OnText,
    ShouldStop,
    Vector,
)
from tasks.engines.llm.embeddings import checked_vectors
from tasks.engines.llm.failures import Failures
from tasks.engines.llm.gathering import Gathering
from tasks.engines.llm.openai_replies import Chunk, Counts, Embedded, Listing, model_info, tokens
from tasks.errors import ConfigError

if TYPE_CHECKING:
    import httpx

    from tasks.engines.llm.wire import WatchedTransport

SEED = 42
QUERY_SECONDS = 15.0
"""How long the list of models may take."""


class OpenAiClient:
    """One server. Nothing is sent before the first call.

    The server is asked directly, without proxies, and redirects are not followed. The context length is the
    server's own setting there: `num_ctx`, `keep_alive`, `num_thread` and `on_cpu` of a request are ignored.

    Args:
        base_url: `http://HOST:PORT`, with or without `/v1`.
        api_key: sent as a bearer token.
        silence_seconds: a reply in which nothing comes for so long has failed.
        load_seconds: how long the first piece may take, with loading the model and reading the prompt.
        allow_remote: permit servers in the open internet.

    Raises:
        ConfigError: the address or the key is none.
    """

    name = "openai"

    def __init__(
        self,
        base_url: str,
        api_key: SecretStr | None,
        *,
        silence_seconds: float,
        load_seconds: float,
        allow_remote: bool = False,
    ) -> None:
        self.url = openai_url(base_url)
        self._key = _checked(api_key)
        self._silence_seconds = silence_seconds
        self._load_seconds = load_seconds
        self._allow_remote = allow_remote
        self._failures = Failures(
            f"The model server at {shown(self.url)}",
            start="Start it, or correct its address in the settings.",
            fetch="Load {model!r} there, or choose another model in the settings.",
            secret=self._key,
        )

    def chat(self, request: ChatRequest, on_text: OnText, should_stop: ShouldStop) -> ChatReply:
        """Stream one reply to its end.

        Raises:
            LlmError: there is no reply; its kind says what to do.
        """
        import httpx

        watch = self._wire.begin(self._load_seconds, self._silence_seconds, should_stop)
        gathering = Gathering(watch, on_text, request.max_tokens, self._failures)
        counts = Counts()
        finish_reason = ""
        try:
            with self._http.stream("POST", "chat/completions", json=_body(request)) as response:
                for chunk in self._chunks(response):
                    counts = counts.updated(chunk)
                    for choice in chunk.choices[:1]:
                        finish_reason = choice.finish_reason or finish_reason
                        gathering.tokens += tokens(choice)
                        gathering.add(choice.delta.text, choice.delta.thinking)
        except httpx.HTTPError as error:
            raise self._failures.no_answer("what cannot be decoded") from error
        except LlmError:
            if finish_reason not in ("stop", "length"):
                raise  # else the reply is whole: only the counts at the end, or some of them, are missing
        return self._reply(finish_reason, counts, gathering, as_json=request.reply_schema is not None)

    def models(self) -> tuple[ModelInfo, ...]:
        """The models that the server has; their context length is what it serves, where it says so.

        Raises:
            LlmError: of kind UNAVAILABLE: the server does not answer.
        """
        import httpx

        self._wire.begin(QUERY_SECONDS, QUERY_SECONDS)
        try:
            listing = Listing.model_validate_json(self._http.get("models").content)
        except (ValueError, httpx.HTTPError) as error:
            raise self._failures.away("/models is not what such a server answers") from error
        except LlmError as error:
            error.scope = Scope.SERVER  # no model and no document has to do with it
            raise
        return tuple(model_info(listed, listing) for listed in listing.data)

    def choose(
        self,
        model: str,
        text: str,  # noqa: ARG002
        instruction: str,  # noqa: ARG002
        choices: dict[str, str],  # noqa: ARG002
        keep_alive: str,  # noqa: ARG002
        should_stop: ShouldStop = lambda: False,  # noqa: ARG002
    ) -> dict[str, float]:
        """Decision models are Ollama's own.

        Raises:
            LlmError: of kind REFUSED, always.
        """
        raise self._failures.refused(
            f"it cannot ask {model!r} for a decision", "Decision models need Ollama 0.35 or later."
        )

    def embed(self, request: EmbedRequest) -> tuple[Vector, ...]:
        """A vector for each text. How long one may be is the server's own setting.

        Raises:
            LlmError: there are none; OVERFLOW: one of the texts is longer than the context.
        """
        import httpx

        self._wire.begin(self._load_seconds, self._silence_seconds)
        body = {"model": request.model, "input": list(request.texts), "encoding_format": "float"}
        try:
            reply = Embedded.model_validate_json(self._http.post("embeddings", json=body).content)
        except (ValueError, httpx.HTTPError) as error:
            raise self._failures.bad_reply("/embeddings is not what such a server answers") from error
        found = [one.embedding for one in sorted(reply.data, key=lambda one: one.index)]
        return checked_vectors(found, len(request.texts), self._failures)

    def close(self) -> None:
        """Close the connection."""
        if "_wire" in self.__dict__:
            self._wire.close()

    @cached_property
    def _wire(self) -> "WatchedTransport":
        from tasks.engines.llm.wire import WatchedTransport

        return WatchedTransport(self._failures, self._failures.of_status, allow_public=self._allow_remote)

    @cached_property
    def _http(self) -> "httpx.Client":
        import httpx

        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        return httpx.Client(base_url=self.url, headers=headers, transport=self._wire, trust_env=False)

    def _chunks(self, response: "httpx.Response") -> Iterator[Chunk]:
        """The server-sent events up to `[DONE]` or the end of the stream.

        Raises:
            LlmError: an event holds an error, or is none of the protocol.
        """
        for line in response.iter_lines():
            field, _, data = line.partition(":")
            data = data.strip()
            if field == "error":  # older llama.cpp
                raise self._failures.of_stream(data)
            if field != "data":  # blank lines between events, comments that keep the connection alive
                continue
            if data == "[DONE]":
                return
            try:
                chunk = Chunk.model_validate_json(data)
            except ValueError as error:
                raise self._failures.no_answer("something else than its protocol says") from error
            if chunk.is_error:
                raise self._failures.of_stream(data)
            yield chunk

    def _reply(self, finish_reason: str, counts: Counts, gathering: Gathering, *, as_json: bool) -> ChatReply:
        match finish_reason:
            case "stop" | "length":
                content, thinking = gathering.answer(as_json=as_json)
                return ChatReply(
                    content=content,
                    thinking=thinking,
                    done_reason=finish_reason,
                    prompt_tokens=counts.prompt_tokens,
                    cached_tokens=counts.cached_tokens,
                    reply_tokens=counts.reply_tokens,
                    prompt_seconds=counts.prompt_seconds,
                    tokens=tuple(gathering.tokens),
                )
            case "content_filter":
                raise self._failures.refused("its filter held the reply back")
            case "":
                raise gathering.unfinished()
        raise self._failures.no_answer(f"a reply that ended with {finish_reason!r}")


def _body(request: ChatRequest) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [_message(message) for message in request.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": request.max_tokens,
        "temperature": 0,
        "seed": SEED,
    }
    if request.reply_schema is not None:
        schema = {"name": "reply", "strict": True, "schema": request.reply_schema}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if request.top_logprobs:
        body |= {"logprobs": True, "top_logprobs": request.top_logprobs}
    return body


def _message(message: Message) -> dict[str, Any]:
    """A message of the protocol: its images, as data URLs, stand before its text, as Ollama puts them."""
    if not message.images:
        return {"role": message.role, "content": message.content}
    urls = [f"data:image/jpeg;base64,{b64encode(image).decode()}" for image in message.images]
    parts: list[dict[str, Any]] = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return {"role": message.role, "content": [*parts, {"type": "text", "text": message.content}]}


def _checked(api_key: SecretStr | None) -> str:
    key = api_key.get_secret_value().strip() if api_key else ""
    if not key.isascii() or not key.isprintable():
        raise ConfigError(
            "The API key of the model server holds characters that no key has.",
            "Copy it into the settings again.",
        )
    return key
