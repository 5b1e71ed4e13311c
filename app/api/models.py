"""What the API is asked and what it answers, as its OpenAPI describes it."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tasks.asking.answers import QUESTION_CHARS
from tasks.documents import FieldStatus, Stage, State, TextSource

MAX_TEXT = 1_000_000
"""Characters of a text that is classified or summarised."""
MAX_BATCH = 1_000
"""Files, paths and texts of a batch."""
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


class BatchText(Model):
    """A text of a batch."""

    name: Name = "text"
    text: str = Field(min_length=1, max_length=MAX_TEXT)


class BatchIn(Model):
    """What belongs together: paths of files and folders on Shoebox' machine, texts, or both."""

    name: Name = ""
    paths: list[Annotated[str, Field(min_length=1, max_length=4096, pattern=r"^/[^\x00]*$")]] = Field(
        default_factory=list, max_length=MAX_BATCH
    )
    texts: list[BatchText] = Field(default_factory=list, max_length=MAX_BATCH)
    urgent: Urgent = False
    recipe: Recipe | None = None


class BatchItemOut(Model):
    """A thing of a batch."""

    name: str
    state: Literal[
        "waiting",
        "queued",
        "running",
        "done",
        "review",
        "failed",
        "quarantined",
        "cancelled",
        "refused",
        "removed",
    ]
    ended: bool
    document: Document | None = Field(description="Its partial or whole result; null if refused or removed.")
    detail: str = Field(description="Why it failed, was refused, or needs review.")
    remedy: str


class CategorySum(Model):
    """Documents of one category."""

    category: str = Field(description="Empty where none was found.")
    documents: int
    amounts: dict[str, str] = Field(
        description="Sums by currency; `?` where none was said.", examples=[{"EUR": "119.00"}]
    )


class Aggregate(Model):
    """What a batch adds up to, when all of it has ended."""

    states: dict[str, int]
    categories: list[CategorySum]
    amounts: dict[str, str] = Field(description="Sums of all by currency.")
    failures: list[RefusedFile] = Field(description="What could not be read, with the reasons.")
    provisional: int = Field(description="Documents that no language model has read yet.")


class BatchHead(Model):
    """A batch."""

    id: str
    name: str
    created_at: str
    total: int


class Batch(BatchHead):
    """How a batch stands."""

    ended: int = Field(description="How many of its things have ended.")
    states: dict[str, int]
    items: list[BatchItemOut]
    aggregate: Aggregate | None = Field(description="Null until all have ended.")


class BatchList(Model):
    """Batches, the newest first."""

    batches: list[BatchHead]
    next: Cursor


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
