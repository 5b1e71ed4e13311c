"""Asking llama.cpp for a reply, and reading it token by token."""

import http.client
import json
import socket
import time
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tests.ollama.answers import ClientWatch, RefusedError
from tests.ollama.ask import Ask, check_schema, compact
from tests.ollama.models import ModelSpec, render
from tests.ollama.runners import CRASHED, Runner
from tests.ollama.scripted import Chances, pieces, reply

REPEATS = 30  # equal tokens after which Ollama gives up
TOO_LONG = (
    "the prompt is longer than the context length currently available to the model; shorten the prompt, "
    "adjust the context length in settings, or use a model with a longer context length"
)
SAMPLING = {
    "temperature": "temperature",
    "seed": "seed",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "stop": "stop",
    "repeat_penalty": "repeat_penalty",
    "repeat_last_n": "repeat_last_n",
}
"""Options of Ollama -> parameters of llama.cpp."""


@dataclass
class Piece:
    """A token of the reply."""

    text: str
    logprobs: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Finish:
    """How the reply ended, with llama.cpp's own counts. Durations in nanoseconds."""

    reason: str
    computed: int
    cached: int
    generated: int
    prompt_ns: int
    eval_ns: int


def generate(runner: Runner, ask: Ask, watch: ClientWatch) -> Generator[Piece | Finish, None, None]:
    """The reply, token by token; without a Finish at the end if Ollama would abort it.

    Raises:
        RefusedError: llama.cpp refused, or died.
        ConnectionResetError: the client has gone.
    """
    check_schema(runner, ask)
    prompt = _fit(runner, ask)
    if ask.text is not None or runner.spec.scripted:
        yield from _scripted(runner, ask, prompt)
        return
    last, repeated = "", 0
    for item in _stream(runner, ask, prompt, watch):
        if isinstance(item, Piece):
            repeated = repeated + 1 if item.text == last else 1
            last = item.text
            if repeated > REPEATS:
                return
        yield item


def rendered(spec: ModelSpec, ask: Ask) -> str:
    """The prompt as the model gets it."""
    return ask.prompt if ask.prompt is not None else render(_with_system(spec, ask.messages))


