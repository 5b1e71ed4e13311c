"""The part of a recipe that has pages looked at by an image classifier."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from tasks.documents import Value
from tasks.image_classifiers import ClassifierName, Label

CategoryName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]


class LabelMeans(Value):
    """A label of the classifier that means a category of another name."""

    name: Label
    """The label."""
    category: CategoryName


class ImageClassifierUse(Value):
    """Which image classifier looks at a document's pages, and what its word counts."""

    model: ClassifierName
    """A name, never a path: each worker has its own folder."""
    pages: Literal["first"] | Annotated[int, Field(ge=1, le=16)] = "first"
    """`first`, or how many of the first pages."""
    labels: tuple[LabelMeans, ...] = Field(default=(), max_length=200)
    """Labels whose name is no category, with what they mean. Labels that mean nothing count for nothing."""
    weight: float = Field(default=0.75, ge=0, le=2)
    """What the images count beside the text; 0: they are shown and change nothing."""
    review_above: float = Field(default=0.8, ge=0, le=1)
    """How sure the images must be for a contradiction to the text to send the document to review."""

    @property
    def page_count(self) -> int:
        """At most so many pages are looked at."""
        return 1 if self.pages == "first" else self.pages


def listed_labels(body: Any) -> Any:
    """The table `label = category` of the TOML as the list of the model; anything else stays as it is."""
    if not isinstance(body, dict) or not isinstance(body.get("labels"), dict):
        return body
    labels = [{"name": label, "category": category} for label, category in body["labels"].items()]
    return {**body, "labels": labels}
