"""Commands about plans: tidy plans undo."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.commands.documents import json_option, state_option
from app.plain_text import visible
from tasks.documents import State
from tasks.errors import ExitCode, NotFoundError, ShoeboxError
from tasks.ledger import Ledger
from tasks.settings import Settings, get_settings

if TYPE_CHECKING:
    from app.plans.journal import Journal, Plan, Step

yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


@click.command()
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--template", default=None, help="How names are made; see docs/tidy.md.")
@click.option("--move", is_flag=True, help="Move the originals; by default they are copied.")
@click.option("--apply", "at_once", is_flag=True, help="Do it at once.")
@yes_option
@state_option
@json_option
def tidy(
    target: Path,
    template: str | None,
    move: bool,
    at_once: bool,
    yes: bool,
    states: tuple[str, ...],
    as_json: bool,
) -> None:
    """Propose a tidy tree below TARGET for the documents that were read.

    This is a dry run: nothing is changed without --apply, or `plans apply` later. It can be undone.
    """
    from app.plans.journal import Action, Journal
    from app.plans.making import READ, make_plan

    settings = get_settings()
    action = Action.MOVE if move else Action.COPY
    with Ledger.open(settings) as ledger, Journal.open(settings) as journal:
        wanted = tuple(map(State, states)) or READ
        plan = make_plan(
            ledger, journal, settings, target, action, template or settings.tidy_template, wanted
        )
        _show(journal, plan, as_json=as_json)
        if at_once:
            _apply(settings, journal, ledger, plan, yes=yes)
        elif not as_json:
            click.echo(f"Nothing was changed. `./run.sh plans apply {plan.name}` does it.", err=True)


@click.group(invoke_without_command=True)
@click.pass_context
def plans(context: click.Context) -> None:
    """List plans; show or apply one."""
    if context.invoked_subcommand is not None:
        return
    from app.plans.journal import Journal
    from app.plans.words import plan_line

    with Journal.open(get_settings()) as journal:
        found = journal.plans()
        for plan in found:
            click.echo(plan_line(plan, journal.counts(plan.id)))
    if not found:
        click.echo("No plans yet. `./run.sh tidy FOLDER` makes one.")


@plans.command("show")
@click.argument("plan")
@json_option
def show_plan(plan: str, as_json: bool) -> None:
    """Show what a plan does, and how far each step is."""
    from app.plans.journal import Journal

    with Journal.open(get_settings()) as journal:
        _show(journal, _find(journal, plan), as_json=as_json)


@plans.command("apply")
@click.argument("plan")
@yes_option
def apply_plan(plan: str, yes: bool) -> None:
    """Do what a plan says, or what is left of it."""
    from app.plans.journal import Journal

    settings = get_settings()
    with Ledger.open(settings) as ledger, Journal.open(settings) as journal:
        _apply(settings, journal, ledger, _find(journal, plan), yes=yes)


@click.command()
@click.argument("plan", required=False)
@yes_option
def undo(plan: str | None, yes: bool) -> None:
    """Undo a plan; by default the latest that was applied. What has changed since is left alone."""
    from app.plans.carrying_out import Carrier, may_be_undone
    from app.plans.journal import Journal

    settings = get_settings()
    with Ledger.open(settings) as ledger, Journal.open(settings) as journal:
        found = _find(journal, plan) if plan else _latest_applied(journal)
        number = may_be_undone(journal.counts(found.id))
        if not number and not journal.made_folders(found.id):
            click.echo(f"{found.name} has nothing to undo.")
            return
        doing = "removed again" if found.action == "copy" else "moved back"
        _ask(f"{found.name}: {number} files below {visible(str(found.target))} are {doing}.", yes=yes)
        _carry_out(Carrier(settings, journal, ledger, _print_problem).undo, journal, found)


def _latest_applied(journal: "Journal") -> "Plan":
    from app.plans.carrying_out import may_be_undone

    for plan in journal.plans():
        if may_be_undone(journal.counts(plan.id)) or journal.made_folders(plan.id):
            return plan
    raise NotFoundError("No plan was applied that could be undone.", "./run.sh plans lists all.")


def _find(journal: "Journal", name: str) -> "Plan":
    number = name.removeprefix("p")
    if not (number.isascii() and number.isdigit() and len(number) < 19):  # SQLite takes 63 bits
        raise NotFoundError(f"There is no plan {name!r}.", "./run.sh plans lists them: p1, p2 ...")
    return journal.plan(int(number))


def _show(journal: "Journal", plan: "Plan", *, as_json: bool) -> None:
    from app.plans.words import plan_line, step_line

    steps = journal.steps(plan.id)
    if as_json:
        click.echo(json.dumps(_facts(plan, steps), indent=1))
        return
    for step in steps:
        click.echo(step_line(step))
    click.echo(plan_line(plan, journal.counts(plan.id)), err=True)


def _facts(plan: "Plan", steps: "list[Step]") -> dict[str, Any]:
    return {
        "id": plan.name,
        "target": os.fsdecode(plan.target),
        "action": plan.action,
        "template": plan.template,
        "steps": [
            {
                "document": step.document,
                "source": os.fsdecode(step.source),
                "target": str(step.target),
                "state": step.state,
                "message": step.message,
            }
            for step in steps
        ],
    }


def _apply(settings: Settings, journal: "Journal", ledger: Ledger, plan: "Plan", *, yes: bool) -> None:
    from app.plans.carrying_out import Carrier, left_to_do

    number = left_to_do(journal.counts(plan.id))
    if not number:
        click.echo(f"{plan.name} has nothing left to do.", err=True)
        return
    doing = "copied" if plan.action == "copy" else "moved"
    _ask(f"{number} files are {doing} below {visible(str(plan.target))}. This can be undone.", yes=yes)
    _carry_out(Carrier(settings, journal, ledger, _print_problem).apply, journal, plan)


def _ask(what: str, *, yes: bool) -> None:
    """Go on if the user says so."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise ShoeboxError(f"Not done without a question: {what}", "Say --yes to do it without being asked.")
    click.confirm(f"{what} Go on?", abort=True, err=True)


def _carry_out(do: "Callable[[Plan], None]", journal: "Journal", plan: "Plan") -> None:
    from app.plans.words import plan_line

    try:
        do(plan)
    finally:
        click.echo(plan_line(plan, journal.counts(plan.id)), err=True)
    if any(step.message for step in journal.steps(plan.id) if step.state != "left out"):
        sys.exit(ExitCode.UNFINISHED)


def _print_problem(step: "Step") -> None:
    from app.plans.words import step_line

    if step.message:
        click.echo(step_line(step), err=True)


COMMANDS = (tidy, plans, undo)
