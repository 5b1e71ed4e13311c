"""The command that finds documents."""

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from app.commands.documents import json_option
from app.plain_text import visible, visible_json
from tasks.ledger import Ledger
from tasks.settings import get_settings

if TYPE_CHECKING:
    from tasks.search import Hit


@click.command("search")
@click.argument("words", nargs=-1, required=True)
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="At most so many.")
@json_option
def find(words: tuple[str, ...], limit: int, as_json: bool) -> None:
    """Find documents by WORDS of their text, title and fields, the best first.

    "several words" together, -word to exclude; category:invoice party:acme state:review date:2026-01..2026-03
    amount:>100 say how the document must be. See docs/search.md. Put -- before words that begin with -.
    """
    from tasks.search import find_documents

    with Ledger.open(get_settings()) as ledger:
        found = find_documents(ledger, " ".join(_as_typed(word) for word in words), limit)
    if as_json:
        facts = [asdict(one.hit) | {"name": one.document.name} for one in found]
        click.echo(visible_json(facts, indent=1))
        return
    for one in found:
        about = "  ".join(one.facts())
        click.echo(f"{one.document.id}  {visible(one.document.name)}  {visible(about)}")
        if one.hit.snippet:
            click.echo(f"    {_place(one.hit)}: {_marked(one.hit)}")
    if not found:
        click.echo("Nothing was found.", err=True)


def _as_typed(word: str) -> str:
    """An argument with blanks was quoted in the shell: it is a phrase, unless it is a whole query."""
    return f'"{word}"' if " " in word and ":" not in word and '"' not in word else word


def _place(hit: "Hit") -> str:
    if not hit.page:
        return "about"
    more = f", {hit.pages} pages" if hit.pages > 1 else ""
    return f"page {hit.page}{more}"


def _marked(hit: "Hit") -> str:
    """The snippet with its words in bold, on a terminal."""
    in_bold = sys.stdout.isatty()
    parts = (
        click.style(visible(piece), bold=True) if is_word and in_bold else visible(piece)
        for piece, is_word in hit.pieces()
    )
    return "".join(parts).strip()


COMMANDS = (find,)
