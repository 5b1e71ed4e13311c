"""The command line: what commands there are, and how errors become words and exit codes."""

import logging
import os
import sqlite3
import sys
from typing import NoReturn

import click

from app import __version__
from app.called import as_called, own_name
from app.commands import (
    asking,
    backup,
    completing,
    decisions,
    desktop,
    documents,
    logs,
    machine,
    models,
    notices,
    plans,
    reviewing,
    searching,
    services,
    serving,
    systemd,
    watching,
    watching_workers,
    web,
    working,
)
from app.completion import VARIABLE
from app.plain_text import visible_lines
from app.private_files import be_private
from tasks.errors import ExitCode, ShoeboxError
from tasks.sqlite import is_damage

_EPILOG = """\b
Exit codes:
  0  all went well              5  a setting or a recipe is wrong
  1  something unexpected       6  Redis, a worker or the supervisor is not there
  2  wrong command line         7  --wait ended with documents that could not be read
  3  no such file or document   8  ask: the documents do not say, or no model answered
  4  a file cannot be taken     130  interrupted
"""


class _Commands(click.Group):
    """All commands. What is none, but is there, are files for the terminal UI."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and self.get_command(ctx, args[0]) is None and os.path.lexists(args[0]):
            args = ["ui", *args]
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Commands,
    invoke_without_command=True,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="shoebox %(version)s")
@click.pass_context
def shoebox(context: click.Context) -> None:
    """Drop your papers in, get a table you can trust. Nothing leaves your machines.

    Without a command, on a terminal: open the terminal UI. Files in its place are taken in there.
    """
    if context.invoked_subcommand is not None:
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        click.echo(context.get_help())
        return
    from app.tui.app import run
    from tasks.settings import get_settings

    run(get_settings())


for _command in (
    *documents.COMMANDS,
    *decisions.COMMANDS,
    *services.COMMANDS,
    *serving.COMMANDS,
    *watching_workers.COMMANDS,
    *web.COMMANDS,
    *working.COMMANDS,
    *searching.COMMANDS,
    *asking.COMMANDS,
    *reviewing.COMMANDS,
    *watching.COMMANDS,
    *plans.COMMANDS,
    *notices.COMMANDS,
    models.models,
    *logs.COMMANDS,
    *backup.COMMANDS,
    *systemd.COMMANDS,
    *desktop.COMMANDS,
    *machine.COMMANDS,
    *completing.COMMANDS,
):
    shoebox.add_command(_command)


def main() -> NoReturn:
    """Run a command. Errors made for people become one message and their exit code."""
    from tasks.logs import begin_command

    be_private()
    begin_command()
    try:
        shoebox(standalone_mode=False, prog_name=own_name(), complete_var=VARIABLE)
    except ShoeboxError as error:
        _fail(error.message, error.remedy, error.exit_code)
    except click.exceptions.Exit as leaving:
        sys.exit(leaving.exit_code)
    except click.ClickException as error:
        _show(error)
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(ExitCode.INTERRUPTED)
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        found = damaged_file(error)
        _fail(found.message, found.remedy, found.exit_code)
    sys.exit(ExitCode.OK)


def damaged_file(error: sqlite3.DatabaseError) -> ShoeboxError:
    """What to say when SQLite comes upon a damaged page while it reads."""
    from tasks.settings import get_settings
    from tasks.upgrading import damaged

    return damaged(get_settings().ledger_path, error)


def _show(error: click.ClickException) -> None:
    """As click does it. What it repeats may be names of files, which a shell has put for a `*`."""
    if isinstance(error, click.UsageError) and error.ctx is not None:
        click.echo(error.ctx.get_usage(), err=True)
        click.echo(f"Try '{error.ctx.command_path} --help' for help.\n", err=True)
    click.echo(f"Error: {visible_lines(error.format_message())}", err=True)


def _fail(message: str, remedy: str, code: ExitCode) -> NoReturn:
    from tasks.logs import is_json

    if is_json():  # a program in the background: its last words go where its others went
        logging.getLogger("shoebox.process").critical("%s %s", message, remedy)
    else:
        click.echo(f"shoebox: {visible_lines(as_called(message))}", err=True)
        if remedy:
            click.echo(f"         {visible_lines(as_called(remedy))}", err=True)
    if code is ExitCode.CONFIG:
        from app.services.programs import outlast_start

        outlast_start()
    sys.exit(code)
