"""A record as a line: of JSON for the files, of words for a person."""

import json
import logging
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from traceback import walk_tb
from types import TracebackType
from typing import Any

from pythonjsonlogger.json import JsonFormatter

from tasks.logs.about import FIELDS, current
from tasks.logs.words import described, words_of
from tasks.plain_text import visible, visible_json

MAX_LINE = 4096
"""Bytes of a line. A pipe takes so much at once (PIPE_BUF), so lines of several processes never mix."""
_FRAMES = 12
_CAUSES = 5
_ROOT = Path(__file__).resolve().parent.parent.parent


class JsonLines(JsonFormatter):
    """Lines of JSON. Only the fields named here are written, whatever a library attaches to its records."""

    def __init__(self, program: str, worker: str) -> None:
        super().__init__(json_serializer=_as_json)
        self.program = program
        self.worker = worker

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record, without its end."""
        fields = fields_of(record, self.program, self.worker)
        line = str(self.serialize_log_record(fields))
        for leave_out in ("traceback", "spans", "cause"):
            if len(line.encode()) < MAX_LINE:
                break
            fields.pop(leave_out, None)
            if leave_out == "spans":  # then the whole message counts as somebody else's
                fields["spans"] = [[0, len(fields["message"]), "text"]]
            line = str(self.serialize_log_record(fields))
        while len(line.encode()) >= MAX_LINE:  # other alphabets take up to twelve bytes a character
            fields["message"] = fields["message"][: len(fields["message"]) // 2]
            fields["spans"] = [[0, len(fields["message"]), "text"]]
            fields.pop("file", None)
            line = str(self.serialize_log_record(fields))
        return line


class TextLines(logging.Formatter):
    """Lines for a person at a terminal."""

    def __init__(self, program: str, worker: str) -> None:
        super().__init__()
        self.program = program
        self.worker = worker

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record, and a line for each place of a traceback."""
        return readable(fields_of(record, self.program, self.worker))


class OnlyWords(logging.Formatter):
    """What a record says, for the screen of somebody who has just typed a command."""

    def format(self, record: logging.LogRecord) -> str:
        """The words, without a time."""
        return visible(message(fields_of(record, "", "")))


def _as_json(fields: Any, **_: Any) -> str:
    return visible_json(fields)


def fields_of(record: logging.LogRecord, program: str, worker: str) -> dict[str, Any]:
    """What is known about a record, in the order in which it is written."""
    said = words_of(record)
    moment = datetime.fromtimestamp(record.created, UTC)
    fields: dict[str, Any] = {
        "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": said.text,
        "program": program,
        "worker": worker,
        "pid": os.getpid(),
    }
    ids = current()
    for name in FIELDS:
        value = getattr(record, name, None)  # by `extra`, which is nearer than what is around
        if not isinstance(value, str | int):
            value = ids.get(name)
        if value not in (None, ""):
            fields[name] = value
    error = record.exc_info[1] if record.exc_info else None
    if error is not None:
        fields |= error_fields(error)
    if said.spans:
        fields["spans"] = [list(span) for span in said.spans]
    return {name: value for name, value in fields.items() if value != ""}


def error_fields(error: BaseException) -> dict[str, Any]:
    """An exception: its class, its words if they may be told, what it came from, and where it arose."""
    fields: dict[str, Any] = {"error": type(error).__name__}
    if (said := described(error)) != fields["error"]:
        fields["error_words"] = said[:500]
    causes: list[str] = []
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    while cause is not None and len(causes) < _CAUSES:
        causes.append(type(cause).__name__)
        cause = cause.__cause__ or cause.__context__
    if causes:
        fields["cause"] = causes
    if places := places_of(error.__traceback__):
        fields["traceback"] = places
    return fields


def places_of(trace: TracebackType | None) -> list[str]:
    """Where an exception arose, outermost call first; without the folders that the program lies in."""
    frames = [(frame.f_code, line) for frame, line in walk_tb(trace)][-_FRAMES:]
    return [f"{_short(code.co_filename)}:{line} {code.co_name}" for code, line in frames]


def _short(file: str) -> str:
    if "site-packages/" in file:
        return file.rpartition("site-packages/")[2]
    try:
        return str(Path(file).relative_to(_ROOT))
    except ValueError:
        return Path(file).name


def readable(fields: Mapping[str, Any], *, with_program: bool = True) -> str:
    """A record's fields as words, with nothing in them that could act on a terminal.

    A line for the message, one more for each place of a traceback. The time is local, to the millisecond.
    """
    head = [_local(str(fields.get("time", "")))]
    if level := str(fields.get("level", "")):
        head.append(f"{level.upper():7}")
    if with_program and (program := str(fields.get("program", ""))):
        head.append(f"{visible(program):6}")
    ids = _ids(fields)
    lines = [f"{'  '.join(head)}  {visible(message(fields))}{f'  [{ids}]' if ids else ''}"]
    lines += [f"    {visible(str(place))}" for place in _list(fields.get("traceback"))]
    return "\n".join(lines)


def message(fields: Mapping[str, Any]) -> str:
    """What a record says, with its exception."""
    said = str(fields.get("message", ""))
    if error := str(fields.get("error", "")):
        about = str(fields.get("error_words", "")) or error
        causes = "".join(f", from {cause}" for cause in _list(fields.get("cause")))
        said = f"{said}: {about}{causes}"
    return said


def _ids(fields: Mapping[str, Any]) -> str:
    shown = [f"{name} {visible(str(fields[name]))}" for name in FIELDS if name != "home" and name in fields]
    return ", ".join(shown)


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _local(moment: str) -> str:
    try:
        return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    except (ValueError, OverflowError):
        return "-" * 23


def parse(line: str) -> dict[str, Any] | None:
    """The fields of a line of JSON that `JsonLines` wrote; None for any other line."""
    if not line.startswith("{"):
        return None
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) and "message" in fields and "time" in fields else None
