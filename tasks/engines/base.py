"""What an engine is: the interface behind which models are exchangeable."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from tasks.documents import Analysis, Classification, DocumentText, Page
from tasks.examples import Example

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tasks.recipes import Category, Recipe


class ReadingEngine(Protocol):
    """Classifies and analyses the text of a document."""

    name: str
    """Shown to the user beside every result."""
    version: str
    """Changes whenever the same input may give another result; part of the key of stored results."""
    provisional: bool
    """True if a result should be replaced as soon as a better engine is there."""

    def classify(
        self, document: DocumentText, recipe: "Recipe", examples: Sequence[Example] = ()
    ) -> Classification:
        """Choose one of the recipe's categories. `examples`: what people corrected in similar documents."""
        ...

    def analyse(
        self, document: DocumentText, category: "Category", examples: Sequence[Example] = ()
    ) -> Analysis:
        """Title, summary and every field of the category; a value not found has status `missing`."""
        ...


class OcrEngine(Protocol):
    """Reads the image of a page."""

    name: str
    version: str

    @property
    def device(self) -> str:
        """`cpu`, or the GPU as PaddleOCR names it, such as `gpu:0`."""
        ...

    @property
    def is_loaded(self) -> bool:
        """Whether its models are in memory."""
        ...

    def release(self) -> None:
        """Give the memory of its models back; the next page loads them again."""
        ...

    def read(self, image: "NDArray[np.uint8]", number: int) -> Page:
        """Read one page image (height, width, 3; BGR) and return it as page `number`.

        The text is in reading order, lines joined by newlines, paragraphs or columns by blank lines.

        Raises:
            MemoryError: the page does not fit; free memory or make the image smaller.
        """
        ...
