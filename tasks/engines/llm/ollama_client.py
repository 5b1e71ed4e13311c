"""The chat client for Ollama, on the `ollama` package."""

import os
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, cast

from tasks.engines.llm.addresses import ollama_url, shown
from tasks.engines.llm.base import (
    Alternative,
    ChatReply,
    ChatRequest,
    EmbedRequest,
    LlmError,
    Message,
    ModelInfo,
    OnText,
    ReplyToken,
    ShouldStop,
    Vector,
    likely,
)
from tasks.engines.llm.embeddings import checked_vectors
from tasks.engines.llm.failures import Failures
from tasks.engines.llm.gathering import Gathering
from tasks.engines.llm.ollama_memory import OllamaMemory
from tasks.engines.llm.ollama_models import OllamaCatalogue, OnProgress, Progress, looks_remote

if TYPE_CHECKING:
    import ollama

    from tasks.engines.llm.wire import WatchedTransport

SEED = 42
NANOSECONDS = 1e9
_QUESTION = "choice"

T = TypeVar("T")


class OllamaClient:
    """One Ollama server. Nothing is sent before the first call.

    The server is asked directly, without proxies, and redirects are not followed. A key in OLLAMA_API_KEY is
    sent along, as by every client of Ollama.

    Args:
        host: as in OLLAMA_HOST, which is used if it is None; else 127.0.0.1:11434.
        silence_seconds: a reply in which nothing comes for so long has failed.
        load_seconds: how long the first piece may take, with loading the model and reading the prompt.
        allow_remote: permit models that run in a cloud, and servers in the open internet.

    Raises:
        ConfigError: the host is no address.
    """

    name = "ollama"

    def __init__(
        self, host: str | None, *, silence_seconds: float, load_seconds: float, allow_remote: bool = False
    ) -> None:
        self.url = ollama_url(host or os.environ.get("OLLAMA_HOST") or "")
        self._silence_seconds = silence_seconds
        self._load_seconds = load_seconds
        self._allow_remote = allow_remote
        self._failures = Failures(
            f"Ollama at {shown(self.url)}",
            start="Start it with `ollama serve`, or set OLLAMA_HOST to where it runs.",
            fetch="Get it with `./run.sh models` or `ollama pull {model}`.",
            secret=os.environ.get("OLLAMA_API_KEY", ""),
        )

    def chat(self, request: ChatRequest, on_text: OnText, should_stop: ShouldStop) -> ChatReply:
        """Stream one reply to its end.

        Raises:
            LlmError: there is no reply; its kind says what to do.
        """
        model = self._permitted(request.model, should_stop)
        watch = self._wire.begin(self._load_seconds, self._silence_seconds, should_stop)
        gathering = Gathering(watch, on_text, request.max_tokens, self._failures)
        stream = self._ollama.chat(
            request.model,
            [_message(message) for message in request.messages],
            stream=True,
            think=False if "thinking" in model.capabilities else None,
            logprobs=True if request.top_logprobs else None,
            top_logprobs=request.top_logprobs or None,
            format=request.reply_schema,
            options=_options(request),
            keep_alive=request.keep_alive,
        )
        # The package returns a generator; closing it closes the connection, whatever ends this block.
        with closing(cast("Generator[ollama.ChatResponse]", stream)):
            parts = self._translated(stream)
            for part in parts:
                gathering.add(part.message.content or "", part.message.thinking or "")
                gathering.tokens += _tokens(part)
                if part.done:
                    with suppress(LlmError):  # the reply is whole; this frees the connection for the next
                        next(parts, None)
                    return self._reply(part, gathering, as_json=request.reply_schema is not None)
        raise gathering.unfinished()

    def models(self) -> tuple[ModelInfo, ...]:
        """The models that the server has, those of a cloud that it passes prompts to included.

        Raises:
            LlmError: of kind UNAVAILABLE: the server does not answer.
        """
        return self._catalogue.models()

    def choose(
        self,
        model: str,
        text: str,
        instruction: str,
        choices: dict[str, str],
        keep_alive: str,
        should_stop: ShouldStop = lambda: False,
    ) -> dict[str, float]:
        """Ask a decision model (Ollama 0.35 or later); `choices` maps names to descriptions.

        Returns:
            A probability for each name.

        Raises:
            LlmError: there is no answer, or the server has no decision models.
        """
        self._permitted(model, should_stop)
        self._wire.begin(self._load_seconds, self._silence_seconds, should_stop)
        question: Mapping[str, Any] = {"type": "choice", "instructions": instruction, "criteria": choices}
        with self._translation():
            reply = self._ollama.systemone(model, text, {_QUESTION: question}, keep_alive=keep_alive)
        answer = reply.answers.get(_QUESTION)
        if answer is None or answer.type != "choice" or not any(map(answer.probabilities.get, choices)):
            raise self._failures.bad_reply("the decision model chose none of the choices")
        return {name: min(1.0, max(0.0, answer.probabilities.get(name, 0.0))) for name in choices}

    def embed(self, request: EmbedRequest) -> tuple[Vector, ...]:
        """A vector for each text. By default Ollama cuts long ones; `truncate` false makes that an error.

        Raises:
            LlmError: there are none; OVERFLOW: one of the texts is longer than the context.
        """
        self._permitted(request.model, lambda: False)
        self._wire.begin(self._load_seconds, self._silence_seconds)
        with self._translation():
            reply = self._ollama.embed(
                request.model,
                request.texts,
                truncate=False,
                options=_machine_options(request),
                keep_alive=request.keep_alive,
            )
            found = list(reply.embeddings)
        return checked_vectors(found, len(request.texts), self._failures)

    def version(self) -> str:
        """The server's version, such as `0.32.15`.

        Raises:
            LlmError: of kind UNAVAILABLE: the server does not answer.
        """
        return self._catalogue.version()

    def pull(self, model: str, on_progress: OnProgress) -> None:
        """Let the server fetch a model from its registry.

        Raises:
            LlmError: UNAVAILABLE: the server or its way to the registry is down. REFUSED: no such model.
        """
        self._wire.begin(self._load_seconds, self._load_seconds)
        self._follow(self._ollama.pull(model, stream=True), on_progress)

    def create(
        self,
        name: str,
        from_: str,
        system: str,
        parameters: Mapping[str, Any],
        on_progress: OnProgress,
    ) -> None:
        """Let the server make a model from another one, as a Modelfile does. It fetches that one if need be.

        Raises:
            LlmError: as for `pull`.
        """
        self._wire.begin(self._load_seconds, self._load_seconds)
        stream = self._ollama.create(name, from_=from_, system=system, parameters=parameters, stream=True)
        self._follow(stream, on_progress)

    @cached_property
    def memory(self) -> OllamaMemory:
        """What the server has loaded, and how to make it leave."""
        return OllamaMemory(self.url, self._catalogue)

    def close(self) -> None:
        """Close the connection."""
        if "_wire" in self.__dict__:
            self._wire.close()

    @cached_property
    def _wire(self) -> "WatchedTransport":
        from tasks.engines.llm.wire import WatchedTransport

        return WatchedTransport(self._failures, self._status_error, allow_public=self._allow_remote)

    @cached_property
    def _ollama(self) -> "ollama.Client":
        import ollama

        from tasks.engines.llm.untruncated import UntruncatedTransport

        transport = UntruncatedTransport(self._wire)
        return ollama.Client(self.url, transport=transport, follow_redirects=False, trust_env=False)

    @cached_property
    def _catalogue(self) -> OllamaCatalogue:
        return OllamaCatalogue(self.url, self._wire, self._failures)

    def _permitted(self, name: str, should_stop: ShouldStop) -> ModelInfo:
        """The model, if it may be given a document.

        A server passes prompts for a cloud model on, even for one that it does not list. So it is asked what
        it has before each call, and given nothing unless the model is its own: another of the same name may
        have taken its place since the last one. Asking takes about a millisecond.
        """
        model = self._catalogue.find(name, should_stop)
        if self._allow_remote:
            return model or ModelInfo(name=name, parameters=0, is_remote=True)
        if model.is_remote if model else looks_remote(name):
            raise self._failures.refused(
                f"the model {name!r} runs in a cloud, and nothing was sent there",
                "Choose a model that runs on this server, or allow remote models in the settings.",
            )
        if model is None:
            raise self._failures.missing(name)
        return model

    def _follow(self, stream: Iterable["ollama.ProgressResponse"], on_progress: OnProgress) -> None:
        status = ""
        for part in self._translated(stream):
            self._wire.watch.piece()
            status = part.status or ""
            on_progress(Progress(status=status, completed=part.completed or 0, total=part.total or 0))
        if status != "success":
            raise self._failures.bad_reply(f"it stopped after {status or 'nothing'!r}")

    def _reply(self, last: "ollama.ChatResponse", gathering: Gathering, *, as_json: bool) -> ChatReply:
        """The reply whose last line is given.

        `prompt_eval_count` counts cached tokens as well, `prompt_eval_duration` only the work on the others.
        """
        if last.done_reason not in ("stop", "length"):  # "load", "unload": nothing was generated
            raise self._failures.no_answer(f"a reply that ended with {last.done_reason!r}")
        content, thinking = gathering.answer(as_json=as_json)
        return ChatReply(
            content=content,
            thinking=thinking,
            done_reason="stop" if last.done_reason == "stop" else "length",
            prompt_tokens=last.prompt_eval_count or 0,
            reply_tokens=last.eval_count or 0,
            load_seconds=(last.load_duration or 0) / NANOSECONDS,
            prompt_seconds=(last.prompt_eval_duration or 0) / NANOSECONDS,
            tokens=tuple(gathering.tokens),
        )

    def _translated(self, stream: Iterable[T]) -> Iterator[T]:
        """The parts of one of the package's streams, with its errors made ours."""
        parts = iter(stream)
        while True:
            with self._translation():
                part = next(parts, None)
            if part is None:
                return
            yield part

    @contextmanager
    def _translation(self) -> Iterator[None]:
        import httpx
        import ollama

        try:
            yield
        except ollama.ResponseError as error:
            raise self._failures.of_stream(error.error) from error
        except (ValueError, TypeError, AttributeError, RecursionError, httpx.HTTPError) as error:
            # The package on a line that is no JSON, no object, or lacks a field.
            raise self._failures.no_answer("something else than Ollama does") from error

    def _status_error(self, path: str, status: int, body: str) -> LlmError:
        no_such_route = status in (404, 405) and not body.lstrip().startswith("{")
        if path.endswith("/v1/systemone") and no_such_route:
            return self._failures.refused("it knows no decision models", "They need Ollama 0.35 or later.")
        return self._failures.of_status(path, status, body)


def _message(message: Message) -> dict[str, Any]:
    """A message as the package takes it: images as bytes, because it looks for a file named like a text."""
    plain = {"role": message.role, "content": message.content}
    return {**plain, "images": list(message.images)} if message.images else plain


def _options(request: ChatRequest) -> dict[str, Any]:
    return {
        **_machine_options(request),
        "num_predict": request.max_tokens,
        "temperature": 0,
        "seed": SEED,
    }


def _machine_options(request: ChatRequest | EmbedRequest) -> dict[str, Any]:
    options = {
        "num_ctx": request.num_ctx,
        "num_thread": request.num_thread,
        "num_gpu": 0 if request.on_cpu else None,
    }
    return {name: value for name, value in options.items() if value is not None}


def _tokens(part: "ollama.ChatResponse") -> list[ReplyToken]:
    return [
        ReplyToken(
            token=found.token,
            logprob=likely(found.logprob),
            alternatives=tuple(
                Alternative(token=other.token, logprob=likely(other.logprob))
                for other in found.top_logprobs or ()
            ),
        )
        for found in part.logprobs or ()
    ]
