"""Page images beside the text of a document: which a part is shown, and what they cost of a context."""

import hashlib
from collections.abc import Sequence

from pydantic import Field

from tasks.documents import DocumentText, Value
from tasks.engines.llm.base import ImageNote

IMAGE_TOKENS = 2400
"""Room for one page image of at most 1600 by 1132 pixels, on the safe side.

Qwen2.5-VL and Mistral Small 3.1 make a token of each 28 by 28 pixels (58 x 41 = 2,378 for an image of that
size), Qwen3-VL of each 32 by 32 (1,800); Gemma 3 takes 256 for any image. A server that counts more says so
with an overflow, and is then asked without images.
"""
_SHARE = 0.7
"""At most so much of the room for a document goes to images: its text must still fit beside them."""


class PageImage(Value):
    """A page as it looks, upright."""

    page: int
    data: bytes = Field(repr=False)
    """A JPEG file."""

    @property
    def note(self) -> ImageNote:
        """What may be kept of it."""
        return ImageNote(page=self.page, sha256=hashlib.sha256(self.data).hexdigest(), size=len(self.data))


def how_many(room: int, wanted: int) -> int:
    """How many of the wanted images fit into the room, in tokens, that a document has."""
    return min(wanted, int(room * _SHARE) // IMAGE_TOKENS)


def of_pages(images: Sequence[PageImage], part: DocumentText) -> tuple[PageImage, ...]:
    """The images that show a page of this part."""
    numbers = {page.number for page in part.pages}
    return tuple(image for image in images if image.page in numbers)
