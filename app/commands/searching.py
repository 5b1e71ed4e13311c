"""The command that finds documents."""

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from app.commands.documents import json_option
from app.plain_text import visible
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
    from tasks.search import parse_query, search

    query = parse_query(" ".join(_as_typed(word) for word in words))
    with Ledger.open(get_settings()) as ledger:
        hits = search(ledger, query, limit)
        rows = {row.id: row for row in ledger.documents(ids=[hit.document for hit in hits])} if hits else {}
    if as_json:
        found = [asdict(hit) | {"name": rows[hit.document].name} for hit in hits]
        click.echo(json.dumps(found, ensure_ascii=False, indent=1))
        return
    for hit in hits:
        row = rows[hit.document]
        parts = (row.category, row.party, row.date, f"{row.amount} {row.currency}".strip())
        about = "  ".join(filter(None, parts))
        click.echo(f"{row.id}  {visible(row.name)}  {visible(about)}")
        if hit.snippet:
            click.echo(f"    {_place(hit)}: {_marked(hit)}")
    if not hits:
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
    parts, at = [], 0
    for first, last in hit.marks:
        word = visible(hit.snippet[first:last])
        parts += [
            visible(hit.snippet[at:first]),
            click.style(word, bold=True) if sys.stdout.isatty() else word,
        ]
        at = last
    return "".join([*parts, visible(hit.snippet[at:])]).strip()


COMMANDS = (find,)
