"""What the pages promise is there: every link leads somewhere, and every test that a page names exists."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from docs import make_reference

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))


@cache
def _text(page: Path) -> str:
    """A page without its blocks of code, in which nothing is a link."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


@cache
def _anchors(page: Path) -> frozenset[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    found: set[str] = set()
    for title in re.findall(r"^#+ +(.+)$", _text(page), re.MULTILINE):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title).strip().lower()
        anchor = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        number = sum(
            one == anchor or re.fullmatch(rf"{re.escape(anchor)}-\d+", one) is not None for one in found
        )
        found.add(f"{anchor}-{number}" if number else anchor)
    return frozenset(found)


def _links(page: Path) -> list[str]:
    """What links of a page lead to, but addresses in the internet."""
    prose = re.sub(r"`[^`\n]*`", "", _text(page))
    targets = re.findall(r"\]\(([^)\s]+)\)", prose)
    return [target for target in targets if not re.match(r"[a-z]+:", target)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in _links(page):
        name, _, anchor = target.partition("#")
        goal = (page.parent / name).resolve() if name else page
        assert goal.exists(), target
        assert not anchor or anchor in _anchors(goal), target


def test_every_page_is_on_the_map() -> None:
    told = {target.partition("#")[0] for target in _links(ROOT / "docs" / "index.md")}
    assert {page.name for page in PAGES[1:] if page.name != "index.md"} - told == set()


@cache
def _tests_of(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_bytes())
    functions = [
        *tree.body,
        *(one for node in tree.body if isinstance(node, ast.ClassDef) for one in node.body),
    ]
    return frozenset(one.name for one in functions if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_is_named_exists(page: Path) -> None:
    for name, function in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", _text(page)):
        path = ROOT / name
        assert path.is_file(), name
        assert not function or function in _tests_of(path), f"{name}::{function}"


def test_each_capability_is_shown_by_something() -> None:
    page = ROOT / "docs" / "capabilities.md"
    rows = re.findall(r"^\| (?!what |---)(.+) \|$", page.read_text(encoding="utf-8"), re.MULTILINE)
    bare = [
        row
        for row in rows
        if not re.search(r"`(tests/|\./run\.sh|python -m|docs/)|\]\(", row.split(" | ")[-1])
    ]
    assert len(rows) > 40
    assert bare == []


OTHERS = {"test", "bench", "install"}
"""What run.sh does itself."""


def _commands(page: Path) -> list[list[str]]:
    """What pages say to type after `./run.sh`, in words: code in lines and in blocks."""
    text = page.read_text(encoding="utf-8")
    said = re.findall(r"\./run\.sh +([a-z][^`\n|;)#]*)", text)
    return [re.split(r"\s+", one.strip()) for one in said]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_and_option_exists(page: Path) -> None:
    from app.cli import shoebox

    for first, *words in _commands(page):
        name = first.rstrip(".,:")
        if name in OTHERS:
            continue
        assert name in shoebox.commands, (name, words)
        known = {option for parameter in shoebox.commands[name].params for option in parameter.opts}
        given = {re.split(r"[=.,]", word)[0] for word in words if word.startswith("--")}
        assert given <= known | {"--help"}, (name, given - known)


def test_every_command_is_in_the_readme() -> None:
    from app.cli import shoebox

    table = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Commands")[2].partition("\n## ")[0]
    told = set(re.findall(r"`([a-z]+)", "".join(re.findall(r"^\|[^|]*\|", table, re.MULTILINE))))
    assert {name for name in shoebox.commands if not name.startswith("_")} - told == set()


def test_commands_and_settings_are_described_as_they_are() -> None:
    """If not: `python -m docs.make_reference`."""
    assert (ROOT / "docs" / "commands.md").read_text(encoding="utf-8") == make_reference.commands_page()
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == make_reference.settings_page()
