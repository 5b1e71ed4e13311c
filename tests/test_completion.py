"""Completion in a shell, and the name under which the program was started."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete

from app import called, completion
from app.cli import shoebox
from tasks.ledger import Ledger
from tasks.settings import Settings
from tests.system import ROOT

BASH = """
source "$1"
ask() {{
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _shoebox_completion "$1"
    printf '%s|' "${{COMPREPLY[@]}}"; echo
}}
cd {folder}
{asked}
"""


def completed(*words: str, begun: str = "") -> dict[str, str | None]:
    """What is offered after these words, with its help."""
    found = ShellComplete(shoebox, {}, "shoebox", completion.VARIABLE).get_completions(list(words), begun)
    return {item.value: item.help for item in found if item.type == "plain"}


@pytest.fixture(autouse=True)
def _these_settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completion, "get_settings", lambda: settings)


@pytest.fixture
def _home(settings: Settings, tmp_path: Path) -> None:
    """Two documents, a recipe and a log."""
    file = tmp_path / "letter.txt"
    file.write_text("x")
    with Ledger.open(settings) as ledger:
        for number, name in enumerate(("letter.txt", "50%_\x1b[2Jx\n.txt")):
            ledger.insert_document(f"{number}" * 64, name, file, file.stat(), "builtin", urgent=False)
    settings.recipes_path.mkdir(parents=True)
    (settings.recipes_path / "office.toml").write_text("")
    settings.log_dir.mkdir(parents=True)
    (settings.log_dir / "home.log").write_text("")


@pytest.mark.usefixtures("_home")
def test_commands_options_choices_recipes_and_logs_are_completed() -> None:
    assert {"accept", "accuracy", "add", "api", "ask"} <= completed(begun="a").keys()
    assert all(completed().values()) and not any(name.startswith("_") for name in completed())
    assert completed("ls", begun="--s").keys() == {"--state"}
    assert "done" in completed("ls", "--state")
    assert completed("add", "--recipe").keys() == {"builtin", "office"}
    assert completed("logs").keys() == {"home"}
    assert completed("plans").keys() == {"apply", "show"}


@pytest.mark.usefixtures("_home")
def test_documents_are_completed_by_id_with_harmless_names() -> None:
    first, second = completed("show", begun="l"), completed("rm", begun="50%_")
    assert list(first.values()) == ["letter.txt"]
    assert list(second.values()) == ["50%_\\x1b[2Jx\\x0a.txt"]
    identity = next(iter(first))
    assert re.fullmatch("[0-9a-f]+", identity)
    assert completed("accept", begun=identity) == first
    assert list(completed("retry").values()) == [*second.values(), "letter.txt"]
    assert completed("show", begun="%") == completed("show", begun="\\") == {}


def test_nothing_is_made_by_looking(settings: Settings) -> None:
    assert completed("show") == {}
    assert not settings.data_dir.exists()


def test_every_argument_for_documents_is_completed() -> None:
    arguments = [
        (name, argument)
        for name, command in shoebox.commands.items()
        for argument in command.params
        if "DOCUMENT" in (argument.metavar or "")
    ]
    assert len(arguments) > 6
    assert [one for one in arguments if one[1]._custom_shell_complete is not completion.documents] == []


def test_bash_completes_for_this_checkout_and_runs_no_other_run_sh(tmp_path: Path) -> None:
    script, other = tmp_path / "script", tmp_path / "run.sh"
    script.write_text(completion.script("bash"))
    other.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    other.chmod(0o755)
    typed = f"{ROOT}/run.sh".replace(" ", "\\ ")  # as bash hands it over
    asked = f"ask {shlex.quote(typed)} ls --state d\nask ./run.sh ''"
    done = subprocess.run(
        ["bash", "--norc", "-c", BASH.format(folder=tmp_path, asked=asked), "bash", script],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "done|\n|\n", done.stderr
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_scripts_are_whole(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    here = completion.script(shell)
    assert str(ROOT / "run.sh") in here and sys.executable in here
    monkeypatch.setattr(sys, "argv", ["/usr/local/bin/shoebox"])
    installed = completion.script(shell)
    assert "run.sh" not in installed and " shoebox" in installed
    for text in (here, installed):
        assert f"{completion.VARIABLE}={shell}_complete" in text
        assert not re.search(r"\b(GUARD|CALL|FUNCTION|NAME|VARIABLE|FILE)\b", text)


def test_words_name_the_command_that_was_started(monkeypatch: pytest.MonkeyPatch) -> None:
    words = "`./run.sh up` or ./run.sh worker; ./run.sh install gpu; ./run.sh again; a/./run.sh up"
    assert called.as_called(words) == words
    monkeypatch.setattr(sys, "argv", ["/x/bin/shoebox"])
    expected = "`shoebox up` or shoebox worker; ./run.sh install gpu; ./run.sh again; a/./run.sh up"
    assert called.as_called(words) == expected
    with click.Context(shoebox, info_name=called.own_name()) as context:
        assert shoebox.get_usage(context).startswith("Usage: shoebox ")
