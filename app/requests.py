"""What the terminal UI asks of the clerk, and what the clerk answers: one JSON object a line.

Both ends are the same version on the same machine, so the form is that of these dataclasses. Paths are
`str` as `os.fsdecode` gives them; JSON's ASCII form carries bytes that are not UTF-8 as lone surrogates.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, get_args

from tasks.examples import Change
from tasks.settings import Settings


@dataclass(frozen=True, slots=True)
class StartServices:
    """Start Redis and the local workers if they are not running and were not stopped since."""

    asked_at: float = field(default_factory=time.time, compare=False)
    """Seconds since the epoch. The clerk may come to it late: after its UI has gone and `down` was run."""


@dataclass(frozen=True, slots=True)
class AddFiles:
    """Take in files, and folders with everything below them."""

    paths: tuple[str, ...]
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class StopAdding:
    """Take in no more files of the `AddFiles` requests made so far. What was taken stays."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop reading documents."""

    documents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Retry:
    """Read documents again."""

    documents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Remove:
    """Forget documents; the originals stay where they are."""

    documents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SetUrgent:
    """Read documents before all that are not urgent, or no longer so."""

    documents: tuple[str, ...]
    urgent: bool = True


@dataclass(frozen=True, slots=True)
class Correct:
    """A person says what is right. `field` is `category`, or a field of the document's category."""

    document: str
    field: str
    value: str


@dataclass(frozen=True, slots=True)
class CorrectSimilar:
    """A person agrees to what their correction would change in similar documents."""

    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Accept:
    """Documents are right as they are, and nothing is open any more."""

    documents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Export:
    """Write documents to a file; its ending (.csv, .jsonl, .md) says in which form."""

    path: str
    documents: tuple[str, ...] = ()
    """Empty for all."""
    replace: bool = False
    """Whether a file of that name may be replaced."""


@dataclass(frozen=True, slots=True)
class AskQuestion:
    """Have a question answered from documents. The answer comes on a Redis stream, by `question_id`."""

    question_id: str
    question: str
    documents: tuple[str, ...] = ()
    """Empty for all."""


@dataclass(frozen=True, slots=True)
class WatchFolder:
    """Take in what is put into a folder, from now on."""

    path: str
    move_taken: bool = False
    only_new: bool = False


@dataclass(frozen=True, slots=True)
class UnwatchFolder:
    """Watch a folder no longer."""

    path: str


@dataclass(frozen=True, slots=True)
class MakePlan:
    """Propose a tidy tree below a folder. Nothing is changed."""

    target: str
    move: bool = False


@dataclass(frozen=True, slots=True)
class ApplyPlan:
    """Do what a plan says, or what is left of it."""

    plan: int


@dataclass(frozen=True, slots=True)
class UndoPlan:
    """Bring a plan's files back to where they were."""

    plan: int


@dataclass(frozen=True, slots=True)
class MakeQueryVector:
    """Have what is looked for made into a vector, which a worker puts under a key in Redis."""

    text: str
    reply_key: str
    seconds: float
    """After so long nobody waits for it."""


Request = (
    StartServices
    | AddFiles
    | StopAdding
    | Cancel
    | Retry
    | Remove
    | SetUrgent
    | Correct
    | CorrectSimilar
    | Accept
    | Export
    | AskQuestion
    | WatchFolder
    | UnwatchFolder
    | MakePlan
    | ApplyPlan
    | UndoPlan
    | MakeQueryVector
)
_REQUESTS: dict[str, type[Request]] = {kind.__name__: kind for kind in get_args(Request)}


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that was not done, with the reason in words. Both are untrusted text."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Note:
    """How far a request has come."""

    number: int
    done: int


@dataclass(frozen=True, slots=True)
class Reply:
    """A request has been carried out, as far as it could be."""

    number: int
    ok: bool
    message: str
    """One sentence for the user: what was done, or why nothing was."""
    remedy: str = ""
    documents: tuple[str, ...] = ()
    """Ids of the documents that it was about."""
    problems: tuple[Problem, ...] = ()
    """What was not done. A request with problems may still be `ok`: the rest was done."""
    changes: tuple[Change, ...] = ()
    """Of a correction: what it would change in documents that look the same."""


def clerk_log(settings: Settings) -> Path:
    """What the clerk says beside its answers: warnings, and errors that nobody foresaw."""
    return settings.log_dir / "clerk.log"


def web_log(settings: Settings) -> Path:
    """What the terminal UI says on standard error when it runs in a browser, which has none."""
    return settings.log_dir / "web.log"


def request_line(number: int, request: Request) -> str:
    """A request as a line; `number` comes back with its notes and its reply."""
    return json.dumps([number, type(request).__name__, asdict(request)]) + "\n"


def parse_request(line: str) -> tuple[int, Request]:
    """Read a line that `request_line` wrote."""
    number, name, values = json.loads(line)
    return int(number), _REQUESTS[name](**_tuples(values))


def answer_line(answer: Note | Reply) -> str:
    """A note or a reply as a line."""
    return json.dumps([type(answer).__name__, asdict(answer)]) + "\n"


def parse_answer(line: str) -> Note | Reply:
    """Read a line that `answer_line` wrote."""
    name, values = json.loads(line)
    if name == Note.__name__:
        return Note(**values)
    return Reply(**_tuples(values))


_ITEMS: dict[str, Callable[..., object]] = {"problems": Problem, "changes": Change}


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    """Values as the dataclasses have them: JSON knows neither tuples nor what is in them."""
    return {
        name: tuple(_ITEMS[name](**each) if name in _ITEMS else each for each in value)
        if isinstance(value, list)
        else value
        for name, value in values.items()
    }
