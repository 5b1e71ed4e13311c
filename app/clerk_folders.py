"""What the clerk does with whole folders: watching them, and tidying up."""

from pathlib import Path

from app.clerk import Job
from app.plans.carrying_out import Carrier
from app.plans.journal import Action, Journal, Step
from app.plans.making import READ, make_plan
from app.plans.words import plan_line
from app.requests import ApplyPlan, MakePlan, Problem, Reply, UndoPlan, UnwatchFolder, WatchFolder
from app.watch.journal import Journal as WatchJournal
from app.watch.journal import WhenTaken
from app.watch.switching import WatchOptions, start_watcher, switch_off, switch_on
from tasks.ledger import Ledger
from tasks.settings import Settings

_MAX_PROBLEMS = 200


def watch(settings: Settings, job: Job, request: WatchFolder | UnwatchFolder) -> Reply:
    """Watch a folder, or no longer.

    Raises:
        ShoeboxError: as `switch_on`, `switch_off` and `start_watcher`.
    """
    with WatchJournal.open(settings) as journal:
        if isinstance(request, UnwatchFolder):
            switch_off(journal, [Path(request.path)])
            return Reply(job.number, ok=True, message=f"No longer watching {request.path}.")
        options = WatchOptions(
            settings.recipe,
            WhenTaken.MOVE if request.move_taken else WhenTaken.LEAVE,
            only_new=request.only_new,
        )
        (path,) = switch_on(journal, settings, [Path(request.path)], options)
    start_watcher(settings)
    return Reply(job.number, ok=True, message=f"Watching {path}.")


def tidy(settings: Settings, job: Job, request: MakePlan | ApplyPlan | UndoPlan) -> Reply:
    """Make a plan, apply it or undo it.

    Raises:
        ShoeboxError: as `make_plan`, `Carrier.apply` and `Carrier.undo`.
    """
    problems: list[Problem] = []
    done = 0

    def tell(step: Step) -> None:
        nonlocal done
        done += 1
        job.note(done)
        if step.message:
            problems.append(Problem(step.source.name, step.message))

    with Ledger.open(settings) as ledger, Journal.open(settings) as journal:
        carrier = Carrier(settings, journal, ledger, tell)
        match request:
            case MakePlan(target, move):
                action = Action.MOVE if move else Action.COPY
                plan = make_plan(
                    ledger, journal, settings, Path(target), action, settings.tidy_template, READ
                )
            case ApplyPlan(number):
                plan = journal.plan(number)
                carrier.apply(plan)
            case UndoPlan(number):
                plan = journal.plan(number)
                carrier.undo(plan)
        words = plan_line(plan, journal.counts(plan.id))
        documents = {step.document for step in journal.steps(plan.id)}
    return Reply(
        job.number,
        ok=True,
        message=f"{words}.",
        documents=() if isinstance(request, MakePlan) else tuple(documents),
        problems=tuple(problems[:_MAX_PROBLEMS]),
    )
