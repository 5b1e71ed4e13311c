"""The words of the domain. Every value that crosses a process or is stored is one of these.

Nothing here imports Celery, Redis, SQLite or any engine.
"""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class State(StrEnum):
    """The one state vocabulary, for documents and for units.

    A document is `waiting`, `running`, or in one of the states of `FINAL_STATES`. A unit may also be
    `queued` (handed to Redis, not started as far as home knows) and is never in `review`.
    """

    WAITING = "waiting"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    REVIEW = "review"
    """Read to the end, but a person should look: the message says at what."""
    FAILED = "failed"
    """Cannot be read for a reason that the user can act on, such as a password."""
    QUARANTINED = "quarantined"
    """Ran into a limit of time or memory, or killed or hung its worker `max_attempts` times; set aside so
    that the rest goes on."""
    CANCELLED = "cancelled"


FINAL_STATES = frozenset({State.DONE, State.REVIEW, State.FAILED, State.QUARANTINED, State.CANCELLED})
OUTSTANDING_STATES = frozenset({State.QUEUED, State.RUNNING})


class Stage(StrEnum):
    """The stages of a document's way, in their order."""

    EXTRACT = "extract"
    OCR = "ocr"
    LOOK = "look"
    """Optional: an image classifier of the user's own looks at pages, as evidence beside the text."""
    CLASSIFY = "classify"
    ANALYSE = "analyse"


class TextSource(StrEnum):
    """Where the text of a page comes from."""

    LAYER = "text layer"
    OCR = "ocr"
    NONE = "none"


class FieldStatus(StrEnum):
    """What is known about a value: of an extracted one, about its quote."""

    VERIFIED = "verified"
    UNVERIFIED = "unverified"
    MISSING = "missing"
    CORRECTED = "corrected"
    """A person said so; an empty value: that the document does not say it."""


class Value(BaseModel):
    """Base of all domain values: immutable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Line(Value):
    """One line of text that OCR saw. The box is x0, y0, x1, y1 in pixels of the upright page image."""

    text: str
    box: tuple[int, int, int, int]
    confidence: float


class Page(Value):
    """One page of a document as it was read. `number` counts from 1."""

    number: int
    text: str
    source: TextSource
    score: float
    """How far the text can be trusted, 0 to 1: of the text layer, or the mean confidence of OCR."""
    needs_ocr: bool = False
    lines: tuple[Line, ...] = ()
    """Only for OCR pages."""
    width: int = 0
    """Pixels of the upright page image; 0 where none was made."""
    height: int = 0
    rotation: int = 0
    """Degrees clockwise by which the image was turned to be upright: 0, 90, 180 or 270."""
    error: str = ""
    """Why this page could not be read, in words for the user; empty if it could."""


class Extraction(Value):
    """What reading a file gave: its pages in order, and what the file says about itself."""

    mime: str
    pages: tuple[Page, ...]
    title: str = ""
    """Title or subject from the file's own metadata; untrusted text."""


class OcrResult(Value):
    """What OCR of a window of pages gave. A page that could not be read is there, with its error."""

    pages: tuple[Page, ...]


class PageText(Value):
    """What an engine is given of a page: all of its text, or a part that begins at offset `start`."""

    number: int
    text: str
    start: int = 0


class DocumentText(Value):
    """What an engine is given of a document: data, never an instruction."""

    name: str
    pages: tuple[PageText, ...]
    title: str = ""

    @property
    def text(self) -> str:
        """All pages, separated by form feeds."""
        return "\f".join(page.text for page in self.pages)


class Classification(Value):
    """The chosen category, always one of the recipe's."""

    category: str
    confidence: float
    """0 to 1."""
    evidence: tuple[str, ...] = ()
    """Words for the user on what spoke for the category."""
    read_share: float = 1.0
    """How much of the document's text the engine was shown, 0 to 1."""


class Field(Value):
    """One extracted value and where it came from.

    `value` is normalised (ISO date, decimal with a point, ISO 4217 currency), `quote` is verbatim text of
    the page; `start` and `end` are offsets into that page's text. A missing value has status `missing`
    and an empty value and quote. What a person said has status `corrected`, and a quote if it is on a page.
    """

    name: str
    value: str
    quote: str = ""
    page: int | None = None
    start: int | None = None
    end: int | None = None
    status: FieldStatus = FieldStatus.UNVERIFIED
    confidence: float = 0.0
    """How sure the engine is, 0 to 1; see `tasks.calibration` for what that has been worth."""
    learned_from: str = ""
    """Id of the document whose correction led to this value; empty where none did."""


class Analysis(Value):
    """Title, summary and the fields of the category."""

    title: str
    summary: str
    fields: tuple[Field, ...] = ()
    read_share: float = 1.0
    """How much of the document's text the engine was shown, 0 to 1."""
    language: str = ""
    """Of the text, as ISO 639-1; empty where its words do not tell."""


class PartAnalysis(Value):
    """What one part of a long document gave; the parts are merged into an `Analysis`."""

    title: str
    summary: str
    fields: tuple[Field, ...] = ()
    first_page: int
    last_page: int
    characters: int
    """Of the document's text in this part."""
    language: str = ""
    """As in `Analysis`."""


class Scope(StrEnum):
    """How much of a model server does not work, as far as one call can tell."""

    SERVER = "server"
    """All of it: it is away, busy or closed to us. That says nothing about the model or the document."""
    MODEL = "model"
    """This model, for whatever document: it cannot be loaded."""
    CALL = "call"
    """This call: the model may be broken, or the document may be what breaks it."""


class Failure(Value):
    """Why a unit ended without a result."""

    kind: str
    """What to do about it.

    `file`: the file is at fault, final. `limit`: reading it ran into a limit of time or memory, and would
    again: final. `error`, `timeout`, `died`: counts as an attempt. `lost` (its payload vanished),
    `cancelled`: issued again without counting. `unavailable`: the model server does not work. `no model`:
    the server lacks the unit's model. `reply`: the model gave no usable reply, final for it.
    """
    message: str
    """For the user: what happened, in words."""
    remedy: str = ""
    """For the user: what to do about it."""
    scope: Scope = Scope.CALL
    """Of `unavailable`: how much does not work."""
    retry_seconds: float = 0.0
    """Of `unavailable`: when the server wants to be asked again; 0 if it does not say."""
