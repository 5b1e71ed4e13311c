"""Documents that carry instructions change nothing but what is said of themselves.

The same three ordinary documents are read alone and among canaries, by the offline engine and by models that
obey every instruction as far as the form of a reply lets them.
"""

import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from textual.pilot import Pilot

from app.report import report
from app.trace import trace
from app.tui.app import ShoeboxApp
from tasks.documents import FieldStatus, State, TextSource
from tasks.ledger import DocumentRow, Ledger
from tasks.logs.lines import parse
from tasks.plain_text import visible_json
from tasks.recipes import load_recipe
from tasks.review import review_reasons
from tests import samples
from tests.canaries import HOSTILE, WORD, Canary, make_canaries, obey
from tests.ollama import OllamaDouble
from tests.system import System, running
from tests.test_llm_system import LARGE, SMALL, await_models
from tests.test_plan_names import is_safe
from tests.test_plans import Tree, tree_of
from tests.test_tui_document import opened
from tests.tui import drive, screen_text

pytestmark = pytest.mark.timeout(300)

ORDINARY = ("invoice-en.pdf", "letter.pdf", "contract.pdf")
RECIPE = load_recipe("builtin", Path())
SETTINGS = 'review_below = 0.5\ntidy_template = "{category}/{date}_{party}_{title}{ext}"\n'
ACTS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
OF_THE_RUN = {"seq", "path", "mtime_ns", "added_at", "finished_at"}
"""Columns that differ between any two runs."""
MARKER = re.compile(r"</?document [0-9a-f]{16}>")


@dataclass
class Run:
    """Documents that were read, and how all files were before that."""

    base: Path
    system: System
    canaries: list[Canary]
    before: Tree

    def documents(self) -> list[DocumentRow]:
        return self.system.documents()

    def output(self, *arguments: str) -> str:
        """What a command prints, byte for byte."""
        done = subprocess.run(
            [sys.executable, "-m", "app", *arguments],
            env=self.system.environment,
            cwd=self.system.folder,
            capture_output=True,
            timeout=60,
            check=True,
        )
        return (done.stdout + done.stderr).decode()

    def outside(self) -> Tree:
        """Everything but Shoebox's own data."""
        return {
            path: entry for path, entry in tree_of(self.base).items() if not path.startswith("system/data")
        }


def read_all(base: Path, double: OllamaDouble | None, canaries: list[Canary]) -> Run:
    """Read the ordinary documents, perhaps among canaries, and stop everything again."""
    papers, bait = base / "papers", base / "bait"
    papers.mkdir()
    bait.mkdir()
    for name in ORDINARY:
        samples.make(name, papers)
    for canary in canaries:
        (papers / canary.name).write_bytes(canary.content)
    config = base / "system" / "config" / "shoebox" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(SETTINGS)
    server = {"OLLAMA_HOST": double.url} if double else {"SHOEBOX_ENGINE": "offline"}
    with running(base / "system", **server) as system:
        if double:
            await_models(system)
        run = Run(base, system, canaries, {})
        run.before = run.outside()
        system.run("add", papers, "--wait", check=False)
        assert len(system.await_ended()) == len(ORDINARY) + len(canaries)
    return run


@pytest.fixture(scope="module", params=["offline", "obedient"])
def runs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Run, Run]]:
    """The ordinary documents alone, and among canaries. The scan is only there where models obey it."""
    bases = [tmp_path_factory.mktemp(name) for name in ("alone", "among")]
    canaries = make_canaries(bases[1] / "bait")
    with ExitStack() as stack:
        double = None
        if request.param == "obedient":
            double = stack.enter_context(OllamaDouble((SMALL, LARGE)))
            obey(double, canaries, {category.name: category for category in RECIPE.categories})
        else:
            canaries = [canary for canary in canaries if canary.name != "scan.png"]
        with ThreadPoolExecutor() as both:
            alone, among = both.map(lambda base, some: read_all(base, double, some), bases, ([], canaries))
        yield alone, among


def marked(run: Run) -> dict[str, tuple[Canary, DocumentRow]]:
    """The canaries whose words a model is shown."""
    rows = {row.name: row for row in run.documents()}
    return {canary.name: (canary, rows[canary.name]) for canary in run.canaries if canary.mark}


