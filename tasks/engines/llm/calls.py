"""One question to a model: asked, checked, repaired once, and put on record."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from tasks.engines.llm.base import (
    CallTrace,
    ChatClient,
    ChatReply,
    ChatRequest,
    ImageNote,
    LlmError,
    LlmErrorKind,
    Message,
    OnText,
    ShouldStop,
)
from tasks.engines.llm.fence import neutral
from tasks.engines.llm.page_images import PageImage
from tasks.engines.llm.prompts import SYSTEM, images_note, repair_instruction
from tasks.engines.llm.reply_schema import json_schema
from tasks.engines.llm.tokens import TokenEstimate

Form = TypeVar("Form", bound=BaseModel)

_TEMPLATE_TOKENS = 224
"""For what the chat template, the fence and the file's title add."""
_RAISED_TOKENS = 1024
"""A reply that was cut off may have this many on its second try: a model that thinks first needs them."""
_SHOWN_REPLY_CHARS = 1500
_LEAST_ROOM = 128
"""Tokens for a document; with less there is nothing to read."""
_SAFE_SHARE = 0.8
_LOST = "{"
"""Stands for a reply of which nothing is left: llama.cpp refuses a conversation with an empty message."""
_CHECKED_TOKENS = 64
"""Shorter prompts are not checked for silent truncation: no context is as short."""


def room(num_ctx: int, tokens: TokenEstimate, instruction: str, max_tokens: int) -> int:
    """How many tokens a document may have in a context beside an instruction and its reply.

    Raises:
        LlmError: of kind REFUSED: too few to read anything.
    """
    left = num_ctx - max_tokens - tokens.count(SYSTEM) - tokens.count(instruction) - _TEMPLATE_TOKENS
    if left < _LEAST_ROOM:
        raise _no_room(num_ctx, tokens.model)
    return int(left)


def _no_room(num_ctx: int, model: str) -> LlmError:
    return LlmError(
        LlmErrorKind.REFUSED,
        f"A context of {num_ctx} tokens is too small for {model} to read documents in.",
        "Raise num_ctx in the settings, or use a recipe with fewer or shorter descriptions.",
    )


@dataclass(frozen=True)
class Answer(Generic[Form]):
    """A valid reply."""

    value: Form
    reply: ChatReply


