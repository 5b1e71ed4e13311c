"""What is asked and answered about batches."""

from typing import Annotated, Literal

from pydantic import Field

from app.api.models import MAX_TEXT, Cursor, Document, Model, Name, Recipe, RefusedFile, Urgent

MAX_BATCH = 1_000
"""Files, paths and texts of a batch."""


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
