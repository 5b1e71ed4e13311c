"""Commands about the desktop: ui open desktop."""

import sys
from pathlib import Path

import click

from app import completion
from app.plain_text import visible, visible_lines
from tasks.errors import ShoeboxError
from tasks.settings import get_settings


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, readable=False))
@click.option("--hold", is_flag=True, help="After an error, wait for Enter: for windows that close at once.")
def ui(files: tuple[Path, ...], hold: bool) -> None:
    """Open the terminal UI and take FILES in; folders after a question.

    `./run.sh FILE...` does the same.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("The terminal UI needs a terminal; `add` takes files without one.")
    from app.tui.app import run

    try:
        run(get_settings(), [path.absolute() for path in files])
    except ShoeboxError as error:
        if hold:
            click.echo(visible_lines(f"shoebox: {error}"), err=True)
            click.prompt("Enter closes this window", default="", show_default=False, prompt_suffix=" ")
        raise


@click.command("open")
@click.argument("document", shell_complete=completion.documents)
def open_command(document: str) -> None:
    """Open the original of DOCUMENT (the beginning of its id, or its name) in the desktop's viewer."""
    from app.opening import open_original
    from tasks.ledger import Ledger

    with Ledger.open(get_settings()) as ledger:
        row = ledger.find(document)
    open_original(row.path)
    click.echo(f"Opened {visible(row.name)}.")


@click.command()
@click.option("--remove", is_flag=True, help="Take the entry and its icon away again.")
@click.option("--replace", is_flag=True, help="Also where they were changed by hand.")
def desktop(remove: bool, replace: bool) -> None:
    """Put an icon among the desktop's programs that opens Shoebox, and takes files dropped on it.

    docs/desktop.md has notes for macOS and WSL.
    """
    from app.desktop.installing import install, uninstall

    change = uninstall if remove else install
    for path, what in change(replace=replace):
        click.echo(f"{what.value}: {visible(str(path))}")


COMMANDS = (ui, open_command, desktop)
