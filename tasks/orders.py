"""What travels between home and the workers: the order for a unit, and its outcome."""

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from tasks.documents import Failure, Stage, Value
from tasks.engines.llm.base import CallTrace, ModelInfo
from tasks.examples import Example
from tasks.gpu import Gpu
from tasks.image_classifiers import MAX_ANNOUNCED, ImageClassifier

_MAX_NAME = 300
"""Of a worker, which is its host's and ours."""
UNKNOWN_ISSUE = 0
"""In place of an outcome's issue, where it cannot be read. Issues begin with 1."""


class Order(Value):
    """A unit as a worker gets it: a reference and small parameters. The bulk is in the payload."""

    home: str
    """Which home asked; its results go to the queue `home.<id>`."""
    unit: int
    issue: int
    """How often the unit has been issued, this time included. A new issue may follow a lost one."""
    document: str
    """Id of the document; only for logs and the cancel mark."""
    stage: Stage
    urgent: bool = False
    params: dict[str, Any] = Field(default_factory=dict)
    """The stage's own parameters, validated by the stage."""
    model: str = ""
    """What must be loaded for it: `paddleocr`, the name of a language model, or `offline`."""
    target: str = ""
    """The worker that it is for, as its `Presence` names it; empty at home."""

    @property
    def task_id(self) -> str:
        """Celery's task id: unique over homes, units and issues."""
        return f"{self.home}.{self.unit}.{self.issue}"


class Swap(Value):
    """A model that was loaded for a unit, and what had to make room for it."""

    loaded: str
    """`paddleocr`, or the name of a language model."""
    unloaded: tuple[str, ...] = ()
    seconds: float = Field(default=0.0, ge=0, allow_inf_nan=False)


class Outcome(Value):
    """How an issue of a unit ended: a result (the stage's own JSON) or a failure."""

    issue: int
    result: dict[str, Any] | None = None
    failure: Failure | None = None
    seconds: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    worker: str = ""
    calls: tuple[CallTrace, ...] = ()
    """The calls to language models, in order, also those that failed."""
    swaps: tuple[Swap, ...] = ()
    """The models that had to be loaded first."""


class Presence(Value):
    """A worker that is up."""

    worker: str = Field(max_length=_MAX_NAME)
    queues: tuple[Annotated[str, StringConstraints(max_length=_MAX_NAME)], ...] = Field(max_length=8)
    slots: int = Field(ge=1, le=1024)
    """Units that it runs at the same time."""
    pid: int
    """Of its main process; the children that run its units have it as their parent."""
    host: str = ""
    """The name of its machine."""
    version: str = ""
    """Of Shoebox."""
    models: tuple[ModelInfo, ...] = Field(default=(), max_length=1000)
    """The language models that it reaches."""
    llm_problem: str = ""
    """Why it reaches none, in words."""
    gpus: tuple[Gpu, ...] = Field(default=(), max_length=64)
    """Those that it may use, if it serves the gpu queue."""
    software: dict[str, str] = Field(default_factory=dict, max_length=64)
    """Versions of what it runs on, by name: python, paddleocr, torch."""
    version_problem: str = ""
    """That some home has another version of Shoebox, in words."""
    ocr_device: str = ""
    """Where its OCR engine is loaded now: `cpu`, or a GPU such as `gpu:0`; empty if it is not loaded."""
    image_classifiers: tuple[ImageClassifier, ...] = Field(default=(), max_length=MAX_ANNOUNCED)
    """Those that it can run, if it serves the gpu queue."""
    metrics: str = Field(default="", max_length=_MAX_NAME)
    """Where it serves its numbers, as host and port; empty if it does not."""


class ExtractParams(Value):
    """Read the spooled file. Only ever run at home."""

    sha256: str
    name: str


class OcrParams(Value):
    """OCR of a window of pages. The payload holds one PNG a page, in this order."""

    sha256: str
    mime: str
    pages: tuple[int, ...]


class Span(Value):
    """A part of a page's text: the characters from `start` up to `end`."""

    page: int
    start: int
    end: int


class ReadParams(Value):
    """Classify or analyse. What the payload holds depends on `part`; see `tasks.payloads`."""

    engine: str
    category: str = ""
    """Only for analyse: the category that was chosen."""
    llm: "LlmParams | None" = None
    """Only for engines with a language model."""
    examples: tuple[Example, ...] = Field(default=(), exclude_if=lambda examples: not examples)
    """What people corrected in similar documents. None leave no trace: results are kept under a hash of
    these parameters, and those that were made without examples stay valid."""


class ImagePage(Value):
    """A page whose image a model is shown beside the text."""

    number: int
    rotation: int = 0
    """Degrees clockwise that make it upright, as OCR found."""


class LlmParams(Value):
    """How a language model is to be called."""

    model: str
    num_ctx: int
    on_cpu: bool
    is_decision_model: bool = False
    part: int = 0
    """Of a long document: which part, from 1; 0 for the whole document or the merge of its parts."""
    parts: int = 1
    """How many parts the document was cut into."""
    spans: tuple[Span, ...] = ()
    """What belongs to this part."""
    images: tuple[ImagePage, ...] = Field(default=(), exclude_if=lambda pages: not pages)
    """Pages to show as images too, in their order. No images leave no trace: results are kept under a hash of
    these parameters, and those that were made without images stay valid."""


def image_pages(stage: Stage, params: dict[str, Any]) -> tuple[int, ...]:
    """The pages whose images travel with a unit of these parameters; none for most.

    Those of a look are so small that they do not count.
    """
    if stage is Stage.OCR:
        return OcrParams.model_validate(params).pages
    if stage is not Stage.ANALYSE:
        return ()
    llm = ReadParams.model_validate(params).llm
    return tuple(page.number for page in llm.images) if llm else ()
