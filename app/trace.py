"""The calls to language models about a document, as lines of plain text."""

from collections.abc import Iterator

from app.looks import look_line
from app.plain_text import visible, visible_lines
from tasks.engines.llm.base import CallTrace
from tasks.ledger import DocumentRow, Ledger


def trace(ledger: Ledger, document: DocumentRow) -> Iterator[str]:
    """Every call to a language model about a document: what was asked, what came back, what it cost."""
    if image := look_line(ledger, document):
        yield f"image: {visible(image)}"
        yield ""
    calls = ledger.calls(document.id)
    if not calls:
        yield "No language model was asked about this document."
    for number, (stage, attempt, call) in enumerate(calls, start=1):
        yield f"call {number}: {call.purpose} ({stage.value}, attempt {attempt}) by {visible(call.model)}"
        yield from call_lines(call)


def call_lines(call: CallTrace) -> Iterator[str]:
    """What a call to a language model was, without its heading."""
    cached = "" if call.cached_tokens is None else f", {call.cached_tokens} of them cached"
    yield (
        f"  {call.prompt_tokens} tokens read{cached}, {call.reply_tokens} written, {call.seconds:.1f} s,"
        f" {call.load_seconds:.1f} s of them loading; ended: {call.done_reason or 'no reply'}"
    )
    if call.images:
        pages = ", ".join(str(image.page) for image in call.images)
        yield f"  with the images of pages {pages}" if "," in pages else f"  with the image of page {pages}"
    yield f"  prompt {call.prompt_sha256[:16]}:"
    yield from (f"    {line}" for line in visible_lines(call.prompt).split("\n"))
    for title, text in (("thinking", call.thinking), ("reply", call.reply), ("error", call.error)):
        if text:
            yield f"  {title}:"
            yield from (f"    {line}" for line in visible_lines(text).split("\n"))
    yield ""