@dataclass
class Caller:
    """Asks one model on one server; keeps a trace of every call, failed ones too."""

    client: ChatClient
    model: str
    num_ctx: int
    tokens: TokenEstimate
    on_cpu: bool
    num_thread: int | None
    keep_alive: str
    on_text: OnText
    should_stop: ShouldStop

    def __post_init__(self) -> None:
        self.calls: list[CallTrace] = []
        self.context = self.num_ctx
        """How many tokens the server really has; it may admit to fewer than were asked for."""
        self._shown: tuple[ImageNote, ...] = ()
        """The images of the question that is being asked."""

    def room(self, instruction: str, max_tokens: int) -> int:
        """How many tokens a document may have beside an instruction and its reply; see `room`."""
        return room(self.context, self.tokens, instruction, max_tokens)

    def smaller(self, text: str, overflow: LlmError) -> int:
        """How many tokens of a text that was too long to show on the next try."""
        share = 0.5
        if overflow.prompt_tokens and overflow.context_tokens:
            share = _SAFE_SHARE * min(overflow.context_tokens / overflow.prompt_tokens, 1.0)
        return max(int(self.tokens.count(text) * share), _LEAST_ROOM)

    def no_room(self) -> LlmError:
        """The error of a context that instructions alone nearly fill."""
        return _no_room(self.context, self.model)

    def ask(
        self,
        purpose: str,
        block: str,
        instruction: str,
        *,
        form: type[Form],
        max_tokens: int,
        top_logprobs: int = 0,
        images: Sequence[PageImage] = (),
    ) -> Answer[Form]:
        """Ask about a document and return the valid reply. One that is not valid is shown to the model once.

        Images go with the document, so that all calls about it begin with the same bytes, theirs included.

        Raises:
            LlmError: there is no valid reply; OVERFLOW if the prompt was too long or not read to its end.
        """
        request = ChatRequest(
            model=self.model,
            messages=(
                Message(role="system", content=SYSTEM),
                Message(
                    role="user",
                    content=f"{block}\n\n{images_note([image.page for image in images])}{instruction}",
                    images=tuple(image.data for image in images),
                ),
            ),
            reply_schema=json_schema(form),
            num_ctx=self.num_ctx,
            max_tokens=max_tokens,
            top_logprobs=top_logprobs,
            on_cpu=self.on_cpu,
            num_thread=self.num_thread,
            keep_alive=self.keep_alive,
        )
        self._shown = tuple(image.note for image in images)
        said = _LOST
        try:
            reply = self._whole_reply(purpose, request)
            said = neutral(_said(reply)[:_SHOWN_REPLY_CHARS]) or _LOST
            return Answer(_parse(form, reply), reply)
        except ValidationError as error:
            problem = self._note_problem(error)
        except LlmError as error:
            was_cut = self.calls[-1].done_reason == "length"  # and has had its second try
            if error.kind is not LlmErrorKind.BAD_REPLY or was_cut or images:
                raise  # with images: the text is read alone instead
            problem = "it repeated itself without end, or was no text"
        repair = (
            Message(role="assistant", content=said),
            Message(role="user", content=repair_instruction(problem)),
        )
        request = request.model_copy(update={"messages": (*request.messages, *repair)})
        try:
            reply = self._whole_reply(f"repair {purpose}", request)
            return Answer(_parse(form, reply), reply)
        except ValidationError as error:
            problem = self._note_problem(error)
        except LlmError as error:
            if error.kind is not LlmErrorKind.OVERFLOW:
                raise
            problem = f"{problem}; there is no room in the context to repair it"
        raise self._bad_reply(f"gave a reply that is not valid: {problem}.")

    def record(
        self,
        purpose: str,
        prompt: str,
        started: float,
        *,
        images: tuple[ImageNote, ...] = (),
        reply: ChatReply | None = None,
        error: str = "",
    ) -> None:
        """Keep the trace of a call that began at `started` (of `time.monotonic`)."""
        trace = CallTrace(
            engine=self.client.name,
            model=self.model,
            purpose=purpose,
            prompt_sha256=hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest(),
            prompt=prompt,
            images=images,
            seconds=round(time.monotonic() - started, 3),
            error=error,
        )
        if reply:
            trace = trace.model_copy(
                update={
                    "reply": reply.content,
                    "thinking": reply.thinking,
                    "done_reason": reply.done_reason,
                    "prompt_tokens": reply.prompt_tokens,
                    "cached_tokens": reply.cached_tokens,
                    "reply_tokens": reply.reply_tokens,
                    "load_seconds": reply.load_seconds,
                }
            )
        self.calls.append(trace)

    def _whole_reply(self, purpose: str, request: ChatRequest) -> ChatReply:
        """A reply that was not cut off; one that was may be longer on a second try.

        Raises:
            LlmError: OVERFLOW if the prompt left too little of the context for the reply.
        """
        reply = self._chat(purpose, request)
        if reply.done_reason == "length":
            most = self.context - reply.prompt_tokens
            if most < request.max_tokens:
                raise LlmError(
                    LlmErrorKind.OVERFLOW,
                    f"The context of {self.model} was full before its reply was whole.",
                    prompt_tokens=reply.prompt_tokens + request.max_tokens,
                    context_tokens=self.context,
                )
            raised = min(max(2 * request.max_tokens, _RAISED_TOKENS), most)
            if raised > request.max_tokens:
                request = request.model_copy(update={"max_tokens": raised})
                reply = self._chat(f"{purpose}, longer", request)
        if reply.done_reason == "length":
            raise self._bad_reply(f"was cut off after {reply.reply_tokens} tokens of its reply.")
        return reply

    def _chat(self, purpose: str, request: ChatRequest) -> ChatReply:
        prompt = "\n\n".join(f"[{message.role}]\n{message.content}" for message in request.messages)
        started, shown = time.monotonic(), self._shown
        try:
            reply = self.client.chat(request, self.on_text, self.should_stop)
        except LlmError as error:
            self.record(purpose, prompt, started, images=shown, error=f"{error.kind}: {error.message}")
            if error.kind is LlmErrorKind.OVERFLOW:
                self._learn_overflow(prompt, error)
            raise
        least = self.tokens.least(prompt)
        if least > _CHECKED_TOKENS and 0 < reply.prompt_tokens < least:
            problem = (
                f"{self.client.name} read {reply.prompt_tokens} of at least {least:.0f} tokens of the prompt"
            )
            overflow = f"{LlmErrorKind.OVERFLOW}: {problem}"
            self.record(purpose, prompt, started, images=shown, reply=reply, error=overflow)
            raise LlmError(
                LlmErrorKind.OVERFLOW,
                f"{problem}.",
                prompt_tokens=int(self.tokens.count(prompt)),
                context_tokens=reply.prompt_tokens,
            )
        self.record(purpose, prompt, started, images=shown, reply=reply)
        if not shown:  # else the tokens are those of the images too
            self.tokens.learn(prompt, reply.prompt_tokens)
        return reply

    def _learn_overflow(self, prompt: str, error: LlmError) -> None:
        """An overflow tells the exact length of the prompt, and perhaps that the context is smaller."""
        if error.prompt_tokens and not self._shown:
            self.tokens.learn(prompt, error.prompt_tokens)
        if error.context_tokens:
            self.context = min(self.context, error.context_tokens)

    def note_way_out(self, words: str) -> None:
        """Say in the trace of the last call, which failed, what is done instead."""
        last = self.calls[-1]
        self.calls[-1] = last.model_copy(update={"error": f"{last.error} {words}"})

    def _note_problem(self, error: ValidationError) -> str:
        problem = _in_words(error)
        self.calls[-1] = self.calls[-1].model_copy(update={"error": f"not valid: {problem}"})
        return problem

    def _bad_reply(self, what: str) -> LlmError:
        return LlmError(LlmErrorKind.BAD_REPLY, f"{self.model} {what}")


def _said(reply: ChatReply) -> str:
    """The reply; some models put all of it where their thinking belongs."""
    return reply.content.strip() or reply.thinking.strip()


def _parse(form: type[Form], reply: ChatReply) -> Form:
    text = _said(reply)
    if text.startswith("```"):
        text = text.removeprefix("```json").strip("`\n ")
    return form.model_validate_json(text)


def _in_words(error: ValidationError) -> str:
    """What is wrong, at most three things; without the values, which may hold anything."""
    problems = [
        f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}".removeprefix(": ")
        for each in error.errors(include_input=False, include_url=False)[:3]
    ]
    return neutral("; ".join(problems))[:300]
