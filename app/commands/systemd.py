"""The command about systemd's user units."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.plain_text import visible, visible_lines
from tasks.errors import ConfigError
from tasks.path_questions import is_folder

if TYPE_CHECKING:
    from app.systemd.units import UnitOptions

_UNITS = ("home", "worker", "watch", "api")


@click.command()
@click.argument("units", metavar="[home|worker|watch|api]...", nargs=-1, type=click.Choice(_UNITS))
@click.option("--write", "mode", flag_value="write", help="Write them; without it they are only shown.")
@click.option("--remove", "mode", flag_value="remove", help="Stop and remove them; by default all.")
@click.option("--replace", is_flag=True, help="Also those that were changed by hand.")
@click.option(
    "--folder", "folders", multiple=True, type=click.Path(path_type=Path), help="That watch watches."
)
@click.option("--queues", default=None, help="That the worker serves; see `worker`.")
def systemd(
    units: tuple[str, ...], mode: str | None, replace: bool, folders: tuple[Path, ...], queues: str | None
) -> None:
    """Have systemd run Shoebox for you: user units, shown or written.

    home: Redis and the workers, with the watched folders; worker: for a home elsewhere; watch: switches
    --folder on; api: the HTTP API. The SHOEBOX_ settings of this environment go along in a file of their own
    that only you can read. docs/deployment.md says how they go on when you are logged out.
    """
    from app.own_command import own_command
    from app.systemd.installing import environment_path, install, uninstall
    from app.systemd.units import UnitOptions

    if mode == "remove":
        for one in uninstall(units or _UNITS, replace=replace):
            click.echo(f"{one.change.value}: {visible(str(one.path))}")
        return
    wanted = units or ("home",)
    _check(wanted, folders, queues)
    options = UnitOptions(own_command(), environment_path(), folders, queues)
    if mode is None:
        _show(wanted, options)
        return
    for one in install(wanted, options, replace=replace):
        click.echo(f"{one.change.value}: {visible(str(one.path))}")
    click.echo(f"All units have these settings of this environment: {_carried()}.")
    _say_what_next(wanted)


def _check(units: Sequence[str], folders: Sequence[Path], queues: str | None) -> None:
    if ("watch" in units) != bool(folders):
        raise click.UsageError("watch and --folder belong together.")
    if queues is not None and ("worker" not in units or not re.fullmatch(r"[a-z]+(,[a-z]+)*", queues)):
        raise click.UsageError("--queues names queues, with commas, for the unit worker.")
    for folder in folders:
        if not is_folder(folder):
            raise ConfigError(f"{folder} is no folder.", "Make it first, or check the name.")


def _show(units: Sequence[str], options: "UnitOptions") -> None:
    from app.systemd.installing import planned

    for path, text in planned(units, options).items():
        click.echo(f"--- {visible(str(path))}")
        if path == options.environment:
            click.echo(f"(of this environment: {_carried()}; mode 0600)")
        else:
            click.echo(visible_lines(text))
    click.echo("Nothing was written; --write does that.")


def _carried() -> str:
    from app.systemd.units import carried_environment

    return visible(", ".join(sorted(carried_environment()))) or "none"


def _say_what_next(units: Sequence[str]) -> None:
    names = " ".join(f"shoebox-{unit}" for unit in units)
    click.echo("Start them now and at each login:")
    click.echo(f"  systemctl --user enable --now {names}")
    click.echo("Have them run while you are logged out, too:")
    click.echo("  loginctl enable-linger")


COMMANDS = (systemd,)
