"""Putting units where the user's systemd finds them, and taking them away again."""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.marked_files import Change, check_ours, remove, write
from app.systemd.quoting import environment_file
from app.systemd.units import UNITS, UnitOptions, carried_environment, unit_name, unit_text
from tasks.settings import config_home

_ANSWER_SECONDS = 90.0
"""`systemctl disable --now` waits until the services have stopped."""


@dataclass(frozen=True)
class Written:
    """A file and what became of it."""

    path: Path
    change: Change


def units_dir() -> Path:
    """Where the user's own units lie (systemd.unit(5))."""
    return config_home() / "systemd" / "user"


def environment_path() -> Path:
    """The settings that the units have beside those of the settings file."""
    return (config_home() / "shoebox" / "services.env").absolute()


def planned(units: Sequence[str], options: UnitOptions) -> dict[Path, str]:
    """The files that are to be, with their texts: the environment and each unit.

    Raises:
        ConfigError: a path or a setting cannot be written in one.
    """
    files = {environment_path(): environment_file(carried_environment())}
    return files | {units_dir() / unit_name(unit): unit_text(unit, options) for unit in units}


def install(units: Sequence[str], options: UnitOptions, *, replace: bool) -> list[Written]:
    """Write them all, or none where one was changed by somebody.

    Raises:
        ConfigError: one was changed, or cannot say what it has to.
        ServiceError: one cannot be written.
    """
    files = planned(units, options)
    for path in files:
        check_ours(path, replace=replace)
    written = [Written(path, write(path, text)) for path, text in files.items()]
    _ask_systemd("daemon-reload")
    return written


def uninstall(units: Sequence[str], *, replace: bool) -> list[Written]:
    """Stop, disable and remove units; with the last one the environment goes too.

    Raises:
        ConfigError: one was changed by somebody; nothing was removed.
        ServiceError: one cannot be removed.
    """
    paths = [units_dir() / unit_name(unit) for unit in units]
    others = [units_dir() / unit_name(unit) for unit in UNITS if unit not in units]
    if not any(path.exists() for path in others):
        paths.append(environment_path())
    for path in paths:
        check_ours(path, replace=replace)
    there = [path.name for path in paths if path.suffix == ".service" and path.exists()]
    if there:
        _ask_systemd("disable", "--now", *there)
    for unit in units:  # where no systemd answered
        link = units_dir() / "default.target.wants" / unit_name(unit)
        if link.is_symlink():
            link.unlink()
    removed = [Written(path, remove(path)) for path in paths]
    _ask_systemd("daemon-reload")
    return removed


def _ask_systemd(*arguments: str) -> bool:
    """Tell the user's systemd; False where there is none, which then reads the units when it starts."""
    program = shutil.which("systemctl")
    if program is None:
        return False
    try:
        done = subprocess.run(
            [program, "--user", "--no-ask-password", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ANSWER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
