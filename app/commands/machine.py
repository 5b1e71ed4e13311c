"""Commands about this machine and this program: doctor accuracy test."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from app.called import as_called
from app.commands.documents import json_option, recipe_option
from app.plain_text import visible
from tasks.settings import get_settings


@click.command()
@json_option
@click.option(
    "--bundle", is_flag=True, help="Write a file for whoever helps, without document text or names."
)
@click.argument("file", required=False, type=click.Path(path_type=Path))
def doctor(as_json: bool, bundle: bool, file: Path | None) -> None:
    """Say what is here, what is missing and how to mend it.

    With --bundle: write that, versions, numbers and logs to FILE, a .zip in the current folder by default.
    """
    from app.doctor import exit_code, run_checks

    if bundle:
        _write_bundle(file)
        return
    if file is not None:
        raise click.UsageError("FILE belongs to --bundle.")
    checks = run_checks(get_settings())
    if as_json:
        click.echo(json.dumps([asdict(check) for check in checks], indent=1))
    else:
        for check in checks:
            click.echo(f"{check.verdict.value:4}  {check.name}: {visible(check.found)}")
            if check.remedy:
                click.echo(f"      {visible(as_called(check.remedy))}")
    sys.exit(exit_code(checks))


def _write_bundle(file: Path | None) -> None:
    from app.support.bundle import default_name, write_bundle

    path = (file or default_name()).absolute()
    told = write_bundle(get_settings(), path)
    click.echo(f"{visible(str(path))} holds:")
    for line in told:
        click.echo(f"  {line}")
    click.echo(
        "Nothing was sent. Look through it before you pass it on; README.txt in it says what is left out."
    )


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@recipe_option
@click.option("--category", default=None, help="The true category of files whose truth names none.")
@click.option("--scans", is_flag=True, help="Also as scans: each page rendered at 200 dpi and read by OCR.")
@json_option
def accuracy(folder: Path, recipe: str | None, category: str | None, scans: bool, as_json: bool) -> None:
    """Measure how well the offline engine reads FOLDER, which holds files and a truth.json.

    docs/offline-engine.md says what the truth file looks like and what counts as right.
    """
    from app.accuracy import measure_offline
    from app.tables import print_table

    reports = list(measure_offline(folder, get_settings(), recipe, category, scans=scans))
    if as_json:
        click.echo(json.dumps([report.model_dump(mode="json") for report in reports], indent=1))
        return
    click.echo(f"{reports[0].engine} on {len(reports[0].rows)} files", err=True)
    print_table(
        ("pages", "field", "right", "of", "share", "wrong", "missing", "truth not in the text"),
        [
            (
                report.pages,
                field.field,
                str(field.right),
                str(field.total),
                f"{field.share:.0%}",
                str(field.wrong),
                str(field.missing),
                str(field.not_in_text),
            )
            for report in reports
            for field in report.fields
        ],
    )
    for report in reports:
        seen = report.verified
        click.echo(
            f"{report.pages}: {seen.values} values are verified; {seen.on_page} literally stand on the page "
            f"they name, {seen.by_another} also as another reader finds that page in the file.",
            err=True,
        )
        for missed in seen.missed:
            click.echo(f"  not found: {visible(missed)}", err=True)


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def test(arguments: tuple[str, ...]) -> None:
    """Run all checks and tests of this program; arguments go to pytest."""
    from app.testing import main

    sys.exit(main(list(arguments)))


COMMANDS = (doctor, accuracy, test)
