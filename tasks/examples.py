"""What a person corrected in one document, as an example for others that look the same."""

from dataclasses import dataclass

from pydantic import Field

from tasks.documents import Value

MAX_EXAMPLES = 3
MAX_FIELDS = 8
MAX_WORDS = 80
"""Characters of each text in an example: it has to fit into every prompt."""


class ExampleField(Value):
    """A value that a person said, and how its document says it. All texts are untrusted."""

    name: str
    value: str
    """Normalised; empty if the document does not say it."""
    wrong: str = ""
    """What an engine had read."""
    quote: str = Field(default="", max_length=MAX_WORDS)
    """As the document writes it; empty where it does not stand on a page."""
    label: str = Field(default="", max_length=60)
    """The words before it in its line, or else the line above; ` … ` stands for numbers in between."""


class Example(Value):
    """A document of which a person corrected something."""

    document: str
    """Its id."""
    similarity: float
    """How much the document that is read looks like it, 0 to 1."""
    category: str
    """What kind of document it is."""
    wrong_category: str = ""
    """What an engine had said it was; empty where it was right."""
    fields: tuple[ExampleField, ...] = Field(default=(), max_length=MAX_FIELDS)


@dataclass(frozen=True, slots=True)
class Change:
    """What an example would change in another document. Names and values are untrusted."""

    document: str
    """Its id."""
    name: str
    """That of its file."""
    field: str
    """Of the document's category, or `category`."""
    old: str
    new: str
    """Normalised."""
