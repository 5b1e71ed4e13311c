"""Images in a chat: checked, noted, and put into the prompt as text that differs with every image."""

import hashlib
from base64 import b64decode
from typing import Any

from tests.ollama.answers import RefusedError

SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG")


class Seen:
    """The images of one request.

    Ollama puts `[img-N]` before the text of the message that has them, and the runner puts the image's
    embeddings there. The tiny model has none, so its prompt names the image's hash instead: a prompt with
    another image has another beginning, and costs tokens as with a real one. All hashes are in one line: a
    word that stands in two is what the scripted reader takes for the marker of a document.
    """

    def __init__(self, image_tokens: int) -> None:
        self.images: list[str] = []
        self._padding = " the" * image_tokens

    def message(self, message: dict[str, Any]) -> dict[str, Any]:
        """The message with marks in place of its images."""
        marks = [self._mark(image) for image in message.get("images") or ()]
        rest = {name: value for name, value in message.items() if name != "images"}
        return {**rest, "content": f"{''.join(marks)}\n{message.get('content', '')}"} if marks else message

    def _mark(self, image: object) -> str:
        try:
            data = b64decode(str(image), validate=True)
        except ValueError as error:
            raise RefusedError(400, "illegal base64 data at input byte 0") from error
        if not data.startswith(SIGNATURES):
            # In the words of Go's image package, passed on by Ollama's runner; not recorded.
            raise RefusedError(
                500, "Failed to create new sequence: failed to process inputs: image: unknown format"
            )
        self.images.append(hashlib.sha256(data).hexdigest())
        return f"[img-{len(self.images) - 1} {self.images[-1]}{self._padding}]"
