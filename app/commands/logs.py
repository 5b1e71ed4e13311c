"""The command `logs`: what happened, in all programs of this machine."""

import threading
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from app import completion
from tasks.settings import Settings, get_settings

if TYPE_CHECKING:
    from app.logs.entries import Choice, Entry
    from app.logs.files import Following

_LOOK_SECONDS = 0.3
_LINES = 200


@click.command()
@click.argument("program", required=False, shell_complete=completion.programs)
@click.option(
    "--document",
    default="",
    shell_complete=completion.documents,
    help="Only about this document: its id, or how that begins.",
)
@click.option("--unit", type=int, default=None, help="Only about the unit of this number.")
@click.option(
    "--level",
    type=click.Choice(("debug", "info", "warning", "error")),
    default="debug",
    help="Only what is at least so grave.",
)
@click.option("--lines", type=click.IntRange(0), default=None, help="The last so many; 0: all.")
@click.option("--follow", is_flag=True, help="Go on with what is written from now on, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each.")
def logs(
    program: str | None,
    document: str,
    unit: int | None,
    level: str,
    lines: int | None,
    follow: bool,
    as_json: bool,
) -> None:
    """Show what the programs on this machine have logged, of all of them by time, or of PROGRAM alone.

    The last 200 lines; with --document or --unit all. docs/logs.md explains the fields.
    """
    from app.logs.entries import Choice
    from app.logs.files import Following, chosen, read_entries

    settings = get_settings()
    choice = Choice(document, unit, level)
    names = chosen(settings, program)
    wanted = lines if lines is not None else 0 if document or unit is not None else _LINES
    # Opened before the files are read: a line that comes meanwhile may be shown twice, and none is lost.
    following = [Following(settings, name) for name in names] if follow else []
    found = (entry for entry in read_entries(settings, names) if choice.has(entry))
    try:
        _show(deque(found, maxlen=wanted) if wanted else found, as_json=as_json)
        if follow:
            _follow(settings, following, program, choice, as_json=as_json)
    except (KeyboardInterrupt, BrokenPipeError):
        _leave_quietly()


def _show(found: Iterable["Entry"], *, as_json: bool) -> None:
    from app.plain_text import visible_json

    for entry in found:
        click.echo(visible_json({**entry.fields, "program": entry.program}) if as_json else entry.words)


def _follow(
    settings: Settings, following: "list[Following]", program: str | None, choice: "Choice", *, as_json: bool
) -> None:
    """Until Ctrl-C. Programs that begin to log meanwhile are followed as well."""
    from app.logs.files import Following, programs

    pause = threading.Event()
    known = {one.program for one in following}
    while True:
        for name in programs(settings) if program is None else ():
            if name not in known:
                known.add(name)
                following.append(Following(settings, name, at_end=False))
        new = [entry for one in following for entry in one.new_entries() if choice.has(entry)]
        _show(sorted(new, key=lambda entry: entry.time), as_json=as_json)
        pause.wait(_LOOK_SECONDS)


def _leave_quietly() -> None:
    """Whoever read our lines has gone, such as `head`; Python would complain once more at its end."""
    import os
    import sys

    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())


COMMANDS = (logs,)