def rows_of(run: Run, name: str) -> dict[str, list[Any]]:
    """All that the ledger has of a document, but for what differs between any two runs."""
    document = next(row for row in run.documents() if row.name == name)
    tables = {"documents": "id", "pages": "document", "fields": "document", "corrections": "document"}
    found: dict[str, list[Any]] = {}
    with Ledger.open(run.system.settings) as ledger:
        for table, key in tables.items():
            rows = ledger.db.execute(f"SELECT * FROM {table} WHERE {key} = ?", (document.id,))
            found[table] = [
                {name: value for name, value in dict(row).items() if name not in OF_THE_RUN} for row in rows
            ]
        found["calls"] = [
            (stage, attempt, call.purpose, MARKER.sub("<>", call.prompt), call.reply, call.error)
            for stage, attempt, call in ledger.calls(document.id)
        ]
    return found


# ---------------------------------------------------------------- that the canaries arrive


def test_the_words_arrive_and_the_models_obey(runs: tuple[Run, Run]) -> None:
    """Without this the other tests would show nothing."""
    _, run = runs
    is_obedient = "OLLAMA_HOST" in run.system.environment
    with Ledger.open(run.system.settings) as ledger:
        for canary, row in marked(run).values():
            seen = row.file_title + "".join(page.text for page in ledger.pages(row.id))
            assert canary.mark in seen
            if is_obedient:
                assert (row.category, row.provisional) == (canary.category, False)
                assert row.title.startswith(HOSTILE) and "\x1b" in row.title
        scans = [ledger.pages(row.id) for canary, row in marked(run).values() if canary.name == "scan.png"]
        assert [[page.source for page in pages] for pages in scans] == [[TextSource.OCR]] * is_obedient


# ---------------------------------------------------------------- state, settings, other documents


def test_states_follow_the_rules_alone(runs: tuple[Run, Run]) -> None:
    _, run = runs
    with Ledger.open(run.system.settings) as ledger:
        for row in run.documents():
            reasons = review_reasons(ledger, run.system.settings, row)
            assert row.state is (State.REVIEW if reasons else State.DONE), row
            assert row.message == " ".join(reasons)
            assert (row.urgent, row.cancelled, row.recipe) == (False, False, "builtin")
            assert row.category in RECIPE.category_names
            assert not ledger.db.execute("SELECT 1 FROM corrections").fetchall()
            names = {spec.name for spec in RECIPE.category(row.category).fields}
            assert {field.name for field in ledger.fields(row.id)} == names
            for field in ledger.fields(row.id):
                if field.status is FieldStatus.VERIFIED:
                    page = next(page for page in ledger.pages(row.id) if page.number == field.page)
                    assert page.text[field.start : field.end] == field.quote


def test_files_and_settings_are_as_they_were(runs: tuple[Run, Run]) -> None:
    for run in runs:
        assert run.outside() == run.before
        assert not list((run.base / "bait").iterdir())
        for row in run.documents():
            assert Path(os.fsdecode(row.path)).parent == run.base / "papers"


@pytest.mark.parametrize("name", ORDINARY)
def test_other_documents_are_read_as_if_the_canaries_were_not_there(runs: tuple[Run, Run], name: str) -> None:
    alone, among = (rows_of(run, name) for run in runs)
    assert alone["documents"] and alone["pages"]
    assert alone == among
    assert WORD not in repr(among)


# ---------------------------------------------------------------- paths


def test_a_tidy_plan_stays_in_its_target_and_does_what_it_shows(runs: tuple[Run, Run]) -> None:
    _, run = runs
    target = run.base / "tidied"
    arguments = ("tidy", str(target), "--template", "{party}/{title}/{amount}_{name}{ext}")
    states = ("--state", "done", "--state", "review")
    before = run.outside()
    shown = json.loads(run.output(*arguments, *states, "--json").partition("\nNothing was")[0])
    assert run.outside() == before
    plan = shown["id"]
    run.output("plans", "apply", plan, "--yes")
    made = {path for path, entry in tree_of(target).items() if entry is not None}
    assert made == {step["target"] for step in shown["steps"]}
    assert len(made) == len(run.documents())
    assert all(is_safe(PurePosixPath(path)) for path in made)
    after = {path: entry for path, entry in run.outside().items() if not path.startswith("tidied")}
    assert after == before
    run.output("undo", plan, "--yes")
    assert {path for path in run.outside() if path != "tidied"} == set(before)


