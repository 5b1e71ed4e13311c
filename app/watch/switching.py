"""Which folders are watched: switching them on and off, for the command line and the UI."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.watch.journal import Journal, WatchedFolder, WhenTaken
from tasks.errors import ConfigError, NotFoundError, ServiceError
from tasks.settings import Settings


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """How folders are watched."""

    recipe: str
    when_taken: WhenTaken = WhenTaken.LEAVE
    only_new: bool = False
    """Leave alone what is there already."""


def switch_on(
    journal: Journal, settings: Settings, paths: Iterable[Path], options: WatchOptions
) -> list[Path]:
    """Watch these folders; all of them or none. Returns their absolute paths.

    Raises:
        NotFoundError: one is not there.
        ConfigError: one is no folder, holds the data directory, or lies in or around a watched one.
    """
    wanted = [path.resolve() for path in paths]
    with journal.transaction():
        for path in wanted:
            others = [folder.path for folder in journal.folders() if folder.is_on and folder.path != path]
            _check(path, others, settings)
            journal.put_folder(path, options.recipe, options.when_taken, only_new=options.only_new)
    return wanted


def start_watcher(settings: Settings) -> None:
    """Have the services run, and the watcher among them.

    Raises:
        ServiceError: something does not start, or an older version runs, which has no watcher.
    """
    from app import services

    if "watch" not in services.up(settings).programs:
        raise ServiceError(
            "The services that run were started by an older version, which has no watcher.",
            "Restart them: ./run.sh down, then ./run.sh up. The folder is watched from then on.",
        )


def switch_off(journal: Journal, paths: Sequence[Path]) -> list[Path]:
    """Watch these folders no longer, or none at all if none is named. Returns those that were watched.

    Raises:
        NotFoundError: one of them is not watched.
    """
    with journal.transaction():
        found = [folder for folder in _named(journal, paths) if folder.is_on]
        for folder in found:
            journal.switch_off(folder.id)
    return [folder.path for folder in found]


def forget(journal: Journal, paths: Sequence[Path]) -> list[Path]:
    """Watch these folders no longer and forget what became of their files. Documents stay.

    Raises:
        NotFoundError: one of them was never watched.
    """
    with journal.transaction():
        found = _named(journal, paths)
        for folder in found:
            journal.forget_folder(folder.id)
    return [folder.path for folder in found]


def _named(journal: Journal, paths: Sequence[Path]) -> list[WatchedFolder]:
    """The folders of these names; all of them if none is given."""
    folders = {folder.path: folder for folder in journal.folders()}
    named = [path.resolve() for path in paths]
    for path in named:
        if path not in folders:
            raise NotFoundError(f"{path} is not watched.", "./run.sh watch lists the folders that are.")
    return [folders[path] for path in named] if paths else list(folders.values())


def _check(path: Path, others: Iterable[Path], settings: Settings) -> None:
    try:
        is_there = path.exists()
    except OSError as error:  # its folder is closed to us, or its share is gone
        raise ConfigError(f"{path} cannot be opened.", "Check its rights.") from error
    if not is_there:
        raise NotFoundError(f"{path} does not exist.", "Make the folder first, or check the name.")
    if not path.is_dir():
        raise ConfigError(f"{path} is a file.", "Only folders can be watched; ./run.sh add takes files.")
    if not os.access(path, os.R_OK | os.X_OK):
        raise ConfigError(f"{path} cannot be opened.", "Check its rights.")
    real, data = path.resolve(), settings.data_dir.resolve()
    if data.is_relative_to(real) or real.is_relative_to(data):
        raise ConfigError(
            f"{path} and Shoebox's own data in {settings.data_dir} lie in one another.",
            "Watch a folder of its own.",
        )
    for other in others:
        if real.is_relative_to(other.resolve()) or other.resolve().is_relative_to(real):
            raise ConfigError(
                f"{path} and {other}, which is watched, lie in one another.",
                "One watched folder includes all below it; switch the other off first: watch --off.",
            )
