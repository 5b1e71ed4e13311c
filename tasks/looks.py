"""What an image classifier is asked and what it said, as it is kept: the words of the stage `look`."""

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import Self

from pydantic import Field, model_validator

from tasks.documents import Classification, Stage, State, Value
from tasks.image_classifiers import ClassifierName, Digest, InputForm, Label
from tasks.ledger import Ledger
from tasks.orders import ImagePage
from tasks.recipe_images import ImageClassifierUse
from tasks.units import units_of


class LookParams(Value):
    """Look at some pages. The payload holds one PNG a page, drawn to `form`, in this order."""

    sha256: str
    mime: str
    pages: tuple[ImagePage, ...]
    classifier: ClassifierName
    digest: Digest
    form: InputForm
    use: ImageClassifierUse
    """What the recipe says about it, as it was when the unit was planned."""
    categories: tuple[str, ...]
    """The recipe's, by name."""

    def category_of(self, label: str) -> str:
        """The category that a label means; empty for none."""
        for means in self.use.labels:
            if means.name == label:
                return means.category
        return label if label in self.categories else ""


class PageLook(Value):
    """What a classifier saw on one page: a probability for each label, in their order."""

    page: int
    probabilities: tuple[float, ...]

    @model_validator(mode="after")
    def _is_a_distribution(self) -> Self:
        if not all(math.isfinite(p) and 0 <= p <= 1 for p in self.probabilities):
            raise ValueError("a probability is not between 0 and 1")
        if abs(sum(self.probabilities) - 1) > 0.01:
            raise ValueError("the probabilities do not make 1")
        return self


class Look(Value):
    """The result of the stage: what a classifier saw on the pages that it was shown."""

    labels: tuple[Label, ...] = Field(min_length=2, max_length=200)
    pages: tuple[PageLook, ...] = Field(min_length=1, max_length=16)
    device: str
    """Where it ran: `cpu`, or a GPU as torch names it, such as `cuda:0`."""

    @model_validator(mode="after")
    def _each_label_has_its_share(self) -> Self:
        if any(len(page.probabilities) != len(self.labels) for page in self.pages):
            raise ValueError("there are not as many probabilities as labels")
        return self

    @property
    def by_label(self) -> dict[str, float]:
        """The mean probability of each label over the pages."""
        sums: defaultdict[str, float] = defaultdict(float)
        for page in self.pages:
            for label, probability in zip(self.labels, page.probabilities, strict=True):
                sums[label] += probability / len(self.pages)
        return dict(sums)


@dataclass(frozen=True, slots=True)
class Sighting:
    """What came of having a document looked at."""

    params: LookParams | None
    """None where nobody could be asked."""
    look: Look | None
    """None where there is no result."""
    state: State
    message: str
    """Why there is no result, in words; empty if there is one, or none yet."""
    worker: str = ""
    seconds: float = 0.0


def sighting(ledger: Ledger, document: str) -> Sighting | None:
    """The last look at a document; None if it was not to be looked at."""
    units = units_of(ledger, document, Stage.LOOK)
    if not units:
        return None
    last = units[-1]
    params = LookParams.model_validate(last.params) if last.params else None
    result = ledger.result(last.result_key) if last.state is State.DONE else None
    look = None if result is None else Look.model_validate(result)
    message = "" if last.state is State.DONE else last.message
    return Sighting(params, look, last.state, message, last.worker, last.seconds)


def text_classification(ledger: Ledger, document: str) -> Classification | None:
    """What the text alone said about the category, before the images had a say; None if nobody read it."""
    done = [unit for unit in units_of(ledger, document, Stage.CLASSIFY) if unit.state is State.DONE]
    result = ledger.result(done[-1].result_key) if done else None
    return None if result is None else Classification.model_validate(result)
