"""What a model server's error means: from HTTP status and text to an LlmError with words and a remedy."""

import json
import re
from dataclasses import dataclass
from typing import Any

from tasks.documents import Scope
from tasks.engines.llm.base import LlmError, LlmErrorKind

_OVERFLOW = re.compile(
    r"exceeds the available context|context size has been exceeded"  # llama.cpp
    r"|longer than the context length"  # Ollama with "shift": false
    r"|input length exceeds the context length"  # Ollama's /api/embed with "truncate": false
    r"|input (?:\(\d+ tokens\) )?is too (?:large|long) to process"  # llama.cpp's /v1/embeddings
    r"|maximum context length|longer than the maximum model length"  # vLLM
    r"|context length of only|n_keep .*n_ctx",  # LM Studio
    re.IGNORECASE,
)
_PROMPT_TOKENS = re.compile(
    r"request \((\d+) tokens|has (\d+) input tokens|keep the first (\d+) tokens|n_keep \((\d+)\)"
    r"|requested (?:\d+ tokens \()?(\d+)"  # "5000 tokens (4800 in the messages, 200 in the completion)"
)
_CONTEXT_TOKENS = re.compile(
    r"context size \((\d+) tokens|maximum context length is (\d+)|context length of only (\d+)"
    r"|n_ctx \((\d+)\)"
)
_MISSING = re.compile(r"model\b.*(?:not found|does not exist)|no such model", re.IGNORECASE)
_NO_CHAT = re.compile(r"does not support (?:chat|generate|completion)", re.IGNORECASE)
_AT_LOADING = re.compile(
    r"more system memory|(?:unable to load|error loading|failed to load|unsupported) model"
    r"|unknown model architecture|waiting for llama runner|loading model",
    re.IGNORECASE,
)
"""What Ollama says when it cannot load a model: no document has been looked at by then."""
_OF_SERVER = frozenset({401, 407, 408, 425, 429, 502, 503, 504})
"""Statuses of a server, or a proxy before it, that is closed to us, busy, or has nobody behind it."""
_PAGE_STATUSES = frozenset({403, 404, 405})
"""Those of a proxy's or portal's page: our server would have answered in JSON."""
_MODEL_NAME = re.compile(r"model ['\"`]([^'\"`\s]+)['\"`]", re.IGNORECASE)
_REFUSED, _UNAVAILABLE, _BAD_REPLY, _OVERFLOWN = (
    LlmErrorKind.REFUSED,
    LlmErrorKind.UNAVAILABLE,
    LlmErrorKind.BAD_REPLY,
    LlmErrorKind.OVERFLOW,
)

_BY_TEXT = tuple(
    (re.compile(pattern, re.IGNORECASE), kind, remedy)
    for pattern, kind, remedy in (
        (
            r"out of memory|(?:not enough|insufficient|more system) memory|cudaMalloc"
            r"|(?:unable|failed) to allocate",
            _UNAVAILABLE,
            "Free memory on the server, choose a smaller model, or make the context smaller.",
        ),
        (r"pull model manifest: file does not exist", _REFUSED, "Check the name of the model."),
        (
            r"no such host|dial tcp|network is unreachable|i/o timeout|TLS handshake|name resolution",
            _UNAVAILABLE,
            "The server needs the internet to fetch a model: connect it, or copy the model to it.",
        ),
        (
            r"unexpected EOF|has terminated|connection (?:refused|reset)|broken pipe|server busy|overloaded"
            r"|loading model|engine.{0,10}dead|engine.*died",
            _UNAVAILABLE,
            "The server's log says why; it is asked again later.",
        ),
        (r"process inputs: image|\bimage: unknown format|invalid image", _REFUSED, ""),
        (r"must be of type|invalid format|json.?schema|grammar|(?:not|n't) support", _REFUSED, ""),
    )
)
"""Of statuses from 500 up, and of errors within a stream, which have none. The first that fits holds."""


@dataclass(frozen=True)
class ServerError:
    """An error as the server wrote it, out of its wrappings."""

    text: str
    status: int
    type: str = ""
    prompt_tokens: int | None = None
    context_tokens: int | None = None


def read_error(status: int, raw: object) -> ServerError:
    """Unwrap an error body.

    Ollama puts the runner's error as a JSON string inside the string of its own; OpenAI-compatible servers
    nest objects; vLLM once had the message at the top level, FastAPI calls it `detail`. In a stream, where
    the HTTP status was 200, the object's own `code` stands for the status.
    """
    found: dict[str, Any] = {}
    for _ in range(4):
        if isinstance(raw, str):
            raw = _parsed(raw)
        if not isinstance(raw, dict):
            break
        found = raw
        raw = next((raw[key] for key in ("error", "detail", "message") if raw.get(key)), "")
    text = raw if isinstance(raw, str) else json.dumps(raw)
    code = found.get("code")
    if status < 300 and isinstance(code, int):
        status = code
    return ServerError(
        _one_line(text),
        status,
        str(found.get("type", "")),
        _count(found.get("n_prompt_tokens")) or _number(_PROMPT_TOKENS, text),
        _count(found.get("n_ctx")) or _number(_CONTEXT_TOKENS, text),
    )


