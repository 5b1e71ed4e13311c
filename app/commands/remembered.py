"""Offering what a correction would change in similar documents."""

import shlex
import sys

import click

from app.plain_text import visible
from tasks.examples import Change
from tasks.ledger import DocumentRow
from tasks.said import Correction


def agreed_changes(
    document: DocumentRow, said: Correction, changes: list[Change], *, similar: bool | None
) -> list[Change]:
    """The changes in similar documents that are to be made: all or none."""
    if not changes:
        return []
    many = f"{len(changes)} similar documents" if len(changes) > 1 else "1 similar document"
    click.echo(f"Remembered. {many} would change:", err=True)
    for change in changes:
        old, new = visible(change.old) or "-", visible(change.new)
        click.echo(f"  {change.document}  {visible(change.name)}: {change.field} {old} -> {new}", err=True)
    if similar is None:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            value = shlex.quote(said.new)
            command = f"./run.sh correct {document.id} {said.field} {value} --similar"
            click.echo(f"Not applied. `{visible(command)}` applies it.", err=True)
            return []
        similar = click.confirm("Apply?", err=True)
    return changes if similar else []
