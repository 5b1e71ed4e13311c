"""What the clerk does for each kind of request."""

import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from app.clerk import Job
from app.clerk_asking import ask
from app.clerk_folders import tidy, watch
from app.intake import Skipped, find_files
from app.requests import (
    Accept,
    AddFiles,
    ApplyPlan,
    AskQuestion,
    Cancel,
    Correct,
    CorrectSimilar,
    Export,
    MakePlan,
    MakeQueryVector,
    Problem,
    Remove,
    Reply,
    Retry,
    SetUrgent,
    StartServices,
    StopAdding,
    UndoPlan,
    UnwatchFolder,
    WatchFolder,
)
from app.taking import Refused, Taken, take_files
from tasks.errors import FileError, NotFoundError, ServiceError, ShoeboxError
from tasks.examples import Change
from tasks.home import Home
from tasks.ledger import DocumentRow, Ledger
from tasks.said import CATEGORY
from tasks.settings import Settings

_MAX_PROBLEMS = 200
"""Named one by one; more are only counted."""
_NOTE_SECONDS = 0.2


def carry_out(settings: Settings, job: Job) -> Reply:
    """Do what a request asks for.

    Raises:
        ShoeboxError: nothing could be done, in words.
    """
    match job.request:
        case StartServices() as request:
            reply = _start_services(settings, job, request)
        case AddFiles() as request:
            reply = _add(settings, job, request)
        case Cancel() | Retry() | Remove() | SetUrgent() | Accept() as request:
            reply = _decide(settings, job, request)
        case Correct() | CorrectSimilar() as request:
            reply = _correct(settings, job, request)
        case Export() as request:
            reply = _export(settings, job, request)
        case AskQuestion() as request:
            reply = ask(settings, job, request)
        case WatchFolder() | UnwatchFolder() as request:
            reply = watch(settings, job, request)
        case MakePlan() | ApplyPlan() | UndoPlan() as request:
            reply = tidy(settings, job, request)
        case MakeQueryVector() as request:
            reply = _make_vector(settings, job, request)
        case StopAdding():
            raise AssertionError("stopping is no work: it is done as soon as it is read")
    return reply


def _start_services(settings: Settings, job: Job, request: StartServices) -> Reply:
    from app import services

    result = services.up(settings, asked_at=request.asked_at)
    return Reply(job.number, ok=True, message="Already up." if result.already_up else "Up.")


def _make_vector(settings: Settings, job: Job, request: MakeQueryVector) -> Reply:
    from tasks.meaning.asking import have_made

    with Ledger.open(settings) as ledger:
        problem = have_made(settings, ledger, request.text, request.reply_key, request.seconds)
    return Reply(job.number, ok=not problem, message=problem or "It is being made.")


