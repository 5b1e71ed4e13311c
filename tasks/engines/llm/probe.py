"""Trying a model once: does it keep to a schema, can its confidence be measured, does it think aloud?"""

import json
import time

from tasks.documents import Value
from tasks.engines.llm.base import ChatClient, ChatRequest, LlmError, Message
from tasks.engines.llm.confidence import measure
from tasks.engines.llm.prompts import SYSTEM

_CHOICES = ("bill", "letter")
_SCHEMA = {
    "type": "object",
    "properties": {"kind": {"type": "string", "enum": list(_CHOICES)}},
    "required": ["kind"],
}
_QUESTION = (
    'Amount due: 12.00 EUR, payable by 1 March.\n\nWhich is it, bill or letter? Answer as {"kind": NAME}.'
)
_MAX_TOKENS = 512  # a model that thinks first needs them


class Probe(Value):
    """What a model did with a small question."""

    holds_schema: bool = False
    has_confidence: bool = False
    """Its confidence can be measured from the reply's log probabilities."""
    thinks: bool = False
    seconds: float = 0.0
    """Loading included."""
    problem: str = ""
    """Why there was no reply."""

    def words(self) -> str:
        """The result for people."""
        if self.problem:
            return f"no reply: {self.problem}"
        schema = "keeps to the schema" if self.holds_schema else "does not keep to a schema: not usable"
        confidence = "" if self.has_confidence else ", confidence cannot be measured"
        thinks = ", thinks first" if self.thinks else ""
        return f"{schema}{confidence}{thinks}, {self.seconds:.1f} s"


def probe(client: ChatClient, model: str, num_ctx: int, *, on_cpu: bool, num_thread: int | None) -> Probe:
    """Ask a model a small question, with the context that it will have, so that it is loaded only once."""
    request = ChatRequest(
        model=model,
        messages=(Message(role="system", content=SYSTEM), Message(role="user", content=_QUESTION)),
        reply_schema=_SCHEMA,
        num_ctx=num_ctx,
        max_tokens=_MAX_TOKENS,
        top_logprobs=20,
        on_cpu=on_cpu,
        num_thread=num_thread,
    )
    started = time.monotonic()
    try:
        reply = client.chat(request, lambda _: None, lambda: False)
    except LlmError as error:
        return Probe(problem=error.message, seconds=time.monotonic() - started)
    return Probe(
        holds_schema=_holds_schema(reply.content),
        has_confidence=measure(reply.tokens, "kind", _CHOICES) is not None,
        thinks=bool(reply.thinking),
        seconds=time.monotonic() - started,
    )


def _holds_schema(content: str) -> bool:
    try:
        found = json.loads(content)
    except ValueError:
        return False
    return isinstance(found, dict) and found.get("kind") in _CHOICES
