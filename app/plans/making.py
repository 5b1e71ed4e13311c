"""Making a plan: which file would get which name. Nothing is changed by it."""

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from app.plans.journal import Action, Journal, Plan, Step, StepState
from app.plans.names import Template, key_of, numbered, values_of
from tasks.documents import State
from tasks.errors import ConfigError
from tasks.ledger import DocumentRow, Ledger
from tasks.settings import Settings

READ = (State.DONE,)
"""The states whose documents are planned where nothing else is said."""
_CHUNK = 1 << 20


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
    target = target.expanduser().resolve()
    _check_target(target, settings)
    documents = ledger.documents(states=states, ids=ids)
    return journal.add(target, action, template, _steps(documents, names, target))


def _check_target(target: Path, settings: Settings) -> None:
    data = settings.data_dir.resolve()
    if target.exists() and not target.is_dir():
        raise ConfigError(f"{target} is a file.", "Name a folder; one that is not there is made.")
    if target.is_relative_to(data) or data.is_relative_to(target):
        raise ConfigError(
            f"{target} and Shoebox's own data in {data} lie in one another.", "Name another folder."
        )


def _steps(documents: Iterable[DocumentRow], names: Template, target: Path) -> Iterator[Step]:
    taken = _Taken(target)
    for document in documents:
        source = Path(os.fsdecode(document.path))
        wanted = names.path(values_of(document))
        problem = _problem_of(document, source)
        if not problem and _lies_there(document, source, target, wanted, taken):
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
    if info.st_mtime_ns != document.mtime_ns and not _has_content(source, document.sha256):
        return "the original has changed since it was read"
    return ""


def _lies_there(
    document: DocumentRow, source: Path, target: Path, wanted: PurePosixPath, taken: "_Taken"
) -> bool:
    """Whether a file with the content has the wanted name, or that name with a number."""
    for path in numbered(wanted):
        place = target / path
        if not taken.is_taken(path):
            return False
        if place == source:
            return True
        if place.is_symlink() or not place.is_file() or place.stat().st_size != document.size:
            continue
        if _has_content(place, document.sha256):
            return True
    raise AssertionError("numbers do not end")


def _has_content(path: Path, sha256: str) -> bool:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError:
        return False
    return digest.hexdigest() == sha256


class _Taken:
    """Names below the target that are taken: by what is there, and by steps of the plan."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._planned: set[str] = set()
        self._listed: dict[str, set[str]] = {}

    def is_taken(self, path: PurePosixPath) -> bool:
        """Whether a file system may already have something of this name."""
        key = key_of(path)
        return key in self._planned or key in self._existing(path.parent)

    def take(self, wanted: PurePosixPath) -> PurePosixPath:
        """The wanted name, or the first of its numbered ones that is free; it is taken then."""
        free = next(path for path in numbered(wanted) if not self.is_taken(path))
        self._planned.add(key_of(free))
        return free

    def _existing(self, folder: PurePosixPath) -> set[str]:
        key = key_of(folder)
        if key not in self._listed:
            try:
                found = [folder / path.name for path in (self._target / folder).iterdir()]
            except OSError:
                found = []
            self._listed[key] = {key_of(path) for path in found}
        return self._listed[key]
