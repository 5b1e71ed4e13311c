"""Applying a plan, and undoing it, file by file. Both can be broken off anywhere and called again."""

import errno
import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from app.below import folder_of
from app.plans.journal import Action, Journal, Plan, Step, StepState
from app.plans.placing import Trace, copy, is_copied, is_moved, move, take_copy_back
from app.plans.spots import Obstacle, Spot
from tasks.errors import ServiceError, ShoeboxError
from tasks.ledger import Ledger
from tasks.path_questions import exists
from tasks.settings import Settings

OnStep = Callable[[Step], None]
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


class Carrier:
    """Carries out plans."""

    def __init__(self, settings: Settings, journal: Journal, ledger: Ledger, on_step: OnStep) -> None:
        self._settings = settings
        self._journal = journal
        self._ledger = ledger
        self._on_step = on_step

    # Applying

    def apply(self, plan: Plan) -> None:
        """Do what is planned and not done; steps that cannot be done say why.

        Raises:
            ShoeboxError: the plan was undone, or another one is being carried out.
            ServiceError: the target cannot be made, or the disk is full; what was done stays, and can be
                gone on with or undone.
        """
        with self._only_one():
            counts = self._journal.counts(plan.id)
            if counts.get(StepState.UNDONE) or counts.get(StepState.UNDOING):
                raise ShoeboxError(f"{plan.name} was undone.", "Make a new plan: ./run.sh tidy.")
            _check_target(plan)
            self._make_target(plan)
            for step in self._journal.steps(plan.id):
                if step.state in (StepState.PLANNED, StepState.STARTED):
                    self._on_step(self._apply(plan, step))

    def _apply(self, plan: Plan, step: Step) -> Step:
        step = replace(step, state=StepState.STARTED)
        if plan.action is Action.COPY:
            self._journal.put(step)  # a move notes that itself before it begins
        try:
            self._place(plan, step)
            done = replace(step, state=StepState.DONE, message="", trace=None)
        except (Obstacle, OSError) as error:
            _stop_if_full(plan, error)
            done = replace(step, state=StepState.SKIPPED, message=_words(error), trace=None)
        self._journal.put(done)
        return done

    def _place(self, plan: Plan, step: Step) -> None:
        mark = _mark(plan, step)

        def note(trace: Trace) -> None:
            self._journal.put(replace(step, trace=trace))

        with self._spots(plan, step, make=True) as (source, final):
            if plan.action is Action.COPY:
                copy(source, final, mark, step.sha256, step.trace, note)
                return
            move(source, final, mark, step.sha256, step.trace, note)
        self._follow(step, step.source, plan.target / step.target)

    def _make_target(self, plan: Plan) -> None:
        missing = [path for path in (plan.target, *plan.target.parents) if not exists(path)]
        try:
            for path in reversed(missing):
                self._journal.note_folder(plan.id, path)
                path.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise ServiceError(f"{path} cannot be made: {error.strerror}.", "Name another folder.") from error

    # Undoing

    def undo(self, plan: Plan) -> None:
        """Bring every file back to where it was. What has changed since is left alone, and says so.

        Can be called again for what was left.

        Raises:
            ShoeboxError: another plan is being carried out.
            ServiceError: the disk is full; what was undone stays so.
        """
        with self._only_one():
            _check_target(plan)
            for found in self._journal.steps(plan.id, backwards=True):
                step = self._settled(plan, found) if found.state is StepState.STARTED else found
                if step.state in (StepState.DONE, StepState.UNDOING):
                    self._on_step(self._undo(plan, step))
            self._remove_folders(plan)

    def _settled(self, plan: Plan, step: Step) -> Step:
        """What may be half done is done after this, or not at all. No space is needed for it."""
        mark = _mark(plan, step)
        try:
            with self._spots(plan, step, make=True) as (source, final):
                if plan.action is Action.COPY:
                    is_done = is_copied(final, mark, step.trace)
                else:
                    is_done = is_moved(source, final, mark, step.sha256, step.trace)
                if not is_done and final.info() is not None:
                    raise Obstacle(f"something called {final.name} is there")
            if is_done and plan.action is Action.MOVE:
                self._follow(step, step.source, plan.target / step.target)
            state = StepState.DONE if is_done else StepState.PLANNED
            settled = replace(step, state=state, message="", trace=None)
        except (Obstacle, OSError) as error:
            _stop_if_full(plan, error)
            settled = replace(step, state=StepState.SKIPPED, message=_words(error), trace=None)
        self._journal.put(settled)
        return settled

    def _undo(self, plan: Plan, step: Step) -> Step:
        step = replace(step, state=StepState.UNDOING)
        if plan.action is Action.COPY:
            self._journal.put(step)
        try:
            self._take_back(plan, step)
            done = replace(step, state=StepState.UNDONE, message="", trace=None)
        except (Obstacle, OSError) as error:
            _stop_if_full(plan, error)
            done = replace(step, state=StepState.DONE, message=f"not undone: {_words(error)}", trace=None)
        self._journal.put(done)
        return done

    def _take_back(self, plan: Plan, step: Step) -> None:
        mark = f"{_mark(plan, step)}-undo"

        def note(trace: Trace) -> None:
            self._journal.put(replace(step, trace=trace))

        if plan.action is Action.MOVE:
            step.source.parent.mkdir(parents=True, exist_ok=True)  # it may have been removed as empty
        with self._spots(plan, step, make=False) as (source, final):
            if plan.action is Action.COPY:
                take_copy_back(source, final, mark, step.sha256)
                return
            move(final, source, mark, step.sha256, step.trace, note)
        self._follow(step, plan.target / step.target, step.source)

    def _remove_folders(self, plan: Plan) -> None:
        """Remove the folders that the plan made. One that holds something stays, and is nobody's then."""
        is_whole = not may_be_undone(self._journal.counts(plan.id))
        for path in self._journal.made_folders(plan.id):
            with suppress(OSError):
                if path != plan.target and path.is_relative_to(plan.target):
                    with folder_of(plan.target, path) as folder:
                        os.rmdir(path.name, dir_fd=folder)
                else:
                    path.rmdir()
            if is_whole or not os.path.lexists(path):
                self._hand_on(plan, path)
                self._journal.forget_folder(plan.id, path)

    def _hand_on(self, plan: Plan, folder: Path) -> None:
        """A folder that still holds what a later plan put there is removed when that one is undone."""
        if not os.path.lexists(folder):
            return
        for other in self._journal.plans():
            if other.id != plan.id and any(
                (other.target / step.target).is_relative_to(folder)
                for step in self._journal.steps(other.id)
                if step.state in (StepState.DONE, StepState.STARTED, StepState.UNDOING)
            ):
                self._journal.note_folder(other.id, folder)
                return

    # Both

    @contextmanager
    def _spots(self, plan: Plan, step: Step, *, make: bool) -> Iterator[tuple[Spot, Spot]]:
        """Where a step's file is at first, and below the target."""
        target = plan.target / step.target

        def note_folder(path: Path) -> None:
            self._journal.note_folder(plan.id, path)

        with ExitStack() as stack:
            # The way to the original may hold links of the user's own.
            here = os.open(step.source.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, here)
            there = stack.enter_context(folder_of(plan.target, target, make=make, before_making=note_folder))
            yield Spot(here, step.source.name), Spot(there, target.name)

    def _follow(self, step: Step, before: Path, after: Path) -> None:
        """The document's original is elsewhere now."""
        with self._ledger.transaction():
            document = self._ledger.document(step.document)
            if document is not None and document.path == os.fsencode(before):
                self._ledger.update_document(document.id, path=os.fsencode(after))

    @contextmanager
    def _only_one(self) -> Iterator[None]:
        """One plan at a time is carried out on a data directory."""
        lock = os.open(self._settings.data_dir / "plans.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as error:
            raise ShoeboxError("A plan is being carried out already.", "Wait until it has ended.") from error
        finally:
            os.close(lock)


def _check_target(plan: Plan) -> None:
    """The folder that was agreed to has no links on its way: one that stands there now leads elsewhere.

    Raises:
        ServiceError: it does.
    """
    if plan.target.resolve() != plan.target:
        raise ServiceError(
            f"{plan.target} leads elsewhere now, to {plan.target.resolve()}.",
            "Remove the symbolic link, or make a new plan: ./run.sh tidy.",
        )


def _mark(plan: Plan, step: Step) -> str:
    """The beginning of a step's temporary names, which no other plan has: not one of another home either."""
    return f".shoebox-{plan.name}-{int(plan.made_at * 1_000_000):x}-{step.number}"


def left_to_do(counts: Mapping[StepState, int]) -> int:
    """How many of a plan's steps are to be done, or half done."""
    return sum(counts.get(state, 0) for state in (StepState.PLANNED, StepState.STARTED))


def may_be_undone(counts: Mapping[StepState, int]) -> int:
    """How many of a plan's steps are done, or half done."""
    return sum(counts.get(state, 0) for state in (StepState.DONE, StepState.STARTED, StepState.UNDOING))


def _stop_if_full(plan: Plan, error: Exception) -> None:
    if isinstance(error, OSError) and error.errno in _DISK_FULL:
        raise ServiceError(
            f"The disk that holds {plan.target} is full.",
            f"Free some space and apply {plan.name} again, or undo it. Nothing was lost.",
        ) from error


def _words(error: Exception) -> str:
    if not isinstance(error, OSError):
        return str(error)
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return "a symbolic link or a file stands in the way of a folder"
    return error.strerror or str(error)
