"""/api/chat and /api/generate, and what faults do to them."""

import time
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any

from tests.ollama import requests
from tests.ollama.answers import Answer, ClientWatch, CutError, RefusedError
from tests.ollama.ask import Ask
from tests.ollama.faults import Fault, FaultKind, fill
from tests.ollama.generation import Finish, Piece, generate, rendered
from tests.ollama.images import Seen
from tests.ollama.journal import Call
from tests.ollama.library import Library
from tests.ollama.models import ModelSpec, full_name, timestamp
from tests.ollama.refusals import no_images
from tests.ollama.runners import CRASHED, Runner

Items = Generator[Piece | Finish, None, None]
THOUGHT = ("The ", "document ", "says ", "it.")
TEXTS = {
    FaultKind.WRONG_SCHEMA: '{"unexpected": "form"}',
    FaultKind.INVALID_JSON: 'Sure! Here is the answer: {"category": invoice',
    FaultKind.REPEAT_ABORT: "",
}
_FOR_EVER = 3600.0
CUTS = (FaultKind.SERVER_KILLED, FaultKind.HALF_LINE)
STOPS = (FaultKind.REPEAT_ABORT, FaultKind.STREAM_ENDS)


@dataclass
class Chat:
    """One request to /api/chat or /api/generate."""

    library: Library
    answer: Answer
    call: Call
    watch: ClientWatch
    fault: Fault | None
    body: dict[str, Any]

    def run(self, *, generate_api: bool) -> None:
        """Answer it."""
        self.started = time.monotonic_ns()
        self.generate_api = generate_api
        self.name = requests.model_name(self.body)
        self.stream = self.body.get("stream") is not False
        spec = self.library.find(self.name)
        ask = self._ask(spec)
        keep_alive = requests.keep_alive(self.body)
        if not ask.messages and not ask.prompt:
            self._load_or_unload(spec, keep_alive, ask)
            return
        if self.body.get("_debug_render_only"):
            line = {"model": self.name, "created_at": timestamp(), "message": {"role": "", "content": ""}}
            prompt = {"rendered_template": rendered(spec, ask)}
            self.answer.json({**line, "done": False, "_debug_info": prompt})
            return
        with self.library.pool.use(spec, ask.options.get("num_ctx"), keep_alive, self.call) as runner:
            self.load_ns = time.monotonic_ns() - self.started
            self._reply(runner, ask)

    def _ask(self, spec: ModelSpec) -> Ask:
        if not spec.can("completion"):
            verb = "generate" if self.generate_api else "chat"
            raise RefusedError(400, f'"{self.name}" does not support {verb}')
        top = requests.top_logprobs(self.body)
        if self.body.get("think") and not spec.can("thinking"):
            raise RefusedError(400, f'"{self.name}" does not support thinking')
        if self.body.get("tools") and not spec.can("tools"):
            raise RefusedError(
                400, f"registry.ollama.ai/library/{full_name(self.name)} does not support tools"
            )
        messages, prompt = self._prompt(spec)
        schema = requests.response_format(self.body, late=spec.mode == "rendered")
        if schema == "json" and spec.mode == "native":
            schema = None  # constrains nothing there
        if spec.drops_format_without_think and self.body.get("think") is False:
            schema = None
        return Ask(
            messages=messages,
            prompt=prompt,
            options=requests.options(self.body),
            schema=schema,
            logprobs=bool(self.body.get("logprobs")),
            top_logprobs=top,
            truncate=self.body.get("truncate") is not False,
            shift=self.body.get("shift") is not False,
        )

    def _prompt(self, spec: ModelSpec) -> tuple[list[dict[str, Any]], str | None]:
        if self.generate_api:
            prompt = str(self.body.get("prompt") or "")
            if self.body.get("raw"):
                return [], prompt
            system = [{"role": "system", "content": self.body["system"]}] if self.body.get("system") else []
            return ([*system, {"role": "user", "content": prompt}] if prompt else []), None
        messages = requests.messages(self.body)
        if any(m.get("images") for m in messages) and not spec.can("vision"):
            raise no_images(spec)
        seen = Seen(spec.image_tokens)
        messages = [seen.message(message) for message in messages]
        self.call.images = seen.images
        return messages, None

    def _load_or_unload(self, spec: ModelSpec, keep_alive: float | None, ask: Ask) -> None:
        reason = "load"
        if keep_alive == 0:
            self.library.pool.unload(spec)
            reason = "unload"
        else:
            with self.library.pool.use(spec, ask.options.get("num_ctx"), keep_alive, self.call):
                pass
        self.call.done_reason = reason
        self.answer.json(self._line("", done=True) | {"done_reason": reason})

    def _reply(self, runner: Runner, ask: Ask) -> None:
        self._apply_text(runner, ask)
        send = self._send_stream if self.stream else self._send_whole
        try:
            with closing(self._items(runner, ask)) as items:
                send(runner, ask, items)
        except ConnectionError:
            self.watch.left()
            if runner.server.wait_idle(10):
                self.call.generation_stopped = time.time()
            raise

    def _apply_text(self, runner: Runner, ask: Ask) -> None:
        """Faults that replace the reply."""
        if self.fault is None:
            return
        if self.fault.kind is FaultKind.REPLY:
            ask.text = fill(self.fault.text, rendered(runner.spec, ask))
        elif self.fault.kind in TEXTS:
            ask.text = TEXTS[self.fault.kind]

    def _items(self, runner: Runner, ask: Ask) -> Items:
        """The reply, with the counts of it kept in the call and cut in its middle if so ordered."""
        made = generate(runner, ask, self.watch)
        with closing(made):
            ordered = self.fault is not None and self.fault.kind is FaultKind.LENGTH
            for item in _cut_in_half(made) if ordered else made:
                if isinstance(item, Finish):
                    self.call.tokens_computed, self.call.tokens_cached = item.computed, item.cached
                    self.call.tokens_generated = item.generated
                    self.call.done_reason = item.reason
                yield item

    def _send_stream(self, runner: Runner, ask: Ask, items: Items) -> None:
        kind = self.fault.kind if self.fault else None
        if self.fault and kind is FaultKind.REPEAT_ABORT:
            for _ in range(31):
                self.answer.line(self._line(self.fault.text or " document"))
            self.answer.end()
            return
        if kind is FaultKind.EMPTY_STREAM:
            self.answer.begin()
            self.answer.end()
            return
        if self.fault and kind is FaultKind.DONE_REASON:
            self.answer.line(self._line("", done=True) | {"done_reason": self.fault.text})
            self.answer.end()
            return
        hide = self._thinks_all(runner.spec)
        try:
            for thought in self._thoughts(runner.spec):
                self._send(self._line("", thinking=thought), runner)
            for item in items:
                if isinstance(item, Finish):
                    self._send(self._line("", done=True) | self._counts(item), runner)
                    break
                line = self._line("", thinking=item.text) if hide else self._line(item.text)
                self._send(line | ({"logprobs": item.logprobs} if ask.logprobs else {}), runner)
        except _EndedError:
            pass
        self.answer.begin()
        self.answer.end()

    def _send(self, line: dict[str, Any], runner: Runner) -> None:
        """One line of the stream, unless a fault comes first."""
        fault = self.fault
        if fault and fault.kind is FaultKind.SLOW:
            self.watch.sleep(fault.seconds)
        if fault and self.call.lines == fault.after:
            match fault.kind:
                case FaultKind.SILENCE:
                    self.watch.sleep(fault.seconds)
                case FaultKind.STREAM_ENDS:
                    self.answer.begin()
                    raise _EndedError
                case FaultKind.SERVER_KILLED:
                    raise CutError
                case FaultKind.HALF_LINE:
                    self.answer.half_line(line)
                case FaultKind.HALF_SILENCE:
                    with suppress(CutError):
                        self.answer.half_line(line)
                    self.watch.sleep(_FOR_EVER)
                case FaultKind.RUNNER_KILLED:
                    self.library.pool.kill(runner.spec.full_name)
                    raise RefusedError(500, CRASHED)
                case FaultKind.RAW | FaultKind.NO_LINE_END | FaultKind.ENDLESS:
                    self._babble(fault)
        self.answer.line(line)

    def _babble(self, fault: Fault) -> None:
        """What no Ollama sends. Does not return."""
        if fault.kind is FaultKind.RAW:
            self.answer.raw(fault.text + "\n")
            raise _EndedError
        while True:  # until the client leaves, which raises
            if fault.kind is FaultKind.ENDLESS:
                self.answer.line(self._line(fault.text))
            else:
                self.answer.raw("x" * 1_000_000)

    def _send_whole(self, runner: Runner, ask: Ask, items: Items) -> None:
        kind = self.fault.kind if self.fault else None
        if kind is FaultKind.EMPTY_STREAM:
            nothing = {"model": "", "created_at": "0001-01-01T00:00:00Z"}
            self.answer.json({**nothing, "message": {"role": "", "content": ""}, "done": False})
            return
        if self.fault and kind in (FaultKind.SILENCE, FaultKind.SLOW):
            self.watch.sleep(self.fault.seconds)
        if kind is FaultKind.RUNNER_KILLED:
            self.library.pool.kill(runner.spec.full_name)
            raise RefusedError(500, CRASHED)
        if kind in CUTS:
            raise CutError
        got = list(items)
        text = "".join(item.text for item in got if isinstance(item, Piece))
        finish = got[-1] if got and isinstance(got[-1], Finish) and kind not in STOPS else None
        thinking = "".join(self._thoughts(runner.spec))
        hide = self._thinks_all(runner.spec)
        line = self._line("" if hide else text, done=finish is not None, thinking=text if hide else thinking)
        found = [entry for item in got if isinstance(item, Piece) for entry in item.logprobs]
        line |= self._counts(finish, found if ask.logprobs else None) if finish else {}
        self.answer.json(line)

    def _thinks(self, spec: ModelSpec) -> bool:
        """A model that can think does so unless told not to."""
        return spec.can("thinking") and self.body.get("think") is not False

    def _thinks_all(self, spec: ModelSpec) -> bool:
        ordered = self.fault is not None and self.fault.kind is FaultKind.IN_THINKING
        return ordered or (spec.answers_in_thinking and self._thinks(spec))

    def _thoughts(self, spec: ModelSpec) -> tuple[str, ...]:
        return THOUGHT if self._thinks(spec) and not self._thinks_all(spec) else ()

    def _line(self, content: str, *, done: bool = False, thinking: str = "") -> dict[str, Any]:
        line: dict[str, Any] = {"model": self.name, "created_at": timestamp()}
        more = {"thinking": thinking} if thinking else {}
        if self.generate_api:
            line |= {"response": content, **more}
        else:
            line["message"] = {"role": "assistant", "content": content, **more}
        return line | {"done": done}

    def _counts(self, finish: Finish, logprobs: list[dict[str, Any]] | None = None) -> dict[str, Any]:
        """What the last line says beyond `done`. Cached tokens count, the time is that of the others."""
        first = {} if logprobs is None else {"logprobs": logprobs}
        context = {"context": [1, 2, 3]} if self.generate_api and not self.body.get("raw") else {}
        numbers = {
            "total_duration": time.monotonic_ns() - self.started,
            "load_duration": self.load_ns,
            "prompt_eval_count": finish.computed + finish.cached,
            "prompt_eval_duration": finish.prompt_ns,
            "eval_count": finish.generated,
            "eval_duration": finish.eval_ns,
        }
        return {"done_reason": finish.reason, **context, **first, **numbers}


class _EndedError(Exception):
    """The stream ends here, cleanly."""


def _cut_in_half(items: Iterator[Piece | Finish]) -> Iterator[Piece | Finish]:
    whole = list(items)
    half = whole[: len(whole) // 2]
    yield from half
    if whole and isinstance(finish := whole[-1], Finish):
        finish.reason, finish.generated = "length", len(half)
        yield finish
