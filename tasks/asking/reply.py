"""The form that a model's answer is held to."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

SENTENCES = 8
SOURCES = 3
TEXT_CHARS = 400
QUOTE_CHARS = 240


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Citation(_Part):
    """A passage by its number, with words copied from it. Both are the model's and may be invented."""

    passage: int
    quote: Annotated[str, StringConstraints(max_length=QUOTE_CHARS)]


class Claim(_Part):
    """A sentence. Its sources come first: a model that has copied the words reads them."""

    # A claim without a source fails its check alone and does not spoil the reply: the schema asks for one,
    # the model of the form does not.
    sources: Annotated[list[Citation], Field(max_length=SOURCES, json_schema_extra={"minItems": 1})]
    text: Annotated[str, StringConstraints(strip_whitespace=True, max_length=TEXT_CHARS)]


class AnswerReply(_Part):
    """Whether the passages answer the question, and how."""

    answered: bool
    sentences: Annotated[list[Claim], Field(max_length=SENTENCES)]
