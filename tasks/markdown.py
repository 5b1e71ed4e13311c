"""Text of documents in Markdown: always shown as text, never as markup."""

import re
from collections.abc import Iterable, Iterator, Sequence

from tasks.plain_text import visible


def markdown_text(text: str) -> str:
    """Markup of Markdown and HTML is shown, not acted on."""
    return re.sub(r"([\\|`*_\[\]<>#!~&])", r"\\\1", visible(text))


def markdown_concern(name: str, document: str, *words: str) -> str:
    """A line of a list: a document that a person should look at, and why."""
    why = " ".join(filter(None, words))
    return f"- **{markdown_text(name)}** ({document}): {markdown_text(why)}\n"


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A table, line by line. The column names are the code's own, the cells are anybody's."""
    yield f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n"
    for row in rows:
        yield f"| {' | '.join(map(markdown_text, row))} |\n"
