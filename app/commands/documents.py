"""Commands about documents: add ls show export retry cancel rm."""

import json
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import click

from app.plain_text import shortened, visible
from tasks.documents import State
from tasks.errors import ExitCode, FileError, NotFoundError, ServiceError, ShoeboxError
from tasks.home import Home
from tasks.ledger import DocumentRow, Ledger
from tasks.settings import Settings, get_settings

_STATES = [state.value for state in State if state is not State.QUEUED]
_RELEASE_EVERY = 50
"""Files taken before their first units are released, so that work begins while more come in."""
_BAD_STATES = frozenset({State.FAILED, State.QUARANTINED, State.CANCELLED})

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
state_option = click.option(
    "--state", "states", multiple=True, type=click.Choice(_STATES), help="Only these; may be repeated."
)


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--wait", is_flag=True, help="Show progress and return when all have been read.")
@click.option("--urgent", is_flag=True, help="Before everything that is not urgent.")
@click.option("--recipe", default=None, help="The recipe to read them by; see docs/recipes.md.")
def add(paths: tuple[Path, ...], wait: bool, urgent: bool, recipe: str | None) -> None:
    """Take files in; folders with everything below them.

    Originals are only read, never moved or changed. A file whose content is known already is recognised
    and not read again.
    """
    from app import services
    from tasks.recipes import load_recipe

    settings = get_settings()
    recipe = recipe or settings.recipe
    load_recipe(recipe, settings.recipes_path)
    services.up(settings)
    with Home.open(settings) as home:
        taken, refused = _take_all(home, paths, recipe, urgent=urgent)
        if wait:
            _wait(home, settings, taken)
    if refused:
        sys.exit(ExitCode.BAD_FILE)


def _take_all(home: Home, paths: tuple[Path, ...], recipe: str, *, urgent: bool) -> tuple[list[str], int]:
    """Take the files; returns the ids of their documents, and how many files were refused."""
    from app.intake import Skipped, find_files

    ids: list[str] = []
    new = refused = 0
    for found in find_files(paths):
        if isinstance(found, Skipped):
            click.echo(f"skipped  {visible(str(found.path))}: {found.reason}", err=True)
            continue
        try:
            submission = home.add(found, recipe, urgent=urgent)
        except (FileError, NotFoundError) as error:
            refused += 1
            click.echo(f"refused  {visible(str(error))}", err=True)
            continue
        ids.append(submission.document.id)
        new += submission.new
        click.echo(_taken_line(found, submission.document, new=submission.new))
        if new % _RELEASE_EVERY == 0:
            home.release()
    home.release()
    click.echo(f"{new} new, {len(ids) - new} known already, {refused} refused.", err=True)
    return list(dict.fromkeys(ids)), refused


def _taken_line(path: Path, document: DocumentRow, *, new: bool) -> str:
    if new:
        return f"added    {document.id}  {visible(str(path))}"
    hint = f"; `./run.sh retry {document.id}` reads it again" if document.state in _BAD_STATES else ""
    return f"known    {document.id}  {visible(str(path))}: {document.state.value} already{hint}"


def _wait(home: Home, settings: Settings, ids: list[str]) -> None:
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
    if any(document.state in _BAD_STATES for document in documents):
        sys.exit(ExitCode.UNFINISHED)


def _check_services(settings: Settings) -> None:
    from app import services

    if not services.status(settings).running:
        raise ServiceError(
            "The services were stopped; the documents wait in the ledger.", "Go on with: ./run.sh up"
        )


@click.command(hidden=True)
def follow() -> None:
    """Start what is needed and show all documents that are being read."""
    from app import services

    settings = get_settings()
    services.up(settings)
    with Home.open(settings) as home:
        waiting = home.ledger.documents(states=[State.WAITING, State.RUNNING])
        if not waiting:
            click.echo("Nothing is being read. Take files in with: ./run.sh add FILE_OR_FOLDER...")
            return
        _wait(home, settings, [document.id for document in waiting])


