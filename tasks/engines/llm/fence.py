"""The fence around a document in a prompt: what stands inside can neither end it nor end the message."""

import hashlib
import hmac
import re
from collections.abc import Sequence

from tasks.documents import DocumentText, PageText

_MARKER_CHARS = 16
_TITLE_CHARS = 160
# Chat templates are written with `<|im_end|>`, `</s>`, `<start_of_turn>`, `[INST]`, `[img-0]`. A server that
# is given one inside a message may take it for its own, so no text of a document has `<` or `[WORD]`. The
# stand-ins are one character each: offsets stay as they are. The search for quotes knows them.
_BRACKETED = re.compile(r"\[(?=/?[A-Za-z][\w-]{0,40}\])")
_LEFT_OUT = "--- left out ---"


def neutral(text: str) -> str:
    """The text, of the same length, without anything that a server could take for a special token."""
    return _BRACKETED.sub("［", text.replace("<", "‹"))


def document_block(
    document: DocumentText, key: bytes, *, tail: Sequence[PageText] = (), heading: str = "page"
) -> str:
    """The document in its fence. Each page begins with a line of its own, such as `--- page 3 ---`.

    `tail` is shown behind a line that says that something was left out. The fence carries a keyed hash of
    the text: nobody who wrote the document could know it, and it is the same in every call about the
    document. The file's name is not shown, because results are shared by files of the same content.
    """
    lines = [f"--- title in the file ---\n{neutral(document.title[:_TITLE_CHARS])}"] if document.title else []
    lines += [_page(page, heading) for page in document.pages]
    lines += [_LEFT_OUT, *(_page(page, heading) for page in tail)] if tail else []
    body = "\n".join(lines)
    marker = hmac.new(key, body.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:_MARKER_CHARS]
    body = body.replace(marker, "·" * _MARKER_CHARS)
    return f"<document {marker}>\n{body}\n</document {marker}>"


def _page(page: PageText, heading: str) -> str:
    return f"--- {heading} {page.number} ---\n{neutral(page.text)}"
