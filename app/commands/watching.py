"""Commands about watched folders: watch, and the watcher's own program."""

import json
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.commands.documents import json_option, recipe_option
from app.plain_text import visible
from app.watch.words import file_line, folder_lines
from tasks.settings import Settings, get_settings

if TYPE_CHECKING:
    from app.watch.journal import Journal, WatchedFile, WatchedFolder

_FOLLOW_SECONDS = 0.3


@click.command()
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path, readable=False))
@click.option("--off", is_flag=True, help="Watch these folders no longer; all of them if none is named.")
@click.option("--forget", is_flag=True, help="As --off, and forget what became of their files.")
@click.option("--move-taken", is_flag=True, help="Move taken files to a subfolder; by default they stay.")
@click.option("--only-new", is_flag=True, help="Leave alone what is there already.")
@recipe_option
@click.option("--background", is_flag=True, help="Return at once.")
@click.option("--all", "with_all", is_flag=True, help="List every file that was seen.")
@json_option
def watch(
    folders: tuple[Path, ...],
    off: bool,
    forget: bool,
    move_taken: bool,
    only_new: bool,
    recipe: str | None,
    background: bool,
    with_all: bool,
    as_json: bool,
) -> None:
    """Take in what is put into FOLDERS, by itself, once it has come to rest.

    Shows what is taken until Ctrl-C; the folders are watched on in the background, also after a restart of
    the services, until --off. Without FOLDERS: list the watched ones and the files that were not taken.
    """
    from app.watch.journal import Journal, WhenTaken
    from app.watch.switching import WatchOptions, start_watcher, switch_on

    settings = get_settings()
    if off and forget:
        raise click.UsageError("--off and --forget exclude each other.")
    with Journal.open(settings) as journal:
        if off or forget:
            _switch_off(journal, folders, forget=forget)
        elif not folders:
            _list(journal, settings, with_all=with_all, as_json=as_json)
        else:
            recipe = recipe or settings.recipe
            when_taken = WhenTaken.MOVE if move_taken else WhenTaken.LEAVE
            _check_recipe(recipe, settings)
            seen = journal.last_change()
            paths = switch_on(journal, settings, folders, WatchOptions(recipe, when_taken, only_new))
            start_watcher(settings)
            for path in paths:
                click.echo(f"Watching {visible(str(path))}.", err=True)
            if not background:
                _follow(journal, seen)


def _check_recipe(recipe: str, settings: Settings) -> None:
    from tasks.recipes import load_recipe

    load_recipe(recipe, settings.recipes_path)


def _switch_off(journal: "Journal", folders: tuple[Path, ...], *, forget: bool) -> None:
    from app.watch import switching

    change = switching.forget if forget else switching.switch_off
    done = change(journal, folders)
    for path in done:
        click.echo(f"No longer watching {visible(str(path))}.")
    if not done:
        click.echo("Nothing was watched.")


def _list(journal: "Journal", settings: Settings, *, with_all: bool, as_json: bool) -> None:
    from app.watch.lock import watcher_runs

    folders = journal.folders()
    runs = watcher_runs(settings)
    files = [file for file in journal.files() if with_all or file.wants_attention]
    if as_json:
        facts = {
            "running": runs,
            "folders": [_folder_facts(folder, journal) for folder in folders],
            "files": [_file_facts(file) for file in files],
        }
        click.echo(json.dumps(facts, indent=1))
        return
    if not folders:
        click.echo("No folder is watched. `./run.sh watch FOLDER` begins with one.")
    for folder in folders:
        for line in folder_lines(folder, runs, journal.counts(folder.id)):
            click.echo(line)
    for file in files:
        click.echo(file_line(file))


def _folder_facts(folder: "WatchedFolder", journal: "Journal") -> dict[str, Any]:
    return {
        "path": os.fsdecode(folder.path),
        "on": folder.is_on,
        "recipe": folder.recipe,
        "when_taken": folder.when_taken,
        "mode": folder.mode,
        "problem": folder.problem,
        "files": {state.value: number for state, number in journal.counts(folder.id).items()},
    }


def _file_facts(file: "WatchedFile") -> dict[str, Any]:
    return {
        "path": os.fsdecode(file.path),
        "state": file.state,
        "reason": file.reason,
        "document": file.document,
        "at": file.at,
    }


def _follow(journal: "Journal", seen: int) -> None:
    """Print what becomes of files until Ctrl-C."""
    version = None
    stop = threading.Event()
    try:
        while not stop.wait(_FOLLOW_SECONDS):
            if (newest := journal.version()) == version:
                continue
            version = newest
            for file in journal.changed_files(after=seen):
                seen = file.change
                click.echo(file_line(file))
    except KeyboardInterrupt:
        click.echo("\nStill watching in the background; `./run.sh watch --off` ends that.", err=True)


@click.command("_watch", hidden=True)
def watch_program() -> None:
    """Watch the folders that are switched on."""
    from app.watch.program import serve
    from tasks.lifeline import die_with_parent

    die_with_parent()
    serve(get_settings())


COMMANDS = (watch, watch_program)
