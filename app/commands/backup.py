"""Commands about keeping the data directory safe: backup restore."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.plain_text import visible
from tasks.settings import get_settings

if TYPE_CHECKING:
    from app.backup import Restored
    from app.backup.archive import Progress

_EVERY_SECONDS = 5.0
_TERMINAL_SECONDS = 0.2


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--replace", is_flag=True, help="Replace a file of that name, once the new one is whole.")
def backup(file: Path, replace: bool) -> None:
    """Write everything that Shoebox knows to FILE, while it runs; a folder: to a new file in it.

    The file is for your eyes only, and holds what your documents say. docs/backup.md tells what is in it.
    """
    from app.backup import make_backup
    from app.backup.contents import ELSEWHERE
    from tasks.settings import config_file

    with _shown("copied") as progress:
        made = make_backup(get_settings(), file, replace=replace, progress=progress)
    click.echo(
        f"{visible(str(made.path))} is whole: {made.files:,} files, {_size(made.size)},"
        f" {_size(made.ledger)} of it the ledger."
    )
    click.echo("Not in it:")
    for words in (*made.left_out, *(words.format(config=config_file().parent) for words in ELSEWHERE)):
        click.echo(f"  {visible(words)}")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--to", type=click.Path(path_type=Path), help="Another folder than the data directory.")
@click.option("--check", is_flag=True, help="Only read it and say whether it is whole.")
def restore(file: Path, to: Path | None, check: bool) -> None:
    """Make the data directory of a FILE that `backup` has written. Never overwrites anything.

    All of it is checked before it gets its place.
    """
    from app.backup import check_backup, restore_backup

    if check:
        if to is not None:
            raise click.UsageError("--check and --to exclude each other.")
        with _shown("checked") as progress:
            checked = check_backup(file, progress)
        manifest = checked.manifest
        click.echo(
            f"{visible(str(file))} is whole: {len(manifest.files):,} files, {_size(checked.size)}, made"
            f" {_moment(manifest.made_at)} by Shoebox {visible(manifest.shoebox)}."
        )
        return
    with _shown("restored") as progress:
        restored = restore_backup(get_settings(), file, to, progress=progress)
    _tell(restored)


def _tell(restored: "Restored") -> None:
    where = visible(str(restored.path))
    documents = f"{restored.documents:,} document{'' if restored.documents == 1 else 's'}"
    click.echo(f"{where} is as it was {_moment(restored.manifest.made_at)}: {documents}.")
    if restored.missing:
        click.echo(
            f"The originals of {restored.missing:,} are not where they were. What is known of them is there;"
            " put them back to open them or to have them read again."
        )
    if restored.is_data_dir:
        click.echo("Begin with: ./run.sh up")
    else:
        click.echo("SHOEBOX_DATA_DIR set to that folder makes it the one that is used.")


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def _size(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


@contextmanager
def _shown(word: str) -> Iterator["Progress"]:
    """How much was done, on standard error: in one line on a terminal, else a line every few seconds."""
    is_terminal = sys.stderr.isatty()
    pause = _TERMINAL_SECONDS if is_terminal else _EVERY_SECONDS
    done, said_at, said = 0, time.monotonic(), False

    def progress(size: int) -> None:
        nonlocal done, said_at, said
        done += size
        if time.monotonic() - said_at > pause:
            said_at, said = time.monotonic(), True
            click.echo(
                f"\r  {_size(done)} {word} " if is_terminal else f"{_size(done)} {word}",
                err=True,
                nl=not is_terminal,
            )

    try:
        yield progress
    finally:
        if said and is_terminal:
            click.echo("\r\033[K", err=True, nl=False)


COMMANDS = (backup, restore)
