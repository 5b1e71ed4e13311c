"""The command line itself: start-up, words, files that are found, text that is made safe."""

import csv
import json
import os
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest

from app.export import defused, export
from app.intake import Skipped, find_files
from app.listing import make_row
from app.plain_text import shortened, visible, visible_json, visible_lines
from app.report import report
from tasks.documents import Field, FieldStatus, Page, State, TextSource
from tasks.errors import ExitCode, FileError, NotFoundError
from tasks.ledger import DocumentRow, Ledger
from tasks.pipeline import Pipeline
from tests.system import ROOT, System

HOSTILE = "a\x1b[31m\u202ered[/red]\n=cmd|'calc'!A1"


@pytest.fixture
def command(tmp_path: Path) -> System:
    """Commands in a private home with no services."""
    return System(tmp_path / "home")


def test_help_is_shown_without_any_heavy_import() -> None:
    code = (
        "import sys; sys.argv = ['x', '--help']\n"
        "from app.cli import main\n"
        "try: main()\n"
        "except SystemExit as leaving: assert leaving.code == 0, leaving.code\n"
        "heavy = {'paddleocr', 'paddlex', 'torch', 'textual', 'celery', 'redis', 'onnxruntime', 'cv2',"
        " 'numpy', 'PIL', 'kreuzberg', 'ollama', 'rich'} & sys.modules.keys()\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Drop your papers in" in done.stdout


def test_the_ledger_is_read_without_celery() -> None:
    code = (
        "import sys, tasks, tasks.ledger, tasks.units, tasks.events, app.listing\n"
        "heavy = {'celery', 'kombu', 'paddleocr', 'torch', 'ollama'} & sys.modules.keys()\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["nonsense"], ExitCode.USAGE, "No such command"),
        (["show", "nothing"], ExitCode.NOT_FOUND, "nothing"),
        (["retry"], ExitCode.USAGE, "--all"),
        (["add", "missing file.pdf"], ExitCode.NOT_FOUND, "missing file.pdf"),
        (["add", "--recipe", "mine", "x"], ExitCode.CONFIG, "mine"),
        (["worker", "--queues", "tpu"], ExitCode.USAGE, "home, cpu, gpu"),
        (["worker"], ExitCode.SERVICE, "./run.sh up"),
        (["worker", "--redis", "http://127.0.0.1:1"], ExitCode.SERVICE, "not the address of a Redis"),
        (["export", "--output", "no/such/folder/x.csv"], ExitCode.ERROR, "x.csv"),
    ],
)
def test_errors_have_words_and_an_exit_code(
    command: System, arguments: list[str], status: ExitCode, words: str
) -> None:
    done = command.run(*arguments, check=False)
    assert done.returncode == status, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    command.run("down")


def test_documents_can_be_cancelled_and_removed_while_nothing_runs(command: System) -> None:
    paths = []
    with Ledger.open(command.settings) as ledger:
        for name in ("a.txt", "b.txt"):
            paths.append(command.folder / name)
            paths[-1].write_text(name)
            Pipeline(ledger, command.settings).submit(paths[-1], "builtin", urgent=False)
    assert "cancelled" in command.run("cancel", "a.txt").stdout
    command.run("rm", "b.txt", "--yes")
    assert [document.state for document in command.documents()] == [State.CANCELLED]
    assert all(path.exists() for path in paths)


def test_documents_are_corrected_and_made_urgent_while_nothing_runs(command: System) -> None:
    with Ledger.open(command.settings) as ledger:
        pipeline, rows = Pipeline(ledger, command.settings), []
        for name in ("read.txt", "waiting.txt"):
            (command.folder / name).write_text(name)
            rows.append(pipeline.submit(command.folder / name, "builtin", urgent=False).document)
        ledger.put_pages(rows[0].id, [Page(number=1, text="Sum: 7", source=TextSource.LAYER, score=1.0)])
        ledger.update_document(rows[0].id, state=State.DONE, category="invoice", confidence=0.9)
    done = command.run("correct", "read.txt", "total", "-12,50")
    assert "total -12.50, instead of -" in done.stdout
    assert "-12.50, confirmed" in command.run("correct", "read.txt", "total", "-12.50").stdout
    assert command.documents()[0].amount == "-12.50"
    shown = command.json("show", "read.txt")
    assert [(field["name"], field["status"]) for field in shown["fields"]] == [("total", "corrected")]
    assert [said["new"] for said in shown["corrections"]] == ["-12.50", "-12.50"]
    wrong = command.run("correct", "read.txt", "category", "bribe", check=False)
    assert (wrong.returncode, "invoice, receipt" in wrong.stderr) == (ExitCode.USAGE, True)
    command.run("urgent", "waiting.txt")
    assert command.documents()[1].urgent
    command.run("urgent", "waiting.txt", "--off")
    assert not command.documents()[1].urgent
    assert "done already" in command.run("urgent", "read.txt", check=False).stderr


def test_a_wrong_setting_is_named(command: System) -> None:
    command.environment["SHOEBOX_RENDER_DPI"] = "7"
    done = command.run("ls", check=False)
    assert done.returncode == ExitCode.CONFIG
    assert "render_dpi" in done.stderr
    assert "SHOEBOX_RENDER_DPI" in done.stderr


def test_an_unknown_setting_in_the_file_is_named(command: System) -> None:
    config = Path(command.environment["XDG_CONFIG_HOME"]) / "shoebox" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("rendr_dpi = 200\n")
    done = command.run("ls", check=False)
    assert done.returncode == ExitCode.CONFIG
    assert "rendr_dpi" in done.stderr
    assert "config.toml" in done.stderr


