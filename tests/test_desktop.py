"""The desktop entry says what the specification lets it say, and opens the UI with what was dropped on it."""

import asyncio
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from app.cli import shoebox
from app.desktop import installing
from app.desktop.entry import entry_text, exec_value, string_value
from app.requests import AddFiles
from app.tui.app import ShoeboxApp
from tasks.errors import ConfigError, NotFoundError
from tasks.ledger import Ledger
from tasks.settings import Settings, get_settings
from tests.tui import RecordingClerk, until

AWKWARD = 'a b\'s "c" $HOME `id` \\ 100%F ~ & ; (x) é'


@pytest.fixture(autouse=True)
def data_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the desktop looks."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    return tmp_path / "share"


def run(*arguments: object) -> Result:
    get_settings.cache_clear()
    return CliRunner().invoke(shoebox, list(map(str, arguments)))


# ---------------------------------------------------------------- a reader, after the specification 1.5


def read_entry(text: str) -> dict[str, str]:
    """Keys and raw values of the only group."""
    lines = [line for line in text.split("\n") if line and not line.startswith("#")]
    assert lines[0] == "[Desktop Entry]"
    entry = {}
    for line in lines[1:]:
        found = re.fullmatch(r"([A-Za-z0-9-]+) *= *(.*)", line)
        assert found, line
        assert found[1] not in entry
        entry[found[1]] = found[2]
    return entry


def read_string(raw: str) -> str:
    """A value of the type string: \\s \\n \\t \\r \\\\, and no other escape."""

    def escaped(match: re.Match[str]) -> str:
        return {"s": " ", "n": "\n", "t": "\t", "r": "\r", "\\": "\\"}[match[1]]

    return re.sub(r"\\(.)", escaped, raw)


def read_exec(raw: str, files: list[str]) -> list[str]:
    """The words of Exec=: whole words are quoted, and field codes stand outside of quotes."""
    text, words = read_string(raw), []
    while text := text.lstrip(" "):
        if text.startswith('"'):
            found = re.match(r'"((?:[^"`$\\]|\\["`$\\])*)"(?: |$)', text)
            assert found, text
            word = re.sub(r"\\(.)", r"\1", found[1])
        else:
            found = re.match(r"([^ ]+)(?: |$)", text)
            assert found, text
            word = found[1]
            assert not set(word) & set("\t\n\"'\\><~|&;$*?#()`"), word
            if word == "%F":
                words += files
                text = text[found.end() :]
                continue
        assert re.fullmatch(r"(?:[^%]|%%)*", word), word
        words.append(word.replace("%%", "%"))
        text = text[found.end() :]
    assert "=" not in words[0]
    return words


@pytest.mark.parametrize(
    "program", ["/opt/shoebox/run.sh", f"/opt/{AWKWARD}/run.sh", "/opt/a=b/run.sh", "/opt/%F/run.sh", "/\\"]
)
def test_any_path_comes_back_as_it_was(program: str) -> None:
    dropped = ["/h/a b.pdf", "/h/-rf", "/h/%F"]
    entry = read_entry(entry_text((program, "ui", "--hold"), Path(f"/i/{AWKWARD}.svg")))
    words = read_exec(entry["Exec"], dropped)
    assert words[-6:] == [program, "ui", "--hold", *dropped]
    assert words[:-6] == (["sh", "-c", 'exec "$0" "$@"'] if "=" in program else [])
    assert read_string(entry["Icon"]) == f"/i/{AWKWARD}.svg"


def test_the_keys_are_those_of_the_specification() -> None:
    text = entry_text(("/x",), Path("/i.svg"))
    entry = read_entry(text)
    assert (entry["Type"], entry["Terminal"], entry["Name"]) == ("Application", "true", "Shoebox")
    assert entry["Keywords"].endswith(";")
    known = {"Type", "Version", "Name", "GenericName", "Comment", "Icon", "Exec", "Terminal", "Categories"}
    assert entry.keys() <= known | {"Keywords", "StartupNotify"}
    assert "MimeType" not in entry  # else originals might be opened by ourselves


