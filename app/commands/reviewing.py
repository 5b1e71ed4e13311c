"""The command that goes through what needs review."""

import os
import select
import sys
import termios
import tty
from typing import TYPE_CHECKING

import click

from app.commands.documents import open_home
from app.commands.remembered import agreed_changes
from app.plain_text import visible
from tasks.documents import State
from tasks.errors import ShoeboxError
from tasks.ledger import DocumentRow, Ledger
from tasks.settings import get_settings

if TYPE_CHECKING:
    from tasks.home import Home

_REST_SECONDS = 0.05
_KEYS = "[a]ccept  [c]orrect  [o]pen the file  [n]ext  [q]uit"


@click.command()
def review() -> None:
    """Go through what needs review: one key accepts, corrects or leaves a document.

    In a pipe: the documents and the reasons, a line each.
    """
    settings = get_settings()
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        with Ledger.open(settings) as ledger:
            for document in ledger.documents(states=[State.REVIEW]):
                click.echo("\t".join((document.id, visible(document.name), visible(document.message))))
        return
    with open_home(settings) as home:
        documents = home.ledger.documents(states=[State.REVIEW])
        for number, document in enumerate(documents, start=1):
            click.echo(f"\n--- {number} of {len(documents)}")
            if not _decide(home, document.id):
                break
        home.release()
        left = home.ledger.state_counts().get(State.REVIEW, 0)
    click.echo(f"{left} still to review." if left else "Nothing needs review.")


def _decide(home: "Home", document: str) -> bool:
    """Show a document until something is decided; False if the user has enough."""
    from app.report import report

    while (row := home.ledger.document(document)) is not None:
        click.echo("\n".join(report(home.ledger, row, with_text=False)))
        click.echo(_KEYS)
        try:
            match _key():
                case "a":
                    home.accept(row)
                    click.echo("Accepted.")
                    return True
                case "c":
                    _correct(home, row)
                case "o":
                    _open(row)
                case "n" | " " | "\r" | "\n":
                    return True
                case "q" | "\x1b" | "":
                    return False
        except ShoeboxError as error:
            click.echo(visible(str(error)), err=True)
    return True


def _key() -> str:
    """The key that is pressed next. What was typed ahead counts; `click.getchar` would drop it."""
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    tty.setcbreak(terminal, termios.TCSANOW)
    try:
        key = os.read(terminal, 1)
        if key == b"\x1b" and select.select([terminal], [], [], _REST_SECONDS)[0]:
            key += _rest_of_sequence(terminal)
        return key.decode("utf-8", "replace").lower()
    finally:
        termios.tcsetattr(terminal, termios.TCSANOW, before)


def _rest_of_sequence(terminal: int) -> bytes:
    """What follows the Escape of an arrow key and the like: up to its final byte (ECMA-48, 5.4)."""
    rest = os.read(terminal, 1)
    if rest not in (b"[", b"O"):
        return rest
    while (byte := os.read(terminal, 1)) and not b"\x40" <= byte <= b"\x7e":
        rest += byte
    return rest + byte


def _correct(home: "Home", row: DocumentRow) -> None:
    field = click.prompt("Field (or category)", default="", show_default=False).strip()
    if field:
        value = click.prompt("What is right (empty: it does not say)", default="", show_default=False)
        said = home.correct(row, field, value)
        for change in agreed_changes(row, said, home.similar_changes(said), similar=None):
            home.apply_change(change)


def _open(row: DocumentRow) -> None:
    from app.opening import open_original

    open_original(row.path)


COMMANDS = (review,)
