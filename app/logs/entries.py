"""Lines of log files as entries: our JSON, Redis' and the supervisor's own, and whatever else was printed."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tasks.logs.lines import parse, readable

LEVELS = ("debug", "info", "warning", "error", "critical")
OWN, REDIS, SUPERVISOR, PRINTED = "own", "redis", "supervisor", "printed"
"""Whose line it is. `printed`: by native code, or before the log was configured."""

_REDIS = re.compile(r"\d+:[A-Z] (\d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d\.\d{3}) ([.\-*#]) (.*)")
_REDIS_LEVELS = {".": "debug", "-": "debug", "*": "info", "#": "warning"}
_SUPERVISOR = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),(\d{3}) ([A-Z]+) (.*)")
_SUPERVISOR_LEVELS = {"CRIT": "critical", "ERRO": "error", "WARN": "warning", "INFO": "info"}
_CRASH = re.compile(r"Fatal Python error|Segmentation fault|Traceback \(most recent call last\)")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
"""Redis writes them in English whatever the locale is."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a log."""

    program: str
    """The log's name without its ending."""
    time: str
    """ISO 8601 in UTC, so that text order is the order of time; of a printed line, the one before's."""
    level: str
    whose: str
    fields: dict[str, Any] = field(default_factory=dict)
    """Those of a line of JSON, or `time`, `level`, `message` and `program`."""

    @property
    def words(self) -> str:
        """For a person."""
        return readable({**self.fields, "program": self.program})


@dataclass(frozen=True)
class Choice:
    """Which entries are wanted."""

    document: str = ""
    """An id, or its beginning."""
    unit: int | None = None
    level: str = "debug"

    def has(self, entry: Entry) -> bool:
        """Whether an entry is among them."""
        if LEVELS.index(entry.level) < LEVELS.index(self.level):
            return False
        if self.unit is not None and entry.fields.get("unit") != self.unit:
            return False
        if not self.document:
            return True
        about = str(entry.fields.get("document", ""))
        return about.startswith(self.document) or self.document in str(entry.fields.get("message", ""))


def entries(program: str, lines: Iterable[str], since: str = "") -> Iterator[Entry]:
    """The entries of a log's lines. `since` is the time of a printed line that comes first."""
    for line in lines:
        if line.strip():
            entry = _entry(program, line, since)
            since = max(since, entry.time)
            yield entry


def _entry(program: str, line: str, since: str) -> Entry:
    if fields := parse(line):
        level = str(fields.get("level"))
        time = str(fields["time"])
        return Entry(program, time, level if level in LEVELS else "info", OWN, fields)
    if found := _REDIS.fullmatch(line):
        level, said = _REDIS_LEVELS[found[2]], found[3]
        return _plain(program, _redis_time(found[1]) or since, level, REDIS, said)
    if found := _SUPERVISOR.fullmatch(line):
        time = _utc(datetime.fromisoformat(found[1]), found[2])
        return _plain(program, time, _SUPERVISOR_LEVELS.get(found[3], "debug"), SUPERVISOR, found[4])
    return _plain(program, since, "error" if _CRASH.search(line) else "info", PRINTED, line)


def _plain(program: str, time: str, level: str, whose: str, message: str) -> Entry:
    return Entry(program, time, level, whose, {"time": time, "level": level, "message": message})


def _redis_time(text: str) -> str:
    day, month, year, clock = text.split()
    if month not in _MONTHS:
        return ""
    clock, _, milliseconds = clock.partition(".")
    try:
        moment = datetime.fromisoformat(f"{year}-{_MONTHS.index(month) + 1:02}-{int(day):02} {clock}")
    except ValueError:
        return ""
    return _utc(moment, milliseconds)


def _utc(local: datetime, milliseconds: str) -> str:
    """Redis and the supervisor write local time."""
    try:
        return f"{local.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{milliseconds}Z"
    except (OverflowError, ValueError):
        return ""
