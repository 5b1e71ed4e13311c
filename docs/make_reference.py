"""Make docs/commands.md and docs/settings.md from the program itself: `python -m docs.make_reference`.

The first is what the commands' own `--help` says, the second the fields of the settings with their
docstrings. A test compares both pages with what this makes.
"""

import ast
import inspect
import json
from collections.abc import Iterator
from copy import copy
from itertools import pairwise
from pathlib import Path
from textwrap import dedent

import click
from pydantic.fields import FieldInfo

from app.cli import shoebox
from tasks.settings import Settings

DOCS = Path(__file__).resolve().parent
COLUMNS = 100
COMMANDS_HEAD = """# Commands

What `--help` says after each command, made by `python -m docs.make_reference`. Which one is for what, at a
glance: [the README](../README.md#commands).
"""
SETTINGS_HEAD = """# Settings

Each is a line `name = value` in `~/.config/shoebox/config.toml` (`SHOEBOX_CONFIG` names another file), or
`SHOEBOX_<NAME>` in the environment, which goes first; lists and tables are JSON there. Services take up a
change after `./run.sh down` and `./run.sh up`. Made by `python -m docs.make_reference` from
[tasks/settings.py](../tasks/settings.py).

| setting | default | |
|---|---|---|
"""
MADE_DEFAULTS = {
    "data_dir": "`~/.local/share/shoebox`",
    "cpu_concurrency": "cores - 1",
    "num_thread": "cores - 1",
}
"""Defaults that depend on the machine or the user."""


def commands_page() -> str:
    """docs/commands.md as it should be."""
    top = click.Context(shoebox, info_name="./run.sh", terminal_width=COLUMNS, **shoebox.context_settings)
    names = [name for name in shoebox.list_commands(top) if not shoebox.commands[name].hidden]
    return "\n".join([COMMANDS_HEAD, *(_command(top, name) for name in names)])


def settings_page() -> str:
    """docs/settings.md as it should be."""
    texts = dict(_docstrings())
    rows = (
        f"| `{name}` | {_default(name, field)} | {texts[name]} |\n"
        for name, field in Settings.model_fields.items()
    )
    return SETTINGS_HEAD + "".join(rows)


def _command(top: click.Context, name: str) -> str:
    command = copy(shoebox.commands[name])
    # Click keeps the option --help of the first call, which a test may have made without our settings.
    command._help_option = None
    context = click.Context(command, info_name=name, parent=top)
    return f"## {name}\n\n```text\n{command.get_help(context).rstrip()}\n```\n"


def _docstrings() -> Iterator[tuple[str, str]]:
    """Each field with the text that stands below it."""
    source = ast.parse(dedent(inspect.getsource(Settings)))
    for fields in (node.body for node in source.body if isinstance(node, ast.ClassDef)):
        for field, text in pairwise(fields):
            match field, text:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(words))):
                    yield name, " ".join(words.split()).replace("|", r"\|")


def _default(name: str, field: FieldInfo) -> str:
    """As it would be written in the file of the settings."""
    if name in MADE_DEFAULTS:
        return MADE_DEFAULTS[name]
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None or value in ("", (), {}):
        return "none"
    return f"`{value:g}`" if isinstance(value, float) else f"`{json.dumps(value)}`"


if __name__ == "__main__":
    (DOCS / "commands.md").write_text(commands_page(), encoding="utf-8")
    (DOCS / "settings.md").write_text(settings_page(), encoding="utf-8")
