"""What the API is asked and what it answers, as its OpenAPI describes it."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tasks.documents import FieldStatus, Stage, State, TextSource

MAX_TEXT = 1_000_000
"""Characters of a text that is handed in."""
NAME_CHARS = 200

Recipe = Annotated[
    str,
    Field(min_length=1, max_length=64, description="The recipe to read by; by default that of the settings."),
]
Urgent = Annotated[bool, Field(description="Before everything that is not urgent.")]
Name = Annotated[str, Field(max_length=NAME_CHARS, description="A name for people.")]
Cursor = Annotated[str | None, Field(description="`cursor` of the next page; null: this was the last.")]


class Model(BaseModel):
    """Base of all: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")


class Problem(BaseModel):
    """Why a request was not carried out (RFC 9457)."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["urn:shoebox:problem:not-found"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(
        description="What is wrong, with which thing.", examples=["There is no document 1234abcd."]
    )
    remedy: str = Field(description="What to do about it.", examples=["GET /documents lists the ids."])


class Progress(Model):
    """Units ended of units planned, in the stage that a document is in."""

    done: int
    planned: int
    active: bool = Field(description="Whether a unit is with a worker or on its way there.")


class Document(Model):
    """A document: how it stands, and its row of the table. Text that is not known yet is empty."""

    id: str = Field(examples=["9f2c4e1a"])
    name: str = Field(examples=["invoice.pdf"])
    state: State
    stage: Stage
    ended: bool = Field(description="Nothing more comes by itself, or only when a language model is there.")
    message: str = Field(description="Why it needs review or failed, in words.")
    remedy: str
    urgent: bool
    added_at: str = Field(examples=["2026-11-21T16:15:54+00:00"])
    pages: int
    category: str = Field(examples=["invoice"])
    confidence: float | None
    title: str
    party: str
    date: str = Field(examples=["2026-03-02"])
    amount: str = Field(description="A decimal with a point.", examples=["119.00"])
    currency: str = Field(examples=["EUR"])
    provisional: bool = Field(description="Found by the offline engine, without a language model.")
    progress: Progress | None


class DocumentList(Model):
    """Documents, a page at a time."""

    documents: list[Document]
    next: Cursor


class Taken(Model):
    """A file that is in the ledger now."""

    id: str
    name: str
    new: bool = Field(description="False: its content was there already.")
    state: State


class RefusedFile(Model):
    """A file that cannot be taken."""

    name: str
    detail: str
    remedy: str


class Accepted(Model):
    """What became of the files that were sent."""

    documents: list[Taken]
    refused: list[RefusedFile]


class PathIn(Model):
    """A file on the machine that Shoebox runs on."""

    path: str = Field(
        min_length=1, max_length=4096, pattern=r"^/[^\x00]*$", examples=["/home/me/invoice.pdf"]
    )
    urgent: Urgent = False
    recipe: Recipe | None = None


class ProgressOut(Model):
    """How far a document is."""

    id: str
    state: State
    stage: Stage
    ended: bool
    done: int = Field(description="Units of this stage that have ended.")
    planned: int = Field(description="Units of this stage.")


class FieldOut(Model):
    """A value with the words that it comes from."""

    name: str
    value: str = Field(description="An ISO date, a decimal with a point, an ISO 4217 currency, or text.")
    quote: str = Field(description="Verbatim words of the page.")
    page: int | None
    start: int | None = Field(description="Where the quote begins in the text of its page.")
    end: int | None
    status: FieldStatus
    confidence: float = Field(description="How sure the engine is, 0 to 1.")
    learned_from: str = Field(description="The document whose correction led to this value.")
    worth: float = Field(description="What that confidence has been worth so far, 0 to 1.")
    box: tuple[int, int, int, int] | None = Field(
        description="On the image of a page that OCR read, in pixels."
    )


class CorrectionOut(Model):
    """What a person said."""

    field: str
    old: str
    new: str
    model: str = Field(description="Who gave the old value.")
    at: float = Field(description="Seconds since 1970.")


class Result(Document):
    """Everything that was found about a document, without its text."""

    summary: str
    language: str
    engine: str
    recipe: str
    mime: str
    sha256: str
    evidence: list[str] = Field(description="What spoke for the category.")
    read_share: float = Field(description="How much of the text was read, 0 to 1.")
    fields: list[FieldOut]
    corrections: list[CorrectionOut]
    look: dict[str, Any] | None = Field(description="What an image classifier saw.")
    calls: list[dict[str, Any]] | None = Field(description="Calls to language models, with ?trace=true.")


class PageOut(Model):
    """A page as it was read."""

    number: int
    text: str
    source: TextSource
    score: float
    rotation: int
    width: int
    height: int
    error: str


class TextOut(Model):
    """The text of a document, page by page."""

    id: str
    pages: list[PageOut]


class Changes(Model):
    """What is right: the category, fields, or both. An empty value: the document does not say it."""

    category: str | None = Field(default=None, min_length=1, max_length=100, examples=["invoice"])
    fields: dict[str, Annotated[str, Field(max_length=10_000)]] = Field(
        default_factory=dict, max_length=100, examples=[{"amount": "119.00"}]
    )


class UrgentIn(Model):
    """Whether a document goes before all that are not urgent."""

    urgent: bool = True


class RetryIn(Model):
    """How to read again."""

    urgent: bool | None = None


class Alive(Model):
    """The API answers."""

    status: Literal["alive"]


class Ready(Model):
    """Everything that is needed to read documents is there."""

    status: Literal["ready"]
    ledger: bool
    redis: bool
    home_worker: bool


class Version(Model):
    """Which Shoebox this is."""

    version: str
    schema_version: int = Field(description="Of the ledger.")