# ---------------------------------------------------------------- the terminal


def test_nothing_acts_on_a_terminal(runs: tuple[Run, Run]) -> None:
    _, run = runs
    document = next(row.id for _, row in marked(run).values() if row.name == "mail.eml")
    outputs = [run.output("search", WORD), run.output("search", WORD, "--json")]
    assert all(WORD in output for output in outputs)
    outputs += [run.output("ls"), run.output("ls", "--json")]
    outputs += [run.output("show", document, *option) for option in ((), ("--text",), ("--json",))]
    outputs += [run.output("export", "--format", form) for form in ("csv", "md", "jsonl")]
    with Ledger.open(run.system.settings) as ledger:
        for row in run.documents():
            outputs += [*report(ledger, row, with_text=True), *trace(ledger, row)]
    for output in outputs:
        assert not ACTS.search(output.replace("\r\n", "\n")), repr(output[:400])  # as CSV ends its rows


def test_pages_on_the_screen_are_plain_text(runs: tuple[Run, Run]) -> None:
    _, run = runs

    async def scenario(app: ShoeboxApp, pilot: Pilot[Any]) -> None:
        assert not ACTS.search(screen_text(app).replace("\n", ""))
        for _, row in list(marked(run).values())[::2]:
            await opened(app, pilot, row.id)
            text = screen_text(app)
            assert not ACTS.search(text.replace("\n", ""))
            if row.title.startswith(HOSTILE):
                assert "[red]{id}[/red]$(touch" in text  # the markup is shown, not acted on
            app.pop_screen()
            await pilot.pause()

    drive(run.system.settings, scenario, size=(160, 48))
    assert not os.path.lexists(run.system.folder / "touched")


def test_neither_logs_nor_the_support_file_of_a_run_tell_what_was_read(
    runs: tuple[Run, Run], tmp_path: Path
) -> None:
    """The texts, titles, mail headers, scans and replies that canaries and an obedient model brought in."""
    run = runs[1]
    settings = run.system.settings
    files = sorted(settings.log_dir.iterdir())
    lines = [line for file in files for line in file.read_text("utf-8", "replace").splitlines()]
    records = [parse(line) or {"message": line} for line in lines]
    files_named = [record.pop("file", "") for record in records]  # names are the user's, and are there
    assert any(files_named)
    said = "\n".join(visible_json(record) for record in records)
    secrets = [re.search(r'requirepass "(\w+)"', (settings.data_dir / "redis" / "redis.conf").read_text())]
    with Ledger.open(settings) as ledger:
        read = [row[0] for row in ledger.db.execute("SELECT text FROM pages")]
        found = [row[0] for row in ledger.db.execute("SELECT value FROM fields")]
        found += [
            part for row in ledger.db.execute("SELECT title, summary, party FROM documents") for part in row
        ]
        secrets.append(re.search("(.+)", ledger.secret("fence key")))
    sentences = {line.strip() for text in read for line in text.splitlines() if len(line.strip()) > 12}
    assert len(sentences) > 20
    for told in [
        *sentences,
        *(value for value in found if len(value) > 8),
        *(one[1] for one in secrets if one),
    ]:
        assert told not in said
        assert json.dumps(told)[1:-1] not in said
    assert all(document.id in said for document in run.documents())

    run.system.run("doctor", "--bundle", tmp_path / "run.zip")
    with zipfile.ZipFile(tmp_path / "run.zip") as bundle:
        parts = {name: bundle.read(name).decode() for name in bundle.namelist()}
    whole = "".join(parts.values())
    names = [document.name for document in run.documents()]
    for told in [*sentences, *(value for value in found if len(value) > 8), *names, "papers", "bait"]:
        assert told not in whole
        assert json.dumps(told)[1:-1] not in whole
    assert all(document.id in parts["logs/home.jsonl"] for document in run.documents())
