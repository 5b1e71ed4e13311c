"""Commands that decide about documents: accept correct urgent retry cancel rm."""

import sys
from typing import TYPE_CHECKING

import click

from app import completion
from app.commands.documents import BAD_STATES, open_home, start_services, wait_for_all
from app.commands.remembered import agreed_changes
from app.plain_text import visible
from tasks.documents import FINAL_STATES, State
from tasks.errors import ExitCode, FileError
from tasks.ledger import DocumentRow
from tasks.settings import get_settings

if TYPE_CHECKING:
    from tasks.home import Home


def _find_all(home: "Home", names: tuple[str, ...], states: frozenset[State] | None) -> list[DocumentRow]:
    """The named documents; with `states` and no name, all in these states."""
    if names:
        return [home.ledger.find(name) for name in names]
    return home.ledger.documents(states=states or ())


@click.command()
@click.argument("names", metavar="DOCUMENT...", nargs=-1, shell_complete=completion.documents)
@click.option("--all", "everything", is_flag=True, help="All that failed, were quarantined or cancelled.")
@click.option("--urgent", is_flag=True, help="Before everything that is not urgent.")
@click.option("--wait", is_flag=True, help="Show progress and return when all have been read.")
def retry(names: tuple[str, ...], everything: bool, urgent: bool, wait: bool) -> None:
    """Read documents again; what is known of their content already is not computed again."""
    _need_names(names, everything)
    settings = get_settings()
    redis = start_services(settings)
    with open_home(settings, redis=redis) as home:
        documents = _find_all(home, names, BAD_STATES)
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
            wait_for_all(home, settings, [document.id for document in documents])
    if refused:
        sys.exit(ExitCode.BAD_FILE)


@click.command()
@click.argument("names", metavar="DOCUMENT...", nargs=-1, shell_complete=completion.documents)
@click.option("--all", "everything", is_flag=True, help="All that wait or are being read.")
def cancel(names: tuple[str, ...], everything: bool) -> None:
    """Stop reading documents. `retry` takes them up again."""
    _need_names(names, everything)
    with open_home(get_settings()) as home:
        for document in _find_all(home, names, frozenset({State.WAITING, State.RUNNING})):
            word = "cancelled" if home.cancel(document) else f"{document.state.value} already"
            click.echo(f"{document.id}  {visible(document.name)}: {word}")
        home.release()


@click.command()
@click.argument("names", metavar="DOCUMENT...", nargs=-1, required=True, shell_complete=completion.documents)
@click.option("--yes", is_flag=True, help="Do not ask.")
def rm(names: tuple[str, ...], yes: bool) -> None:
    """Forget documents: their text, fields and results. The original files stay where they are."""
    with open_home(get_settings()) as home:
        documents = _find_all(home, names, None)
        for document in documents:
            click.echo(f"{document.id}  {visible(document.name)}")
        if not yes:
            click.confirm("Forget what was read of them? The files themselves stay.", abort=True, err=True)
        for document in documents:
            home.remove(document)
        home.release()
    click.echo(f"{len(documents)} forgotten.", err=True)


@click.command(context_settings={"ignore_unknown_options": True})  # an amount may begin with a minus
@click.argument("name", metavar="DOCUMENT", shell_complete=completion.documents)
@click.argument("field")
@click.argument("value")
@click.option(
    "--similar/--only-this",
    default=None,
    help="Also correct what it would change in documents that look the same; without it you are asked.",
)
def correct(name: str, field: str, value: str, similar: bool | None) -> None:
    """Say what is right: FIELD is `category` or a field of the document. "" means that it says nothing.

    A correction stands, whatever is read later. The value that is there already is confirmed. After another
    category its fields are read.
    """
    settings = get_settings()
    with open_home(settings) as home:
        document = home.ledger.find(name)
        said = home.correct(document, field, value)
        changes = [] if similar is False else home.similar_changes(said)
    word = "confirmed" if said.old == said.new else f"instead of {visible(said.old) or '-'}"
    click.echo(f"{document.id}  {visible(document.name)}: {field} {visible(said.new) or '-'}, {word}")
    also = agreed_changes(document, said, changes, similar=similar)
    with open_home(settings) as home:
        for change in also:
            home.apply_change(change)
        corrected = home.ledger.documents(ids=[document.id, *(change.document for change in also)])
    if all(row.state in FINAL_STATES or row.provisional for row in corrected):
        return
    with open_home(settings, redis=start_services(settings)) as home:
        home.release()
    click.echo("The fields are being read.", err=True)


@click.command()
@click.argument("names", metavar="DOCUMENT...", nargs=-1, required=True, shell_complete=completion.documents)
def accept(names: tuple[str, ...]) -> None:
    """Say that documents are right as they are. Their values count as confirmed by you."""
    with open_home(get_settings()) as home:
        for document in [home.ledger.find(name) for name in names]:
            home.accept(document)
            click.echo(f"{document.id}  {visible(document.name)}: accepted")


@click.command()
@click.argument("names", metavar="DOCUMENT...", nargs=-1, required=True, shell_complete=completion.documents)
@click.option("--off", is_flag=True, help="No longer so.")
def urgent(names: tuple[str, ...], off: bool) -> None:
    """Read documents before everything that is not urgent."""
    with open_home(get_settings()) as home:
        for document in [home.ledger.find(name) for name in names]:
            home.set_urgent(document, urgent=not off)
            word = "no longer urgent" if off else "urgent"
            click.echo(f"{document.id}  {visible(document.name)}: {word}")
        home.release()


def _need_names(names: tuple[str, ...], everything: bool) -> None:
    if bool(names) == everything:
        raise click.UsageError("Name documents, or say --all.")


COMMANDS = (accept, correct, urgent, retry, cancel, rm)