class _Progress:
    """Notes, a few times a second at most."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._told_at = 0.0

    def tell(self, done: int) -> None:
        if time.monotonic() - self._told_at >= _NOTE_SECONDS:
            self._told_at = time.monotonic()
            self._job.note(done)


# Adding


def _add(settings: Settings, job: Job, request: AddFiles) -> Reply:
    from tasks.recipes import load_recipe

    load_recipe(settings.recipe, settings.recipes_path)  # a wrong one is said once, not by every file
    ids: dict[str, None] = {}
    problems: list[Problem] = []
    new = known = 0
    broken: ServiceError | None = None
    progress = _Progress(job)
    with Home.open(settings) as home:
        files = _until_stopped(job, _found(request.paths))
        try:
            for result in take_files(home, files, settings.recipe, urgent=request.urgent):
                match result:
                    case Taken(_, document, is_new):
                        ids[document.id] = None
                        new, known = new + is_new, known + (not is_new)
                    case Refused(path, error):
                        problems.append(Problem(str(path), str(error)))
                    case Skipped(path, reason):
                        problems.append(Problem(str(path), str(reason)))
                progress.tell(new + known)
        except ServiceError as error:
            broken = error
    message = _taken_words(new, known, len(problems))
    if job.stopped.is_set():
        message += " Adding was stopped."
    return Reply(
        job.number,
        ok=broken is None,
        message=f"{broken.message} {message}" if broken else message,
        remedy=broken.remedy if broken else "",
        documents=tuple(ids),
        problems=_limited(problems),
    )


def _taken_words(new: int, known: int, refused: int) -> str:
    words = [f"{new:,} taken"]
    if known:
        words.append(f"{known:,} known already")
    if refused:
        words.append(f"{refused:,} not taken")
    return f"{', '.join(words)}."


def _found(paths: Iterable[str]) -> Iterator[Path | Skipped]:
    """The files at these paths. One that is not there does not keep the others from being taken."""
    for path in map(Path, paths):
        try:
            yield from find_files([path])
        except NotFoundError:
            yield Skipped(path, "does not exist")
        except FileError as error:
            yield Skipped(path, error.message)


def _until_stopped(job: Job, files: Iterable[Path | Skipped]) -> Iterator[Path | Skipped]:
    for file in files:
        if job.stopped.is_set():
            return
        yield file


def _limited(problems: list[Problem]) -> tuple[Problem, ...]:
    named = problems[:_MAX_PROBLEMS]
    if left := len(problems) - len(named):
        named.append(Problem(f"{left} more", "not listed"))
    return tuple(named)


# Documents


def _decide(settings: Settings, job: Job, request: Cancel | Retry | Remove | SetUrgent | Accept) -> Reply:
    match request:
        case Cancel(documents):
            return _each(settings, job, documents, _cancel, "cancelled")
        case Retry(documents):
            return _each(settings, job, documents, _retry, "begun again")
        case Remove(documents):
            return _each(settings, job, documents, _remove, "forgotten")
        case SetUrgent(documents, urgent):
            word = "urgent now" if urgent else "no longer urgent"
            return _each(settings, job, documents, partial(_set_urgent, urgent=urgent), word)
        case Accept(documents):
            return _each(settings, job, documents, _accept, "accepted")


def _each(
    settings: Settings,
    job: Job,
    documents: tuple[str, ...],
    act: Callable[[Home, DocumentRow], None],
    done_word: str,
) -> Reply:
    """Do something with each document, and release what comes next."""
    done: list[str] = []
    problems: list[Problem] = []
    progress = _Progress(job)
    with Home.open(settings) as home:
        for document in documents:
            if job.stopped.is_set():
                problems.append(Problem(document, "not any more: the clerk was told to end"))
                continue
            row = home.ledger.document(document)
            if row is None:
                problems.append(Problem(document, "is no longer there"))
                continue
            try:
                act(home, row)
            except ShoeboxError as error:
                problems.append(Problem(row.name, str(error)))
            else:
                done.append(document)
            progress.tell(len(done))
        home.release()
    number = f"{len(done):,}" if done else "No"
    noun = "document" if len(done) == 1 else "documents"
    return Reply(
        job.number,
        ok=bool(done) or not problems,
        message=f"{number} {noun} {done_word}.",
        documents=tuple(done),
        problems=_limited(problems),
    )


def _cancel(home: Home, document: DocumentRow) -> None:
    if not home.cancel(document):
        raise ShoeboxError(f"is {document.state.value} already")


def _retry(home: Home, document: DocumentRow) -> None:
    home.retry(document)


def _remove(home: Home, document: DocumentRow) -> None:
    home.remove(document)


def _accept(home: Home, document: DocumentRow) -> None:
    home.accept(document)


def _set_urgent(home: Home, document: DocumentRow, *, urgent: bool) -> None:
    home.set_urgent(document, urgent=urgent)


def _correct(settings: Settings, job: Job, request: Correct | CorrectSimilar) -> Reply:
    if isinstance(request, CorrectSimilar):
        return _correct_similar(settings, job, request.changes)
    with Home.open(settings) as home:
        document = home.ledger.document(request.document)
        if document is None:
            raise NotFoundError(f"The document {request.document} is no longer there.")
        said = home.correct(document, request.field, request.value)
        home.release()
        changes = home.similar_changes(said)
    is_changed = said.old != said.new
    value = f"{said.new!r}" if said.new else "empty"
    word = f"is {value} now" if is_changed else f"is {value}: confirmed"
    again = ", and its fields are read" if is_changed and said.field == CATEGORY else ""
    return Reply(
        job.number,
        ok=True,
        message=f"{request.field} of {document.name} {word}{again}.",
        documents=(document.id,),
        changes=tuple(changes),
    )


def _correct_similar(settings: Settings, job: Job, changes: tuple[Change, ...]) -> Reply:
    by_document = {change.document: change for change in changes}

    def apply(home: Home, row: DocumentRow) -> None:
        home.apply_change(by_document[row.id])

    return _each(settings, job, tuple(by_document), apply, "corrected as well")


def _export(settings: Settings, job: Job, request: Export) -> Reply:
    from app.export_file import form_of, write_file

    with Ledger.open(settings) as ledger:
        documents = ledger.documents(ids=request.documents)
        target = Path(request.path)
        write_file(ledger, documents, target, form_of(target), replace=request.replace)
    known = {document.id for document in documents}
    problems = [Problem(one, "is no longer there") for one in request.documents if one not in known]
    noun = "document" if len(documents) == 1 else "documents"
    return Reply(
        job.number,
        ok=True,
        message=f"{len(documents):,} {noun} written to {request.path}.",
        problems=_limited(problems),
    )
