"""What is asked of a document or of a part of it, and how much of it fits beside that into a context."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from tasks.documents import DocumentText
from tasks.engines.llm.calls import room
from tasks.engines.llm.chunks import cut
from tasks.engines.llm.page_images import IMAGE_TOKENS, PageImage, how_many
from tasks.engines.llm.prompts import fields_instruction, summary_instruction
from tasks.engines.llm.tokens import TokenEstimate
from tasks.examples import Example
from tasks.recipes import Category

SUMMARY_TOKENS = 480
"""For the reply with title and summary."""
_FIELD_TOKENS = 80
"""For each field; a value with its quote seldom needs half."""
_MANY = 999
"""Stands for the number of a part while it is not known."""


@dataclass(frozen=True)
class Question:
    """What is asked of a text: fields of which category, as which part of how many, with what beside it."""

    category: Category
    number: int = 1
    of: int = 1
    examples: tuple[Example, ...] = ()
    images: tuple[PageImage, ...] = ()

    @property
    def summary_instruction(self) -> str:
        """Asks for title and summary."""
        return summary_instruction(self.category, self.number, self.of)

    @property
    def fields_instruction(self) -> str:
        """Asks for the fields."""
        return fields_instruction(self.category, self.number, self.of, self.examples)

    @property
    def fields_tokens(self) -> int:
        """For the reply with the fields."""
        return _FIELD_TOKENS * (len(self.category.fields) + 1)

    def without_images(self) -> Self:
        """The same question to be answered from the text alone."""
        return replace(self, images=())

    def room(self, num_ctx: int, tokens: TokenEstimate) -> int:
        """Tokens for a text beside the longer of the two instructions: both are given the same text.

        Raises:
            LlmError: of kind REFUSED: there is no room for a document.
        """
        return min(
            room(num_ctx, tokens, self.summary_instruction, SUMMARY_TOKENS),
            room(num_ctx, tokens, self.fields_instruction, self.fields_tokens),
        )


def plan_parts(
    document: DocumentText,
    category: Category,
    num_ctx: int,
    tokens: TokenEstimate,
    images: int = 0,
    *,
    examples: Sequence[Example] = (),
) -> list[DocumentText]:
    """The parts that a document has to be read in, which together are all of it; itself if it fits.

    Each has room for so many page images beside it, or for as many as `images_beside` allows.

    Raises:
        LlmError: of kind REFUSED: the category's fields leave no room for a document.
    """
    text_room = Question(category, _MANY, _MANY, tuple(examples)).room(num_ctx, tokens)
    return cut(document, text_room - how_many(text_room, images) * IMAGE_TOKENS, tokens)


def images_beside(
    category: Category,
    num_ctx: int,
    tokens: TokenEstimate,
    wanted: int,
    *,
    examples: Sequence[Example] = (),
) -> int:
    """How many of the wanted page images fit into a context beside a part of a document.

    Raises:
        LlmError: as `plan_parts`.
    """
    return how_many(Question(category, _MANY, _MANY, tuple(examples)).room(num_ctx, tokens), wanted)