def _with_system(spec: ModelSpec, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if spec.system and not any(m.get("role") == "system" for m in messages):
        return [{"role": "system", "content": spec.system}, *messages]
    return messages


def _fit(runner: Runner, ask: Ask) -> str | list[int]:
    """The prompt, made to fit as Ollama does unless told otherwise.

    The oldest messages go first. What is still too long is cut silently in rendered mode: the first four
    tokens and the tail of half a context length remain. In native mode llama.cpp refuses it.
    """
    server, num_ctx = runner.server, runner.num_ctx
    messages = ask.messages = _with_system(runner.spec, ask.messages)
    text = rendered(runner.spec, ask)
    if not ask.truncate:
        return text
    tokens = [1, *server.tokens(text)]
    while len(tokens) > num_ctx and (oldest := _oldest(messages)) is not None:
        messages = ask.messages = [m for i, m in enumerate(messages) if i != oldest]
        text = rendered(runner.spec, ask)
        tokens = [1, *server.tokens(text)]
    if len(tokens) < num_ctx or runner.spec.mode == "native":
        return text
    if not ask.shift:
        raise RefusedError(400, TOO_LONG, late=True)
    kept = min(4, num_ctx // 2)
    return tokens[:kept] + tokens[len(tokens) - max(1, (num_ctx - kept) // 2) :]


def _oldest(messages: list[dict[str, Any]]) -> int | None:
    """The message to drop first: neither the system's nor the last."""
    droppable = (i for i, m in enumerate(messages[:-1]) if m.get("role") != "system")
    return next(droppable, None)


def _parameters(runner: Runner, ask: Ask) -> dict[str, Any]:
    options = {"temperature": 0.8, **runner.spec.parameters, **ask.options}
    chosen = {SAMPLING[name]: value for name, value in options.items() if name in SAMPLING}
    limit = int(options.get("num_predict", -1))
    if limit <= 0 and runner.spec.mode == "rendered":
        limit = -1  # zero means no limit here, and one token in native mode
    if not ask.shift:
        limit = runner.num_ctx if limit < 0 else min(limit, runner.num_ctx)
    return chosen | {"n_predict": limit, "cache_prompt": True, "timings_per_token": False}


def _stream(
    runner: Runner, ask: Ask, prompt: str | list[int], watch: ClientWatch
) -> Iterator[Piece | Finish]:
    native = runner.spec.mode == "native" and ask.prompt is None
    body = _parameters(runner, ask) | {"stream": True}
    if native:
        body |= {"messages": ask.messages, "max_tokens": body.pop("n_predict")}
        if isinstance(ask.schema, dict) and ask.schema:
            body["response_format"] = {"type": "json_schema", "json_schema": {"schema": ask.schema}}
        if ask.logprobs:
            body |= {"logprobs": True, "top_logprobs": max(1, ask.top_logprobs)}
    else:
        body["prompt"] = prompt
        if ask.schema is not None:
            body["json_schema"] = {} if ask.schema == "json" else ask.schema
        if ask.logprobs:
            body["n_probs"] = max(1, ask.top_logprobs)
    path = "/v1/chat/completions" if native else "/completion"
    connection = runner.server.connect()
    try:
        try:
            connection.connect()
            watch.on_gone(lambda: _abort(connection))
            connection.request("POST", path, json.dumps(body))
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise _ended(watch) from error
        if response.status != 200:
            message = json.loads(response.read())
            raise RefusedError(response.status, compact(message), late=True)
        yield from _read(response, ask, native, watch)
    finally:
        connection.close()


def _read(
    response: http.client.HTTPResponse, ask: Ask, native: bool, watch: ClientWatch
) -> Iterator[Piece | Finish]:
    reason = "stop"
    while True:
        try:
            line = response.readline()
        except (OSError, http.client.HTTPException) as error:
            raise _ended(watch) from error
        if not line:
            raise _ended(watch)
        if not line.startswith(b"data: {"):
            continue
        event = json.loads(line[6:])
        if native:
            choice = event["choices"][0] if event["choices"] else {}
            text = choice.get("delta", {}).get("content") or ""
            probabilities = (choice.get("logprobs") or {}).get("content") or []
            reason = {"length": "length"}.get(choice.get("finish_reason") or "", reason)
            last = bool(choice.get("finish_reason"))
        else:
            text, probabilities = event["content"], event.get("completion_probabilities", [])
            reason = "length" if event.get("stop_type") == "limit" else "stop"
            last = event["stop"]
        if text:
            yield Piece(text, [_logprob(p, ask.top_logprobs) for p in probabilities])
        if last and "timings" in event:
            yield _finish(reason, event["timings"])
            return


def _scripted(runner: Runner, ask: Ask, prompt: str | list[int]) -> Iterator[Piece | Finish]:
    """A reply that is not the model's, after the model has really evaluated the prompt."""
    answer = runner.server.ask("/completion", {"prompt": prompt, "n_predict": 1, "cache_prompt": True})
    if "error" in answer:
        raise RefusedError(answer["error"]["code"], compact(answer), late=True)
    text, chosen = (ask.text, {}) if ask.text is not None else reply(ask.messages, ask.schema)
    parts = pieces(text)
    limit = int({**runner.spec.parameters, **ask.options}.get("num_predict", -1))
    cut = 0 < limit < len(parts)
    started = time.monotonic_ns()
    for part in parts[:limit] if cut else parts:
        yield Piece(
            part, _said(part, chosen.get(part, {part: -0.001}), ask.top_logprobs) if ask.logprobs else []
        )
    finish = _finish("length" if cut else "stop", answer["timings"])
    finish.generated = limit if cut else len(parts) + 1
    finish.eval_ns = time.monotonic_ns() - started
    yield finish


def _said(part: str, found: Chances, top: int) -> list[dict[str, Any]]:
    """The log probabilities of a scripted token."""
    entries = [{"token": token, "logprob": p, "bytes": list(token.encode())} for token, p in found.items()]
    own = next(entry for entry in entries if entry["token"] == part)
    return [own | ({"top_logprobs": entries[:top]} if top else {})]


def _finish(reason: str, timings: dict[str, Any]) -> Finish:
    def nanoseconds(name: str) -> int:
        return max(1000, int(timings[name] * 1e6))

    computed, cached, made = timings["prompt_n"], timings["cache_n"], timings["predicted_n"]
    return Finish(reason, computed, cached, made, nanoseconds("prompt_ms"), nanoseconds("predicted_ms"))


def _logprob(entry: dict[str, Any], top: int) -> dict[str, Any]:
    own = {name: entry[name] for name in ("token", "logprob", "bytes")}
    if top:
        own["top_logprobs"] = [_logprob(other, 0) for other in entry["top_logprobs"][:top]]
    return own


def _ended(watch: ClientWatch) -> Exception:
    return ConnectionResetError() if watch.gone.is_set() else RefusedError(500, CRASHED, late=False)


def _abort(connection: http.client.HTTPConnection) -> None:
    with suppress(OSError, AttributeError):
        connection.sock.shutdown(socket.SHUT_RDWR)
