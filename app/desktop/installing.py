"""Putting the entry and its icon where desktops look, and taking them away again."""

import os
from pathlib import Path

from app.desktop.entry import entry_text
from app.desktop.icon import ICON
from app.marked_files import Change, check_ours, remove, write
from app.own_command import own_command
from tasks.settings import data_home

_SETTINGS = ("SHOEBOX_DATA_DIR", "SHOEBOX_CONFIG", "SHOEBOX_VENV")
"""Of this environment, which a desktop does not have: without them the icon would open another home."""


def entry_path() -> Path:
    """Where the entry lies (Desktop Menu Specification)."""
    return data_home().absolute() / "applications" / "shoebox.desktop"


def icon_path() -> Path:
    """Where the icon lies (Icon Theme Specification)."""
    return data_home().absolute() / "icons" / "hicolor" / "scalable" / "apps" / "shoebox.svg"


def command() -> tuple[str, ...]:
    """What the entry starts."""
    given = {name: os.environ[name] for name in _SETTINGS if os.environ.get(name)}
    program = own_command()
    if given and "=" in program[0]:  # env(1) would take it for a variable
        program = ("sh", "-c", 'exec "$0" "$@"', *program)
    variables = [f"{name}={Path(value).absolute()}" for name, value in given.items()]
    return (*(("env", *variables) if given else ()), *program, "ui", "--hold")


def install(*, replace: bool) -> list[tuple[Path, Change]]:
    """Write both files.

    Raises:
        ConfigError: one was changed by somebody, or a path cannot be written in the entry.
        ServiceError: one cannot be written.
    """
    files = {icon_path(): ICON, entry_path(): entry_text(command(), icon_path())}
    for path in files:
        check_ours(path, replace=replace)
    return [(path, write(path, text)) for path, text in files.items()]


def uninstall(*, replace: bool) -> list[tuple[Path, Change]]:
    """Remove both.

    Raises:
        ConfigError: one was changed by somebody; nothing was removed.
        ServiceError: one cannot be removed.
    """
    paths = (entry_path(), icon_path())
    for path in paths:
        check_ours(path, replace=replace)
    return [(path, remove(path)) for path in paths]
