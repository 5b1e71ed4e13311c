"""What is asked and answered about texts, questions and searches."""

from typing import Annotated, Literal

from pydantic import Field

from app.api.models import MAX_TEXT, Document, Model, Name, Recipe
from tasks.asking.answers import QUESTION_CHARS
from tasks.documents import State


class TextIn(Model):
    """A text to classify or to summarise."""

    text: str = Field(min_length=1, max_length=MAX_TEXT, examples=["Invoice 17\nTotal due: 119.00 EUR"])
    name: Name = "text"
    recipe: Recipe | None = None


class Classified(Model):
    """What a text is."""

    id: str = Field(description="Of the document that carries the text.")
    state: State
    ended: bool
    category: str = Field(description="Empty until it is known.")
    confidence: float | None
    evidence: list[str]
    provisional: bool
    message: str


class Summarised(Classified):
    """What a text says in short."""

    title: str
    summary: str
    language: str


class AskIn(Model):
    """A question over the documents."""

    question: str = Field(min_length=1, max_length=QUESTION_CHARS, examples=["When does the lease end?"])
    documents: list[Annotated[str, Field(max_length=64)]] = Field(
        default_factory=list, max_length=1_000, description="Their ids; none: all."
    )


class SourceOut(Model):
    """Words of a page that an answer stands on."""

    document: str
    name: str
    page: int
    quote: str
    start: int
    end: int


class SentenceOut(Model):
    """A sentence of an answer, with where it stands."""

    text: str
    sources: list[SourceOut]


class Question(Model):
    """A question and what became of it."""

    id: str
    question: str
    state: Literal["open", "answered", "unanswered", "failed", "cancelled"]
    sentences: list[SentenceOut] = Field(description="Only those whose citation was found.")
    passages: list[SourceOut] = Field(
        description="Without a language model: what says most about the question."
    )
    left_out: int = Field(description="Sentences whose citation was not found.")
    model: str
    note: str = Field(description="Why there is no answer, or none of a language model.")
    remedy: str


class FoundOut(Model):
    """A document that was found."""

    document: Document
    page: int = Field(description="The best one; 0: found by what stands about the document.")
    pages: int = Field(description="How many of its pages were found.")
    snippet: str
    marks: list[tuple[int, int]] = Field(description="Where the words stand in the snippet.")
    found_by: list[Literal["words", "meaning"]]


class SearchOut(Model):
    """What was found, the best first."""

    found: list[FoundOut]
    problem: str = Field(description="Why meaning was not looked at, where one would expect it.")
