"""Log lines for a support file: what the program itself says stays, what came in from outside does not."""

import re
from collections.abc import Iterator
from typing import Any

from app.logs.entries import OWN, PRINTED, REDIS, Entry, entries
from app.logs.files import files_of, read_lines
from app.support.redaction import Redactor
from tasks.documents import Stage, State
from tasks.logs.words import ROAD
from tasks.plain_text import visible_json
from tasks.settings import Settings

MAX_BYTES = 2 * 1024 * 1024
"""Of each program's log, counted from its end."""

_ID = re.compile(r"[0-9a-f]{4,64}")
_ISSUE = re.compile(r"[0-9a-f]{4,64}\.\d+\.\d+(?:\.\w+)?")
_CLASS = re.compile(r"[A-Z]\w{1,60}")
_PLACE = re.compile(r"[\w./+-]{1,200}:\d+ [\w.<>]{1,100}")
_WORDS = frozenset(
    (
        *map(str, Stage),
        *map(str, State),
        *("file", "error", "timeout", "died", "lost", "cancelled", "unavailable", "no model", "done"),
        *("home", "cpu", "gpu", "webhook", "desktop", "paddleocr", "offline"),
    )
)
_CRASH = re.compile(  # the forms of faulthandler and of the interpreter
    r"Fatal Python error: [A-Za-z ]+"
    r"|(?:Current thread|Thread) 0x[0-9a-f]+ (?:\[\w*\] )?\(most recent call first\):"
    r"|Traceback \(most recent call last\):|Segmentation fault(?: \(core dumped\))?"
)
_FRAME = re.compile(r'  File "(?:.*/)?([^/"]+)", line (\d+) in ([\w.<>]+)')
_QUERY = re.compile(r"argv\[|\bqb=|query buffer|0x[0-9a-f]+ ", re.IGNORECASE)
"""In Redis' report of a crash of its own, these lines repeat what it was sent."""


def log_lines(settings: Settings, program: str, redactor: Redactor) -> Iterator[str]:
    """The last lines of a program's log, for a support file."""
    omitted = 0
    for entry in _last_entries(settings, program):
        fields = safe_fields(entry, redactor)
        if fields is None:
            omitted += 1
            continue
        if omitted:
            yield visible_json({"left_out": omitted})
            omitted = 0
        yield visible_json(fields)
    if omitted:
        yield visible_json({"left_out": omitted})


def _last_entries(settings: Settings, program: str) -> Iterator[Entry]:
    """Of the newest files, so many bytes. The first line may be cut; as half a line it is left out."""
    room = MAX_BYTES
    chosen = []
    for path in reversed(files_of(settings, program)):
        try:
            size = path.stat().st_size
        except OSError:
            continue
        start = max(0, size - room)
        chosen.append((path, start))
        room -= size - start
        if room <= 0:
            break
    for path, start in reversed(chosen):
        lines = read_lines(path, start)
        if start:
            next(lines, None)
        yield from entries(program, lines)


def safe_fields(entry: Entry, redactor: Redactor) -> dict[str, Any] | None:
    """A line's fields as they may be passed on; None where nothing of it may."""
    if entry.whose == PRINTED:
        return _printed(entry)
    fields: dict[str, Any] = {"time": entry.time, "level": entry.level}
    if entry.whose != OWN:
        said = str(entry.fields["message"])
        if entry.whose == REDIS and _QUERY.search(said):
            return None
        return {**fields, "message": redactor.clean(said)}
    logger = str(entry.fields.get("logger", ""))
    fields["logger"] = logger if re.fullmatch(r"[\w.]{1,80}", logger) else "?"
    fields["message"] = _message(entry, redactor)
    if worker := entry.fields.get("worker"):
        fields["worker"] = redactor.clean(str(worker))
    fields |= _ids(entry, redactor)
    error = str(entry.fields.get("error", ""))
    if _CLASS.fullmatch(error):
        fields["error"] = error
    for name, form in (("cause", _CLASS), ("traceback", _PLACE)):
        listed = entry.fields.get(name)
        kept = [one for one in map(str, listed) if form.fullmatch(one)] if isinstance(listed, list) else []
        if kept:
            fields[name] = kept
    return fields


def _ids(entry: Entry, redactor: Redactor) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name in ("home", "document"):
        value = str(entry.fields.get(name, ""))
        if _ID.fullmatch(value):
            kept[name] = value
    for name in ("pid", "unit", "attempt"):
        number = entry.fields.get(name)
        if isinstance(number, int):
            kept[name] = number
    stage = str(entry.fields.get("stage", ""))
    if stage in _WORDS:
        kept["stage"] = stage
    if file := entry.fields.get("file"):
        kept["file"] = redactor.placeholder("file", str(file))
    return kept


def _message(entry: Entry, redactor: Redactor) -> str:
    """The constant text, with placeholders for the arguments that are not of a known form."""
    text = str(entry.fields["message"])
    logger = str(entry.fields.get("logger", ""))
    is_road = logger.partition(".")[0] in ROAD or logger == "py.warnings"
    parts = []
    end = 0
    for span in _spans(entry.fields.get("spans"), len(text)):
        start, stop, kind = span
        parts.append(redactor.clean(text[end:start]))
        parts.append(_argument(text[start:stop], kind, entry, redactor, is_road=is_road))
        end = stop
    parts.append(redactor.clean(text[end:]))
    return "".join(parts)


def _spans(listed: object, length: int) -> list[tuple[int, int, str]]:
    """Where arguments stand; if that cannot be read, the whole message is one."""
    found: list[tuple[int, int, str]] = []
    end = 0
    for one in listed if isinstance(listed, list) else []:
        match one:
            case [int(start), int(stop), str(kind)] if end <= start <= stop <= length:
                found.append((start, stop, kind))
                end = stop
            case _:
                return [(0, length, "text")]
    return found


def _argument(text: str, kind: str, entry: Entry, redactor: Redactor, *, is_road: bool) -> str:
    if kind == "error":
        name = text.partition(":")[0].partition(" ")[0]
        return name if _CLASS.fullmatch(name) and name.endswith(("Error", "Exception", "Lost")) else "<error>"
    if kind == "file":
        return redactor.placeholder("file", text)
    is_own_id = _ID.fullmatch(text) and text in {entry.fields.get("document"), entry.fields.get("home")}
    if is_own_id or text in _WORDS or _ISSUE.fullmatch(text):
        return text
    if is_road and "\n" not in text and not re.search(r"[\"'{]", text):
        return redactor.clean(text)
    return redactor.placeholder("text", text)


def _printed(entry: Entry) -> dict[str, Any] | None:
    """Of lines that native code printed, only those of a crash's report are of a known form."""
    said = str(entry.fields["message"])
    fields = {"time": entry.time, "level": entry.level}
    if _CRASH.fullmatch(said):
        return {**fields, "message": said}
    if found := _FRAME.fullmatch(said):
        return {**fields, "message": f"  File {found[1]}, line {found[2]} in {found[3]}"}
    return None
