"""The words of a record: without secrets, without what documents say, and with what is not ours marked.

A message is a constant text with arguments put in. What an argument brought in is noted as a span, so that a
support file can leave out exactly that. Exceptions tell their own words only where those are about the
machine; the words of others, such as a validation's, may quote the document that they arose from.
"""

import logging
import re
from enum import Enum
from pathlib import PurePath
from typing import Any, NamedTuple

from tasks.errors import ShoeboxError
from tasks.logs.secrets import masked

MAX_MESSAGE = 1500
"""Characters of a message, so that a line stays below what a pipe takes at once (4,096 bytes)."""
MAX_FOREIGN = 200
"""Characters of an argument that a library gave; what is longer is likely to be a message's body."""

OURS = "shoebox"
ROAD = ("celery", "kombu")
"""Libraries whose lines at level INFO say how a worker is; of all others only warnings are kept."""

# Private characters around an argument, until its place is known; which one begins it says its kind.
_KINDS = {"text": "\ue000", "file": "\ue001", "error": "\ue002"}
_CLOSE = "\ue003"
_MARKS = re.compile("[\ue000-\ue003]")
_BEGINNING = re.compile("([\ue000-\ue002])")
# redis-py puts the command, values included, before what a pipeline's error says (client.py,
# `annotate_exception`); Redis repeats the arguments of a command that it does not know.
_COMMAND = re.compile(r"Command # \d+ \(.*\) of pipeline caused error: ", re.DOTALL)
_ARGUMENTS = re.compile(r",? with args beginning with:.*", re.DOTALL)
_ABOUT_MACHINE = (
    "redis.exceptions",
    "kombu.exceptions",
    "amqp.exceptions",
    "billiard.exceptions",
    "httpcore",
)
_MAY_QUOTE = ("DecodeError", "EncodeError", "SerializationError", "ContentDisallowed")


class Span(NamedTuple):
    """Where in a message an argument stands that may name something of the user's."""

    start: int
    end: int
    kind: str
    """`file`, `error` or `text`."""


class Words(NamedTuple):
    """A message, and what in it does not come from the program itself."""

    text: str
    spans: tuple[Span, ...] = ()


def described(error: BaseException) -> str:
    """An exception in the log: its class, and its own words where they can hold nothing of a document."""
    name = type(error).__name__
    if type(error).__name__ == "LlmError":  # its words may be those of the model's server
        return f"{name} ({getattr(error, 'kind', '')})"
    if isinstance(error, ShoeboxError):
        return str(error)
    if isinstance(error, OSError) and not isinstance(error, UnicodeError):
        return f"{name}: {error}"
    module = type(error).__module__
    if module.startswith(_ABOUT_MACHINE) and name not in _MAY_QUOTE:
        said = _ARGUMENTS.sub("", _COMMAND.sub("", str(error), count=1))
        return f"{name}: {said}"
    if module in {"sqlite3", "apsw"} and '"' not in str(error):  # in quotes: what somebody looked for
        return f"{name}: {error}"
    return name


def words_of(record: logging.LogRecord) -> Words:
    """What a record says."""
    is_ours = record.name.partition(".")[0] == OURS
    said = str(record.msg)
    if record.args:
        said = _filled(_MARKS.sub("", said), _celery_failure(record) or record.args, is_ours=is_ours)
    elif not is_ours:
        said = f"{_KINDS['text']}{_MARKS.sub('', said)[:MAX_FOREIGN]}{_CLOSE}"
    else:
        said = _MARKS.sub("", said)
    return _spans(masked(said))


def _filled(text: str, arguments: Any, *, is_ours: bool) -> str:
    try:
        if isinstance(arguments, dict):
            return text % {name: _marked(each, is_ours=is_ours) for name, each in arguments.items()}
        return text % tuple(_marked(each, is_ours=is_ours) for each in arguments)
    except (TypeError, ValueError, KeyError):  # logging must never stop the work
        return text


def _celery_failure(record: logging.LogRecord) -> dict[str, Any] | None:
    """Celery's context of a task that failed, with the exception instead of its words (app/trace.py)."""
    context = record.args
    if not record.name.startswith("celery.app.trace") or not isinstance(context, dict):
        return None
    error = record.exc_info[1] if record.exc_info else None
    kept = {name: value for name, value in context.items() if name in {"id", "name", "description"}}
    return {**kept, "exc": error or "", "return_value": "", "runtime": context.get("runtime", 0)}


class _Argument(str):
    """Shown the same by %s and %r: quotation marks would tell nothing."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _marked(value: Any, *, is_ours: bool) -> Any:
    """An argument as it is put in. Numbers and the program's own vocabulary need no mark."""
    if value is None or isinstance(value, bool | int | float | Enum):
        return value
    if isinstance(value, BaseException):
        kind, said = "error", described(value)
    elif isinstance(value, PurePath):
        kind, said = "file", str(value)
    elif isinstance(value, str):
        kind, said = "text", value
        if not is_ours and (len(said) > MAX_FOREIGN or "{" in said or "\n" in said):
            said = f"<{len(said)} characters>"
    else:  # whatever it holds
        kind, said = "text", f"<{type(value).__name__}>"
    return _Argument(f"{_KINDS[kind]}{_MARKS.sub('', said)}{_CLOSE}")


def _spans(marked: str) -> Words:
    """Take the marks out. One whose end was cut off reaches to the end."""
    first, *rest = _BEGINNING.split(marked)
    text, spans = first.replace(_CLOSE, ""), []
    kinds = {mark: kind for kind, mark in _KINDS.items()}
    for mark, part in zip(rest[::2], rest[1::2], strict=True):
        said, _, after = part.partition(_CLOSE)
        spans.append(Span(len(text), len(text) + len(said), kinds[mark]))
        text += said + after.replace(_CLOSE, "")
    if len(text) > MAX_MESSAGE:
        text = f"{text[:MAX_MESSAGE]} ..."
        spans = [Span(min(one.start, MAX_MESSAGE), min(one.end, len(text)), one.kind) for one in spans]
    return Words(text, tuple(spans))