@pytest.mark.skipif(
    shutil.which("desktop-file-validate") is None, reason="there is no desktop-file-validate here"
)
def test_the_desktops_own_validator_agrees() -> None:
    run("desktop")
    command = ["desktop-file-validate", str(installing.entry_path())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_what_no_entry_can_hold_is_refused() -> None:
    for write in (string_value, lambda text: exec_value((text,))):
        with pytest.raises(ConfigError):
            write("two\nlines")


# ---------------------------------------------------------------- the command


def test_it_is_written_and_taken_away(data_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOEBOX_DATA_DIR", f"/papers/{AWKWARD}")
    monkeypatch.setenv("SHOEBOX_OPENAI_KEY", "canary")
    assert run("desktop").exit_code == 0
    entry, icon = data_home / "applications" / "shoebox.desktop", installing.icon_path()
    words = read_exec(read_entry(entry.read_text())["Exec"], ["/a.pdf"])
    assert words[:2] == ["env", f"SHOEBOX_DATA_DIR=/papers/{AWKWARD}"]
    assert words[-3:] == ["ui", "--hold", "/a.pdf"]
    assert os.access(words[-4], os.X_OK)
    assert "canary" not in entry.read_text()
    assert ElementTree.parse(icon).getroot().get("viewBox") == "0 0 64 64"

    entry.write_text(entry.read_text().replace("Terminal=true", "Terminal=false"))
    for arguments in (("desktop",), ("desktop", "--remove")):
        assert isinstance(run(*arguments).exception, ConfigError)
    assert icon.exists()
    assert run("desktop", "--replace").exit_code == 0
    assert "unchanged" in run("desktop").output
    assert run("desktop", "--remove").exit_code == 0
    assert not [path for path in data_home.rglob("*") if not path.is_dir()]


def test_the_command_of_the_entry_runs_in_a_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the real env(1) and sh(1), from a folder whose name is as bad as can be."""
    program = tmp_path / f"{AWKWARD} = x" / "run.sh"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$SHOEBOX_DATA_DIR" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setattr(installing, "own_command", lambda: (str(program),))
    for variable in ("/data of mine", ""):
        monkeypatch.setenv("SHOEBOX_DATA_DIR", variable)
        words = read_exec(read_entry(entry_text(installing.command(), Path("/i.svg")))["Exec"], ["/a b"])
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        assert done.stdout.split("\n") == [variable, "ui", "--hold", "/a b", ""], shlex.join(words)


# ---------------------------------------------------------------- files that were given


def test_what_is_no_command_but_a_file_is_for_the_ui(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bill.pdf").write_text("x")
    monkeypatch.chdir(tmp_path)
    assert "needs a terminal" in run("bill.pdf").output
    assert "No such command" in run("bil.pdf").output
    given: list[Any] = []
    monkeypatch.setattr("app.tui.app.run", lambda _, files: given.append(files))

    class Terminal:
        @staticmethod
        def isatty() -> bool:
            return True

    monkeypatch.setattr("app.commands.desktop.sys", type("Sys", (), {"stdin": Terminal, "stdout": Terminal}))
    assert run("./bill.pdf", "gone.pdf").exit_code == 0
    assert given == [[tmp_path / "bill.pdf", tmp_path / "gone.pdf"]]


def test_the_ui_takes_the_files_that_it_was_given(settings: Settings, tmp_path: Path) -> None:
    bill = tmp_path / "bill.pdf"
    bill.write_text("x")
    clerk = RecordingClerk()

    async def scenario() -> None:
        app = ShoeboxApp(settings, clerk, files=[bill])
        async with app.run_test() as pilot:
            await until(pilot, lambda: AddFiles((str(bill),)) in clerk.requests)

    asyncio.run(scenario())


def test_an_original_is_opened_by_its_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bill = tmp_path / "-bill \x1b.pdf"
    bill.write_text("x")
    with Ledger.open(get_settings()) as ledger:
        document = ledger.insert_document("ab" * 32, "-bill.pdf", bill, bill.stat(), "builtin", urgent=False)
    opened: list[bytes] = []
    monkeypatch.setattr("app.opening.open_original", opened.append)
    assert run("open", document.id[:6]).exit_code == 0
    assert opened == [os.fsencode(bill)]
    assert isinstance(run("open", "zz").exception, NotFoundError)
