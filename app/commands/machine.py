"""Commands about this machine and this program: doctor accuracy test."""

import json
import sys
from dataclasses import asdict

import click

from app.commands.documents import json_option
from app.plain_text import visible
from tasks.settings import get_settings


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Say what is here, what is missing and how to mend it."""
    from app.doctor import exit_code, run_checks

    checks = run_checks(get_settings())
    if as_json:
        click.echo(json.dumps([asdict(check) for check in checks], indent=1))
    else:
        for check in checks:
            click.echo(f"{check.verdict.value:4}  {check.name}: {visible(check.found)}")
            if check.remedy:
                click.echo(f"      {visible(check.remedy)}")
    sys.exit(exit_code(checks))


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def test(arguments: tuple[str, ...]) -> None:
    """Run all checks and tests of this program; arguments go to pytest."""
    from app.testing import main

    sys.exit(main(list(arguments)))


COMMANDS = (doctor, test)
