"""Commands that take documents in and show them: add ls show export."""

import sys
from collections import Counter
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app import completion
from app.plain_text import shortened, visible, visible_json
from tasks.documents import State
from tasks.errors import ExitCode, ServiceError
from tasks.ledger import DocumentRow, Ledger
from tasks.settings import Settings, get_settings

if TYPE_CHECKING:
    from tasks.home import Home

_STATES = [state.value for state in State if state is not State.QUEUED]
BAD_STATES = frozenset({State.FAILED, State.QUARANTINED, State.CANCELLED})
"""Of documents that were not read."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
state_option = click.option(
    "--state", "states", multiple=True, type=click.Choice(_STATES), help="Only these; may be repeated."
)
recipe_option = click.option(
    "--recipe",
    default=None,
    shell_complete=completion.recipes,
    help="The recipe to read them by; see docs/recipes.md.",
)


def open_home(settings: Settings, *, redis: bool = True) -> "AbstractContextManager[Home]":
    """Home, for one command; `redis` as in `Home.open`.

    Imported late: it knows the whole pipeline, and most commands do not need it.
    """
    from tasks.home import Home

    return Home.open(settings, redis=redis)


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, readable=False))
@click.option("--wait", is_flag=True, help="Show progress and return when all have been read.")
@click.option("--urgent", is_flag=True, help="Before everything that is not urgent.")
@recipe_option
def add(paths: tuple[Path, ...], wait: bool, urgent: bool, recipe: str | None) -> None:
    """Take files in; folders with everything below them.

    Originals are only read, never moved or changed. A file whose content is known already is recognised
    and not read again.
    """
    from tasks.recipes import load_recipe

    settings = get_settings()
    recipe = recipe or settings.recipe
    load_recipe(recipe, settings.recipes_path)
    redis = start_services(settings)
    with open_home(settings, redis=redis) as home:
        taken, refused = _take_all(home, paths, recipe, urgent=urgent)
        if wait:
            wait_for_all(home, settings, taken)
    if refused:
        sys.exit(ExitCode.BAD_FILE)


def start_services(settings: Settings) -> bool:
    """Start them if they do not run. Returns whether Redis is there: nobody is kept from adding by that."""
    from app import services
    from app.services.redis_client import RedisRefusesError

    try:
        services.up(settings)
    except RedisRefusesError as error:
        if not services.is_up(settings):
            raise
        click.echo(f"{visible(str(error))} Until then the documents wait in the ledger.", err=True)
        return False
    return True


def _take_all(home: "Home", paths: tuple[Path, ...], recipe: str, *, urgent: bool) -> tuple[list[str], int]:
    """Take the files; returns the ids of their documents, and how many files were refused."""
    from app.intake import Skipped, find_files
    from app.taking import Refused, Taken, take_files

    ids: list[str] = []
    new = refused = 0
    for result in take_files(home, find_files(paths), recipe, urgent=urgent):
        match result:
            case Taken(path, document, is_new):
                ids.append(document.id)
                new += is_new
                click.echo(_taken_line(path, document, new=is_new))
            case Refused(_, error):
                refused += 1
                click.echo(f"refused  {visible(str(error))}", err=True)
            case Skipped(path, reason):
                click.echo(f"skipped  {visible(str(path))}: {reason}", err=True)
    click.echo(f"{new} new, {len(ids) - new} known already, {refused} refused.", err=True)
    return list(dict.fromkeys(ids)), refused


def _taken_line(path: Path, document: DocumentRow, *, new: bool) -> str:
    if new:
        return f"added    {document.id}  {visible(str(path))}"
    hint = f"; `./run.sh retry {document.id}` reads it again" if document.state in BAD_STATES else ""
    return f"known    {document.id}  {visible(str(path))}: {document.state.value} already{hint}"


def wait_for_all(home: "Home", settings: Settings, ids: list[str]) -> None:
    """Wait for documents; exits with UNFINISHED if some could not be read."""
    from app.progress import wait_for

    try:
        documents = wait_for(home, ids, lambda: _check_services(settings))
    except KeyboardInterrupt:
        click.echo("\nThe documents are still being read; `./run.sh status` shows how far.", err=True)
        sys.exit(ExitCode.INTERRUPTED)
    counts = Counter(document.state.value for document in documents)
    words = [f"{counts[name]} {name}" for name in _STATES if counts[name]]
    click.echo(f"{', '.join(words) or 'Nothing to wait for'}.", err=True)
    if any(document.state in BAD_STATES for document in documents):
        sys.exit(ExitCode.UNFINISHED)


def _check_services(settings: Settings) -> None:
    from app import services

    if not services.status(settings).running:
        raise ServiceError(
            "The services were stopped; the documents wait in the ledger.", "Go on with: ./run.sh up"
        )


@click.command()
@state_option
@json_option
def ls(states: tuple[str, ...], as_json: bool) -> None:
    """List documents, the oldest first."""
    from app.listing import make_row

    with Ledger.open(get_settings()) as ledger:
        rows = [make_row(document) for document in ledger.documents(states=map(State, states))]
    if as_json:
        click.echo(visible_json([asdict(row) for row in rows], indent=1))
        return
    from app.tables import print_table

    columns = ("id", "state", "category", "conf", "party", "date", "amount", "name")
    print_table(
        columns,
        [
            (
                row.id,
                row.state,
                row.category + ("*" if row.provisional and row.category else ""),
                "" if row.confidence is None else f"{row.confidence:.0%}",
                shortened(row.party, 28),
                row.date,
                f"{row.amount} {row.currency}".strip(),
                shortened(row.name, 48),
            )
            for row in rows
        ],
    )
    if any(row.provisional for row in rows):
        click.echo("* provisional: found by the offline engine, without a language model.", err=True)


@click.command()
@click.argument("document", shell_complete=completion.documents)
@click.option("--text", "with_text", is_flag=True, help="The full text, page by page.")
@click.option("--trace", "with_trace", is_flag=True, help="Every call to a language model.")
@json_option
def show(document: str, with_text: bool, with_trace: bool, as_json: bool) -> None:
    """Show all that is known about DOCUMENT (the beginning of its id, or its name)."""
    from app.listing import full_record
    from app.report import report
    from app.trace import trace

    with Ledger.open(get_settings()) as ledger:
        row = ledger.find(document)
        if as_json:
            click.echo(visible_json(full_record(ledger, row), indent=1))
        elif with_trace:
            click.echo("\n".join(trace(ledger, row)))
        else:
            click.echo("\n".join(report(ledger, row, with_text=with_text)))


@click.command()
@click.option(
    "--format", "form", type=click.Choice(["csv", "jsonl", "md"]), default=None, help="Default: csv."
)
@click.option("--output", type=click.Path(path_type=Path), help="A file instead of standard output.")
@click.option("--bom/--no-bom", default=None, help="Byte order mark for Excel; by default in files only.")
@click.option("--delimiter", type=click.Choice([",", ";", "tab"]), default=",", show_default=True)
@state_option
def export(
    form: str | None, output: Path | None, bom: bool | None, delimiter: str, states: tuple[str, ...]
) -> None:
    """Write the table out: csv for spreadsheets, jsonl with everything, md to read.

    Without --format the ending of the output file says which. A file of that name is replaced, in one step.
    """
    from app.export import FORM_OF_ENDING, CsvForm
    from app.export import export as pieces
    from app.export_file import write_file

    ending = output.suffix.lower() if output is not None else ""
    form = form or FORM_OF_ENDING.get(ending, "csv")
    csv_form = CsvForm(
        bom=output is not None if bom is None else bom, delimiter="\t" if delimiter == "tab" else delimiter
    )
    with Ledger.open(get_settings()) as ledger:
        documents = ledger.documents(states=map(State, states))
        if output is None:
            for piece in pieces(ledger, documents, form, csv_form):
                click.echo(piece, nl=False)
            return
        write_file(ledger, documents, output, form, csv_form, replace=True)
    click.echo(f"{len(documents)} documents written to {visible(str(output))}.", err=True)


COMMANDS = (add, ls, show, export)
