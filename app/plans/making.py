"""Making a plan: which file would get which name. Nothing is changed by it."""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from app.plans.journal import Action, Journal, Plan, Step, StepState
from app.plans.names import Template, key_of, numbered, values_of, without_number
from tasks.content import hash_of
from tasks.documents import State
from tasks.errors import ConfigError
from tasks.ledger import DocumentRow, Ledger
from tasks.settings import Settings

READ = (State.DONE,)
"""The states whose documents are planned where nothing else is said."""


def make_plan(
    ledger: Ledger,
    journal: Journal,
    settings: Settings,
    target: Path,
    action: Action,
    template: str,
    states: Iterable[State] = READ,
    ids: Iterable[str] = (),
) -> Plan:
    """Propose a name below `target` for each document, and enter the plan in the journal.

    A document whose original is gone, has changed, or lies at its place already is a step that is left out.

    Raises:
        ConfigError: the template is wrong, or the target is no folder or Shoebox's own.
    """
    names = Template.parse(template)
    target = _checked_target(target, settings)
    documents = ledger.documents(states=states, ids=ids)
    return journal.add(target, action, template, _steps(documents, names, target))


def _checked_target(given: Path, settings: Settings) -> Path:
    data = settings.data_dir.resolve()
    try:
        target = given.expanduser().resolve()
        is_file = target.exists() and not target.is_dir()
    except (OSError, RuntimeError, ValueError) as error:  # too long, a loop of links, no such user, a NUL
        raise ConfigError(f"{given} cannot be reached: {error}.", "Name another folder.") from error
    if is_file:
        raise ConfigError(f"{target} is a file.", "Name a folder; one that is not there is made.")
    if target.is_relative_to(data) or data.is_relative_to(target):
        raise ConfigError(
            f"{target} and Shoebox's own data in {data} lie in one another.", "Name another folder."
        )
    return target


def _steps(documents: Iterable[DocumentRow], names: Template, target: Path) -> Iterator[Step]:
    taken = _Taken(target)
    for document in documents:
        source = Path(os.fsdecode(document.path))
        wanted = names.path(values_of(document))
        problem = _problem_of(document, source)
        if not problem and taken.holds(document, source, wanted):
            problem = "lies there already"
        if problem:
            yield Step(0, 0, document.id, source, wanted, document.sha256, StepState.LEFT_OUT, problem)
        else:
            yield Step(0, 0, document.id, source, taken.take(wanted), document.sha256)


def _problem_of(document: DocumentRow, source: Path) -> str:
    """Why the original cannot be planned with; empty if it can."""
    try:
        info = source.lstat()
    except OSError as error:
        return f"the original cannot be found: {error.strerror}"
    if not stat.S_ISREG(info.st_mode):
        return "the original is no regular file"
    if info.st_size != document.size:
        return "the original has changed since it was read"
    if info.st_mtime_ns != document.mtime_ns and _sha256(source) != document.sha256:
        return "the original has changed since it was read"
    return ""


def _sha256(path: Path) -> str:
    """Of a file's content; empty if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hash_of(file.fileno())
    except OSError:
        return ""


def _is_file(path: Path, size: int) -> bool:
    try:
        info = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(info.st_mode) and info.st_size == size


class _Taken:
    """Names below the target that are taken: by what is there, and by steps of the plan."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._planned: set[str] = set()
        self._highest: dict[str, int] = {}
        """The number that was given last, by the key of the wanted name: thousands may be called alike."""
        self._listed: dict[str, _Listing] = {}
        self._contents: dict[tuple[str, int], set[str]] = {}

    def holds(self, document: DocumentRow, source: Path, wanted: PurePosixPath) -> bool:
        """Whether a file with the content has the wanted name, or that name with a number."""
        key = key_of(without_number(wanted))
        places = self._listing(wanted.parent).alike.get(key, set())
        if source in places:
            return True
        if (key, document.size) not in self._contents:
            self._contents[key, document.size] = {
                _sha256(place) for place in places if _is_file(place, document.size)
            }
        return document.sha256 in self._contents[key, document.size]

    def take(self, wanted: PurePosixPath) -> PurePosixPath:
        """The wanted name, or the first of its numbered ones that is free; it is taken then."""
        first = self._highest.get(key_of(wanted), 0) + 1
        number, free = next(
            (number, path) for number, path in numbered(wanted, first) if not self._is_taken(path)
        )
        self._highest[key_of(wanted)] = number
        self._planned.add(key_of(free))
        return free

    def _is_taken(self, path: PurePosixPath) -> bool:
        key = key_of(path)
        return key in self._planned or key in self._listing(path.parent).keys

    def _listing(self, folder: PurePosixPath) -> "_Listing":
        key = key_of(folder)
        if key not in self._listed:
            self._listed[key] = _Listing.of(self._target, folder)
        return self._listed[key]


@dataclass(frozen=True, slots=True)
class _Listing:
    """What is in a folder."""

    keys: frozenset[str]
    alike: Mapping[str, set[Path]]
    """By the key without the number."""

    @classmethod
    def of(cls, target: Path, folder: PurePosixPath) -> "_Listing":
        """Of the folder below the target; of nothing where it cannot be read."""
        try:
            names = [path.name for path in (target / folder).iterdir()]
        except OSError:
            names = []
        alike: dict[str, set[Path]] = {}
        for name in names:
            alike.setdefault(key_of(without_number(folder / name)), set()).add(target / folder / name)
        return cls(frozenset(key_of(folder / name) for name in names), alike)
