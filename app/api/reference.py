"""The list of what there is, from the OpenAPI: for `docs/api.md`, and as a page.

`python -m app.api.reference docs/api.md` writes it into that file.
"""

import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- endpoints: generated -->", "<!-- endpoints: end -->"


def _operations(described: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Tag, method, path and what it does, in the order of the tags."""
    order = [tag["name"] for tag in described["tags"]]
    found = [
        (operation["tags"][0], method.upper(), path, operation["description"].split("\n")[0])
        for path, operations in described["paths"].items()
        for method, operation in operations.items()
    ]
    yield from sorted(found, key=lambda one: order.index(one[0]))


def reference_table(described: dict[str, Any]) -> str:
    """The table in Markdown."""
    lines = [BEGIN, "| | | |", "|---|---|---|"]
    last = ""
    for tag, method, path, words in _operations(described):
        lines.append(f"| {tag if tag != last else ''} | `{method} {path}` | {words} |")
        last = tag
    return "\n".join([*lines, END])


def _write(page: Path) -> None:
    """Replace the table in a file by that of this version."""
    from app.api.application import create_app
    from tasks.settings import Settings

    text = page.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN, 1)
    table = reference_table(create_app(Settings(), "", needs_token=False).openapi())
    page.write_text(before + table + rest.split(END, 1)[1], encoding="utf-8")


def reference_page(described: dict[str, Any]) -> str:
    """The same as a page that loads nothing."""
    rows = "".join(
        f"<tr><td>{escape(tag)}</td><td><code>{escape(method)} {escape(path)}</code></td>"
        f"<td>{escape(words)}</td></tr>"
        for tag, method, path, words in _operations(described)
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Shoebox: HTTP API</title>'
        "<style>body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:70em;padding:0 1em}"
        "td{padding:.2em 1em .2em 0;vertical-align:top}</style>"
        f"<h1>Shoebox: HTTP API</h1><p>{escape(described['info']['summary'])} "
        'All of it: <a href="/openapi.json">openapi.json</a>.</p>'
        f"<table>{rows}</table></html>"
    )


if __name__ == "__main__":
    _write(Path(sys.argv[1]))
