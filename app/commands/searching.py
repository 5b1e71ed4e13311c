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
    from collections.abc import Sequence

    from tasks.search import Found, Hit

_WAIT_SECONDS = 2.0
"""For the vector of what is looked for; after that words must do."""


@click.command("search")
@click.argument("words", nargs=-1)
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="At most so many.")
@click.option("--words", "words_only", is_flag=True, help="By words only, not by meaning.")
@click.option("--reindex", is_flag=True, help="Make all that search by meaning rests on anew; finds nothing.")
@json_option
def find(words: tuple[str, ...], limit: int, words_only: bool, reindex: bool, as_json: bool) -> None:
    """Find documents by WORDS of their text, title and fields, and by what they mean; the best first.

    "several words" together, -word to exclude; category:invoice party:acme state:review date:2026-01..2026-03
    amount:>100 say how the document must be. See docs/search.md. Put -- before words that begin with -.
    """
    if reindex:
        _reindex()
        return
    if not words:
        raise click.UsageError("Missing argument 'WORDS...'.")
    text = " ".join(_as_typed(word) for word in words)
    found, problem = _found(text, limit, words_only=words_only)
    if as_json:
        facts = [asdict(one.hit) | {"name": one.document.name, "found_by": one.by} for one in found]
        click.echo(visible_json(facts, indent=1))
        return
    for one in found:
        about = "  ".join(one.facts())
        click.echo(f"{one.document.id}  {visible(one.document.name)}  {visible(about)}")
        if one.hit.snippet:
            click.echo(f"    {_place(one.hit)}: {_marked(one.hit)}{_by_meaning(one)}")
    if not found:
        click.echo("Nothing was found.", err=True)
    if problem:
        click.echo(f"Found by words only: {visible(problem)}", err=True)


def _found(text: str, limit: int, *, words_only: bool) -> "tuple[Sequence[Found], str]":
    """What was found, and why it was not looked for by meaning where one would expect it."""
    from tasks.search import find_documents

    settings = get_settings()
    with Ledger.open(settings) as ledger:
        if words_only or not settings.vectors_path.exists():
            return find_documents(ledger, text, limit), ""
        from tasks.meaning.hybrid import search_both

        search = search_both(settings, ledger, text, limit, _WAIT_SECONDS)
        return search.found, search.problem


def _reindex() -> None:
    from tasks.meaning.indexing import throw_away
    from tasks.meaning.standing import standing
    from tasks.meaning.store import VectorStore

    settings = get_settings()
    with Ledger.open(settings) as ledger:
        if settings.vectors_path.exists():
            with VectorStore.open(settings) as store:
                throw_away(store)
        click.echo(f"Search by meaning: {visible(standing(settings, ledger).words)}")


def _by_meaning(found: "Found") -> str:
    """Said where no word of the query need be."""
    return "  (by meaning)" if found.by == ("meaning",) else ""


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