class Failures:
    """Makes the errors of one server.

    Args:
        server: in messages, `Ollama at http://127.0.0.1:11434`.
        start: what to do if it does not answer.
        fetch: what to do if it lacks a model; `{model}` becomes its name.
        secret: replaced in whatever the server writes.
    """

    def __init__(self, server: str, *, start: str, fetch: str, secret: str = "") -> None:
        self.server = server
        self._start = start
        self._fetch = fetch
        self._secret = secret

    def away(self, reason: str) -> LlmError:
        """Nothing answers there."""
        return LlmError(
            _UNAVAILABLE, f"{self.server} does not answer: {reason}.", self._start, scope=Scope.SERVER
        )

    def hung_up(self, reason: str) -> LlmError:
        """The connection died before an answer began."""
        return LlmError(_UNAVAILABLE, f"{self.server} does not answer: {reason}.", self._start)

    def no_answer(self, reason: str) -> LlmError:
        """What came is nothing that such a server says: a proxy's page, half an answer, an endless one."""
        return LlmError(
            _UNAVAILABLE,
            f"{self.server} does not answer as it should: it sent {reason}.",
            "Look whether the address is right, and what stands between it and this machine.",
        )

    def silent(self, seconds: float, *, begun: bool) -> LlmError:
        """Nothing came for too long."""
        what = "stopped in the middle of a reply" if begun else "did not begin to reply"
        return LlmError(
            _UNAVAILABLE,
            f"{self.server} {what}: nothing came for {seconds:g} s.",
            "Look whether it is busy or stuck, or allow it more time in the settings.",
        )

    def broken_off(self, reason: str) -> LlmError:
        """The connection died in the middle of a reply."""
        return LlmError(_UNAVAILABLE, f"{self.server} ended in the middle of a reply: {reason}.", self._start)

    def cancelled(self) -> LlmError:
        """We were told to stop."""
        return LlmError(LlmErrorKind.CANCELLED, f"The reply of {self.server} was not wanted any more.")

    def bad_reply(self, reason: str) -> LlmError:
        """A reply that the model made useless."""
        return LlmError(_BAD_REPLY, f"{self.server} gave no valid reply: {reason}.")

    def missing(self, model: str) -> LlmError:
        """The server lacks the model."""
        return LlmError(
            LlmErrorKind.NO_MODEL, f"{self.server} has no model {model!r}.", self._fetch.format(model=model)
        )

    def refused(self, reason: str, remedy: str = "") -> LlmError:
        """The server, or we ourselves, will not do that."""
        return LlmError(_REFUSED, f"{self.server}: {reason}.", remedy)

    def of_status(self, path: str, status: int, body: str) -> LlmError:
        """The error of an HTTP status other than 2xx."""
        if status < 400:
            return self.away(f"it sends us elsewhere (HTTP {status}), where we do not follow")
        if status in _PAGE_STATUSES and body.lstrip().startswith("<"):
            return self.away(f"there is a web page in place of {path} (HTTP {status})")
        error = read_error(status, body)
        if status == 404 and not _MISSING.search(error.text):
            return self.away(f"there is no {path} (HTTP 404)")
        return self._of(error)

    def of_stream(self, raw: object) -> LlmError:
        """The error that stands in a stream which began with HTTP 200."""
        return self._of(read_error(200, raw))

    def _of(self, error: ServerError) -> LlmError:
        text = error.text.replace(self._secret, "***") if self._secret else error.text
        if error.type == "exceed_context_size_error" or _OVERFLOW.search(text):
            return LlmError(
                _OVERFLOWN,
                f"{self.server}: the prompt is longer than the model's context: {text}.",
                prompt_tokens=error.prompt_tokens,
                context_tokens=error.context_tokens,
            )
        if _NO_CHAT.search(text):
            return LlmError(
                LlmErrorKind.NO_MODEL,
                f"{self.server}: {text}.",
                "Choose another model in the settings, or in the recipe.",
            )
        if error.status == 404:
            name = _MODEL_NAME.search(text)
            return self.missing(name[1]) if name else LlmError(_UNAVAILABLE, f"{self.server}: {text}.")
        kind, remedy = _kind(error.status, text)
        status = f" (HTTP {error.status})" if error.status >= 400 else ""
        scope = Scope.SERVER if error.status in _OF_SERVER else Scope.CALL
        if scope is Scope.CALL and _AT_LOADING.search(text):
            scope = Scope.MODEL
        return LlmError(kind, f"{self.server}: {text or 'no reason given'}{status}.", remedy, scope=scope)


def _kind(status: int, text: str) -> tuple[LlmErrorKind, str]:
    """What to do about an error that is neither an overflow nor a missing model, and the remedy."""
    if status in (401, 407):
        return _UNAVAILABLE, "Set the server's API key in the settings."
    if status in (408, 425, 429, 503):
        return _UNAVAILABLE, "It is busy; it is asked again later."
    if 400 <= status < 500 or status == 501:
        return _REFUSED, "Choose a model that runs on this server." if status == 403 else ""
    found = ((kind, remedy) for pattern, kind, remedy in _BY_TEXT if pattern.search(text))
    return next(found, (_UNAVAILABLE, "The server's log says why; it is asked again later."))


def _parsed(text: str) -> object:
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return parsed if isinstance(parsed, dict) else text


def _one_line(text: str) -> str:
    """A server's text may be long, and hold parts of the prompt, and halves of characters."""
    line = " ".join(text.encode("utf-8", "replace").decode().split()).rstrip(".")
    return line if len(line) <= 300 else f"{line[:300]}..."


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


def _number(pattern: re.Pattern[str], text: str) -> int | None:
    found = pattern.search(text)
    return int(next(group for group in found.groups() if group)) if found else None
