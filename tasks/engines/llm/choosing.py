"""Choosing the category of a document, by a chat model or a decision model."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tasks.documents import Classification, DocumentText
from tasks.engines.llm.base import LlmError, LlmErrorKind
from tasks.engines.llm.calls import Caller
from tasks.engines.llm.chunks import Excerpt, ends
from tasks.engines.llm.confidence import UNMEASURED, measure
from tasks.engines.llm.fence import document_block, neutral
from tasks.engines.llm.prompts import choices, choose_instruction, classify_instruction
from tasks.engines.llm.reply_schema import category_reply
from tasks.examples import Example
from tasks.recipes import Recipe

_REPLY_TOKENS = 64
_TOP_LOGPROBS = 20
_TRIES = 5
"""How often a document that was too long is shown again, each time less of it."""


@dataclass(frozen=True)
class _Choice:
    category: str
    shares: dict[str, float] | None
    """Probability of each category; None where it was not measured."""


class CategoryReader:
    """Chooses between the categories of a recipe. Of a long document the beginning and the end are shown."""

    def __init__(self, caller: Caller, fence_key: bytes, decision_model: bool) -> None:
        self._caller = caller
        self._fence_key = fence_key
        self._ask = self._ask_decision_model if decision_model else self._ask_chat_model

    def read(
        self, document: DocumentText, recipe: Recipe, examples: Sequence[Example] = ()
    ) -> Classification:
        """The choice with its measured confidence.

        Raises:
            LlmError: there is no valid answer.
        """
        instruction = classify_instruction(recipe, examples)
        budget = self._caller.room(instruction, _REPLY_TOKENS)
        for tries_left in reversed(range(_TRIES)):
            excerpt = ends(document, budget, self._caller.tokens)
            try:
                choice = self._ask(excerpt, recipe, instruction)
                break
            except LlmError as error:
                if error.kind is not LlmErrorKind.OVERFLOW or not tries_left:
                    raise
                room = self._caller.room(instruction, _REPLY_TOKENS)
                budget = min(self._caller.smaller(excerpt.text, error), room)
        return Classification(
            category=choice.category,
            confidence=round(choice.shares[choice.category], 3) if choice.shares else UNMEASURED,
            evidence=tuple(self._evidence(choice, document, excerpt)),
            read_share=excerpt.read_share,
        )

    def _ask_chat_model(self, excerpt: Excerpt, recipe: Recipe, instruction: str) -> _Choice:
        names = recipe.category_names
        answer = self._caller.ask(
            "classify",
            document_block(excerpt.head, self._fence_key, tail=excerpt.tail),
            instruction,
            form=category_reply(names),
            max_tokens=_REPLY_TOKENS,
            top_logprobs=_TOP_LOGPROBS,
        )
        return _Choice(answer.value.category, measure(answer.reply.tokens, "category", names))

    def _ask_decision_model(self, excerpt: Excerpt, recipe: Recipe, _: str) -> _Choice:
        """A decision model is no chat: it is given the text and the categories apart, and writes nothing."""
        caller, text, instruction = self._caller, neutral(excerpt.text), choose_instruction()
        prompt, started = f"{text}\n\n{instruction}", time.monotonic()
        try:
            found = caller.client.choose(
                caller.model, text, instruction, choices(recipe), caller.keep_alive, caller.should_stop
            )
        except LlmError as error:
            caller.record("classify", prompt, started, error=f"{error.kind}: {error.message}")
            raise
        caller.record("classify", prompt, started)
        weights = {name: max(found.get(name, 0.0), 0.0) for name in recipe.category_names}
        total = sum(weights.values())
        if not total:
            raise LlmError(LlmErrorKind.BAD_REPLY, f"{caller.model} chose none of the categories.")
        shares = {name: weight / total for name, weight in weights.items()}
        return _Choice(max(shares, key=lambda name: shares[name]), shares)

    def _evidence(self, choice: _Choice, document: DocumentText, excerpt: Excerpt) -> Iterator[str]:
        """Words for the user."""
        yield f"chosen by {self._caller.model}"
        if choice.shares is None:
            yield "its probability could not be measured"
        else:
            others = {name: share for name, share in choice.shares.items() if name != choice.category}
            if others:
                second = max(others, key=lambda name: others[name])
                yield f"next: {second} {others[second]:.0%}"
        if excerpt.read_share < 1:
            numbers = {page.number for page in excerpt.pages}
            yield (
                f"read {excerpt.read_share:.0%} of the text, beginning and end, "
                f"on {len(numbers)} of {len(document.pages)} pages"
            )