@click.command()
@state_option
@json_option
def ls(states: tuple[str, ...], as_json: bool) -> None:
    """List documents, the oldest first."""
    from app.listing import make_row

    with Ledger.open(get_settings()) as ledger:
        rows = [make_row(document) for document in ledger.documents(states=map(State, states))]
    if as_json:
        click.echo(json.dumps([asdict(row) for row in rows], ensure_ascii=False, indent=1))
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
@click.argument("document")
@click.option("--text", "with_text", is_flag=True, help="The full text, page by page.")
@click.option("--trace", "with_trace", is_flag=True, help="Every call to a language model.")
@json_option
def show(document: str, with_text: bool, with_trace: bool, as_json: bool) -> None:
    """Show all that is known about DOCUMENT (the beginning of its id, or its name)."""
    from app.listing import full_record
    from app.report import report, trace

    with Ledger.open(get_settings()) as ledger:
        row = ledger.find(document)
        if as_json:
            click.echo(json.dumps(full_record(ledger, row), ensure_ascii=False, indent=1))
        elif with_trace:
            click.echo("\n".join(trace(ledger, row)))
        else:
            click.echo("\n".join(report(ledger, row, with_text=with_text)))


@click.command()
@click.option("--format", "form", type=click.Choice(["csv", "jsonl", "md"]), default="csv", show_default=True)
@click.option("--output", type=click.Path(path_type=Path), help="A file instead of standard output.")
@state_option
def export(form: str, output: Path | None, states: tuple[str, ...]) -> None:
    """Write the table out: csv for spreadsheets, jsonl with everything, md to read."""
    from app.export import export as pieces

    with Ledger.open(get_settings()) as ledger:
        documents = ledger.documents(states=map(State, states))
        if output is None:
            for piece in pieces(ledger, documents, form):
                click.echo(piece, nl=False)
            return
        try:
            # newline="": the csv module ends its lines itself
            with output.open("w", encoding="utf-8", newline="") as file:
                file.writelines(pieces(ledger, documents, form))
        except OSError as error:
            raise ShoeboxError(
                f"{output} cannot be written: {error.strerror}.", "Name another file."
            ) from error
    click.echo(f"{len(documents)} documents written to {visible(str(output))}.", err=True)


def _find_all(home: Home, names: tuple[str, ...], states: frozenset[State] | None) -> list[DocumentRow]:
    """The named documents; with `states` and no name, all in these states."""
    if names:
        return [home.ledger.find(name) for name in names]
    return home.ledger.documents(states=states or ())


@click.command()
@click.argument("names", metavar="DOCUMENT...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All that failed, were quarantined or cancelled.")
@click.option("--urgent", is_flag=True, help="Before everything that is not urgent.")
@click.option("--wait", is_flag=True, help="Show progress and return when all have been read.")
def retry(names: tuple[str, ...], everything: bool, urgent: bool, wait: bool) -> None:
    """Read documents again; what is known of their content already is not computed again."""
    _need_names(names, everything)
    from app import services

    settings = get_settings()
    services.up(settings)
    with Home.open(settings) as home:
        documents = _find_all(home, names, _BAD_STATES)
        refused = 0
        for document in documents:
            try:
                home.retry(document, urgent=urgent or None)
            except FileError as error:
                refused += 1
                click.echo(f"refused  {visible(str(error))}", err=True)
            else:
                click.echo(f"again    {document.id}  {visible(document.name)}")
        home.release()
        if wait:
            _wait(home, settings, [document.id for document in documents])
    if refused:
        sys.exit(ExitCode.BAD_FILE)


@click.command()
@click.argument("names", metavar="DOCUMENT...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All that wait or are being read.")
def cancel(names: tuple[str, ...], everything: bool) -> None:
    """Stop reading documents. `retry` takes them up again."""
    _need_names(names, everything)
    with Home.open(get_settings()) as home:
        for document in _find_all(home, names, frozenset({State.WAITING, State.RUNNING})):
            word = "cancelled" if home.cancel(document) else f"{document.state.value} already"
            click.echo(f"{document.id}  {visible(document.name)}: {word}")
        home.release()


@click.command()
@click.argument("names", metavar="DOCUMENT...", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
def rm(names: tuple[str, ...], yes: bool) -> None:
    """Forget documents: their text, fields and results. The original files stay where they are."""
    with Home.open(get_settings()) as home:
        documents = _find_all(home, names, None)
        for document in documents:
            click.echo(f"{document.id}  {visible(document.name)}")
        if not yes:
            click.confirm("Forget what was read of them? The files themselves stay.", abort=True, err=True)
        for document in documents:
            home.remove(document)
        home.release()
    click.echo(f"{len(documents)} forgotten.", err=True)


def _need_names(names: tuple[str, ...], everything: bool) -> None:
    if bool(names) == everything:
        raise click.UsageError("Name documents, or say --all.")


COMMANDS = (add, ls, show, export, retry, cancel, rm, follow)