def test_without_a_terminal_and_a_command_it_shows_help(command: System) -> None:
    assert "Usage:" in command.run().stdout


def test_a_reader_that_leaves_early_causes_no_complaint(command: System) -> None:
    with Ledger.open(command.settings) as ledger:
        path = command.folder / "a.txt"
        path.write_text("a")
        for number in range(3000):
            ledger.insert_document(
                f"{number:064x}", f"{number}.txt", path, path.stat(), "builtin", urgent=False
            )
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "ls"],
        env=command.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""


def test_control_characters_are_shown() -> None:
    shown = visible("a\x1b[31mb\x00\n\u202ec\ud800 ü €")
    assert shown == "a\\x1b[31mb\\x00\\x0a\\u202ec\\ud800 ü €"
    assert visible_lines("a\tb\n\x1bc") == "a\tb\n\\x1bc"
    assert shortened("abcdef", 4) == "abc…"
    assert shortened("abcd", 4) == "abcd"


@pytest.mark.parametrize(
    "text", ["\x1b[2J", "\x9b31m", "\u202efdp.exe", "\u200b\x7f", "caf\u00e9 \U0001f469 \\u0041"]
)
def test_json_is_the_same_data_and_acts_on_no_terminal(text: str) -> None:
    for indent in (None, 1):
        printed = visible_json({text: [text]}, indent=indent)
        assert json.loads(printed) == {text: [text]}
        assert visible(printed.replace("\n", "")) == printed.replace("\n", "")
    assert "caf\u00e9" in visible_json("caf\u00e9")


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("+49 30 123", "'+49 30 123"),
        ("\t=1", "'\t=1"),
        ("-8.79", "-8.79"),
        ("plain", "plain"),
        (None, ""),
        (True, "True"),
    ],
)
def test_spreadsheet_formulas_are_defused(cell: object, written: str) -> None:
    assert defused(cell) == written


@pytest.fixture
def hostile(ledger: Ledger, tmp_path: Path) -> DocumentRow:
    """A document that tries everything."""
    path = tmp_path / "a.txt"
    path.write_text("a")
    row = ledger.insert_document("a" * 64, HOSTILE, path, path.stat(), "builtin", urgent=False)
    ledger.put_pages(row.id, [Page(number=1, text=HOSTILE, source=TextSource.LAYER, score=1.0)])
    field = Field(name="party", value=HOSTILE, quote=HOSTILE, page=1, status=FieldStatus.VERIFIED)
    ledger.put_fields(row.id, [field])
    hostile_columns = dict.fromkeys(("party", "title", "summary", "message", "remedy", "category"), HOSTILE)
    ledger.update_document(row.id, state=State.REVIEW, evidence=(HOSTILE,), **hostile_columns)
    changed = ledger.document(row.id)
    assert changed is not None
    return changed


def test_a_report_of_hostile_text_acts_on_nothing(ledger: Ledger, hostile: DocumentRow) -> None:
    for line in report(ledger, hostile, with_text=True):
        assert "\x1b" not in line
        assert "\u202e" not in line


def test_exports_of_hostile_text_stay_in_their_form(ledger: Ledger, hostile: DocumentRow) -> None:
    rows = list(csv.DictReader(StringIO("".join(export(ledger, [hostile], "csv")))))
    assert [row["id"] for row in rows] == [hostile.id]
    assert rows[0]["party"] == visible_lines(HOSTILE)
    markdown = "".join(export(ledger, [hostile], "md"))
    assert len(re.findall(rf"^.*{hostile.id}.*$", markdown, re.MULTILINE)) == 2  # to review, in the table
    assert "\x1b" not in markdown
    assert "[/red]" not in markdown


def test_rows_of_paths_that_are_no_text(ledger: Ledger, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff.txt")
    path.write_text("a")
    row = ledger.insert_document("a" * 64, "x", path, path.stat(), "builtin", urgent=False)
    assert make_row(row).path.endswith("\\xff.txt")


def test_folders_are_searched_in_order_and_what_is_skipped_is_said(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("b/inner.txt", "a.txt", ".hidden", "~$lock.docx", "download.part"):
        (tmp_path / name).write_text("x")
    (tmp_path / "link.txt").symlink_to(tmp_path / "a.txt")
    os.mkfifo(tmp_path / "pipe")
    found = list(find_files([tmp_path]))
    assert [p for p in found if isinstance(p, Path)] == [tmp_path / "a.txt", tmp_path / "b" / "inner.txt"]
    skipped = {s.path.name: s.reason for s in found if isinstance(s, Skipped)}
    assert skipped.keys() == {".hidden", "~$lock.docx", "download.part", "link.txt", "pipe"}
    assert skipped["link.txt"] == "a symbolic link"


def test_a_named_file_is_taken_whatever_it_is_called(tmp_path: Path) -> None:
    (tmp_path / ".hidden").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / ".hidden")
    named = [tmp_path / ".hidden", tmp_path / "link"]
    assert list(find_files(named)) == named
    with pytest.raises(NotFoundError, match="nowhere"):
        list(find_files([tmp_path / "nowhere"]))


def test_a_path_that_cannot_be_looked_at_is_an_error_with_its_name(tmp_path: Path) -> None:
    """As below a folder that is closed to the user, or on a share that is gone."""
    with pytest.raises(FileError, match="cannot be opened"):
        list(find_files([tmp_path / ("x" * 300)]))
