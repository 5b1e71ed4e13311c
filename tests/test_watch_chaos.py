"""A watched folder that is written to in every way, while the watcher is killed."""

import json
import os
import random
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.watch.journal import FileState, Journal, WhenTaken
from tests.system import System

SCRIBBLER = Path(__file__).with_name("scribbler.py")
FILES = int(os.environ.get("SHOEBOX_SCRIBBLES", "250"))
REST_SECONDS = 1.0
KILLS = 3


class Watching:
    """A watcher of one folder that can be killed and started again."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._log = (system.folder / "watch.log").open("ab")
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "app", "_watch"],
            env=self._system.environment,
            cwd=self._system.folder,
            stdout=self._log,
            stderr=self._log,
        )

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        self.kill()
        self._log.close()

    def is_running(self) -> bool:
        return self._process.poll() is None


def scribble(system: System, folder: Path, seed: int, turn: int, watching: Watching) -> dict[str, list[str]]:
    """Let the folder be written to, and kill the watcher meanwhile; returns what the scribbler says of it."""
    outside = system.folder / "outside"
    outside.mkdir(exist_ok=True)
    arguments = (str(folder), str(outside), str(seed), str(FILES), str(turn), str(REST_SECONDS))
    kills = set(random.Random(f"{seed} {turn}").sample(range(FILES), KILLS))
    last = ""
    with subprocess.Popen(
        [sys.executable, str(SCRIBBLER), *arguments], stdout=subprocess.PIPE, text=True
    ) as scribbler:
        assert scribbler.stdout is not None
        for number, line in enumerate(scribbler.stdout):
            last = line
            if number in kills:
                watching.kill()
                watching.start()
    assert scribbler.returncode == 0
    result: dict[str, list[str]] = json.loads(last)
    return result


def contents(system: System) -> Counter[str]:
    return Counter(document.sha256 for document in system.documents())


@pytest.mark.parametrize("notices", ["auto", "off"])
def test_every_final_content_is_taken_once_and_no_other(tmp_path: Path, notices: str) -> None:
    settings = {
        "SHOEBOX_WATCH_NOTICES": notices,
        "SHOEBOX_WATCH_SETTLE_SECONDS": str(REST_SECONDS),
        "SHOEBOX_WATCH_POLL_SECONDS": "0.3",
        "SHOEBOX_WATCH_RESCAN_SECONDS": "5",
    }
    system = System(tmp_path, settings)
    folder = tmp_path / "in"
    folder.mkdir()
    with ExitStack() as stack:
        journal = stack.enter_context(Journal.open(system.settings))
        journal.put_folder(folder.resolve(), "builtin", WhenTaken.LEAVE, only_new=False)
        watching = Watching(system)
        stack.callback(watching.close)
        wanted: set[str] = set()
        late: set[str] = set()
        for turn in (1, 2):
            result = scribble(system, folder, 7, turn, watching)
            wanted |= set(result["final"])
            late |= set(result["late"])
            await_contents(system, wanted)
        system.await_true(lambda: is_settled(journal), 60, "nothing waits any more")
        assert watching.is_running()
        assert set(contents(system)) - wanted <= late
        assert set(contents(system).values()) == {1}
        assert not_visible(journal, folder) == []


def await_contents(system: System, wanted: set[str]) -> None:
    system.await_true(lambda: wanted <= contents(system).keys(), 120, "all final contents are taken")


def is_settled(journal: Journal) -> bool:
    return not any(file.state is FileState.WAITING for file in journal.files())


def not_visible(journal: Journal, folder: Path) -> list[Path]:
    """What is in the folder and has no state, or another than it should have."""
    states = {file.path: file.state for file in journal.files()}
    missing = []
    for parent, folders, files in os.walk(folder.resolve()):
        for name in files + [one for one in folders if Path(parent, one).is_symlink()]:
            path = Path(parent, name)
            taken = {FileState.TAKEN, FileState.KNOWN}
            ordinary = path.is_file() and not path.is_symlink() and path.stat().st_size
            ignored = name.startswith((".", "~$")) or name.endswith(("~", ".lock"))
            expected = taken if ordinary and not ignored else {FileState.IGNORED, FileState.REFUSED}
            if states.get(path) not in expected:
                missing.append(path)
    return missing
