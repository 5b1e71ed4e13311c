"""docs/troubleshooting.md lists every error that a person can see, and none that there is not.

Where a ShoeboxError is made, its message stands in the code as a text with holes. All of them are collected
from the syntax trees, without importing anything; each has to fit a line of the page, in which words in
capitals fill the holes.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
FEWEST_LETTERS = 4
"""A message with less of its own only passes on what another program or error said."""
HOLE = "\0"
SPELLED_OUT = ("a", "No document has", "More than one document has", "did not begin to reply")
"""What the page writes as it is said, where it could have written a word in capitals."""
FILLING = f"(?:[^a-z]*|{'|'.join(SPELLED_OUT)})"


class Source:
    """What one pass over all modules finds: classes with their bases, calls, and what names stand for."""

    def __init__(self) -> None:
        self.bases: dict[str, set[str]] = {}
        self.calls: list[tuple[str, ast.Call, ast.AST]] = []
        """Where, the call, and the function around it or the module."""
        self.tuples: dict[str, ast.Tuple] = {}
        """Messages with their remedies that stand on their own, by name."""

    def read(self, path: Path) -> None:
        """Take in one module."""
        module = ast.parse(path.read_bytes())
        for node in module.body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple):
                self.tuples.update(
                    {name.id: node.value for name in node.targets if isinstance(name, ast.Name)}
                )
        self._visit(module, module, path.relative_to(ROOT).as_posix())

    def _visit(self, node: ast.AST, scope: ast.AST, place: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef):
                self.bases[child.name] = {_name(base) for base in child.bases}
            if isinstance(child, ast.Call) and _name(child.func)[:1].isupper():
                self.calls.append((f"{place}:{child.lineno}", child, scope))
            inner = child if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else scope
            self._visit(child, inner, place)

    def errors(self) -> set[str]:
        """ShoeboxError, and all classes below it."""
        found = {"ShoeboxError"}
        while more := {name for name, bases in self.bases.items() if bases & found} - found:
            found |= more
        return found

    def messages(self) -> Iterator[tuple[str, str]]:
        """Where and how, for every message of which something is known."""
        makers = self.errors() | {"Failure", "Refusal"}
        for place, call, scope in self.calls:
            if _name(call.func) in makers:
                subject = (
                    f"{HOLE} " if _name(call.func) == "Refusal" else ""
                )  # it goes on after the server's name
                for template in (f"{subject}{text}" for text in self._templates(call, scope)):
                    if sum(letter.isalpha() for letter in template) >= FEWEST_LETTERS:
                        yield place, template

    def _templates(self, call: ast.Call, scope: ast.AST) -> Iterator[str]:
        given = [*call.args, *(one.value for one in call.keywords if one.arg == "message")]
        for argument in given:
            found = list(self._told(argument, scope))
            if found:
                yield from found
                return

    def _told(self, argument: ast.expr, scope: ast.AST) -> Iterator[str]:
        """What an argument can say: a text, a name that a text was given to, or a message with its remedy."""
        if isinstance(argument, ast.Starred):
            pair = self.tuples.get(_name(argument.value))
            if pair and (text := _text(pair.elts[0])) is not None:
                yield text
        elif isinstance(argument, ast.Name):
            yield from _assigned(scope, argument.id)
        elif (text := _text(argument)) is not None:
            yield text


def _name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _text(node: ast.AST) -> str | None:
    """A text with holes; None if it is none."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else HOLE for part in node.values)
    return None


def _assigned(scope: ast.AST, name: str) -> Iterator[str]:
    """The texts that a function gives to a name."""
    for node in ast.walk(scope):
        if isinstance(node, ast.Assign) and name in {_name(target) for target in node.targets}:
            branches = (
                (node.value.body, node.value.orelse) if isinstance(node.value, ast.IfExp) else (node.value,)
            )
            yield from (text for branch in branches if (text := _text(branch)) is not None)


def _shell_messages() -> Iterator[tuple[str, str]]:
    """What run.sh fails with."""
    text = (ROOT / "run.sh").read_text(encoding="utf-8").replace('$("$python" -V)', HOLE)
    for said in re.findall(r'\bfail "([^"]*)"', text):
        template = re.sub(r"\$\([^)]*\)+|\$\{[^}]*\}|\$\w+", HOLE, said)
        if sum(letter.isalpha() for letter in template) >= FEWEST_LETTERS:
            yield "run.sh", template


def _collected() -> list[tuple[str, str]]:
    source = Source()
    for package in ("app", "tasks"):
        for path in sorted((ROOT / package).rglob("*.py")):
            source.read(path)
    return [*source.messages(), *_shell_messages()]


def _listed() -> list[str]:
    """What the first cells of the marked tables hold."""
    tables = re.findall(r"<!-- messages -->(.*?)<!-- messages: end -->", PAGE, re.DOTALL)
    return re.findall(r"^\| `(.+?)` \|", "\n".join(tables), re.MULTILINE)


def _pattern(template: str) -> re.Pattern[str]:
    parts = " ".join(template.split()).split(HOLE)
    return re.compile(FILLING.join(re.escape(part) for part in parts))


def test_every_message_is_listed_and_every_listed_one_is_there() -> None:
    messages, listed = _collected(), _listed()
    patterns = {template: _pattern(template) for _, template in messages}
    fitting = {
        template: {line for line in listed if pattern.fullmatch(line)}
        for template, pattern in patterns.items()
    }
    missing = sorted(
        {f"{place}: {template.replace(HOLE, '...')}" for place, template in messages if not fitting[template]}
    )
    stale = sorted(set(listed).difference(*fitting.values()))
    assert len(messages) > 200
    assert missing == []
    assert stale == []
