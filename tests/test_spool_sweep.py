"""What killed processes leave in the spool, and what must stay there."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks import spool
from tasks.documents import State
from tasks.ledger import DocumentRow, Ledger
from tasks.pipeline import Pipeline
from tasks.settings import Settings
from tasks.spool_sweep import sweep
from tests.system import ROOT

Add = Callable[[str, State], DocumentRow]


@pytest.fixture
def add(ledger: Ledger, settings: Settings, tmp_path: Path) -> Add:
    """Adds a document that is in a state by now, its copy still there."""

    def added(name: str, state: State) -> DocumentRow:
        path = tmp_path / name
        path.write_text(f"The text of {name}\n")
        document = Pipeline(ledger, settings).submit(path, "builtin", urgent=False).document
        finished = None if state is State.WAITING else 1.0
        ledger.update_document(document.id, state=state, finished_at=finished)
        return document

    return added


def copies(settings: Settings) -> set[str]:
    return {path.name for path in settings.spool_dir.rglob("*") if path.is_file()}


def test_only_what_nobody_needs_is_removed(ledger: Ledger, settings: Settings, add: Add) -> None:
    waiting, done = add("waiting.txt", State.WAITING), add("done.txt", State.DONE)
    failed, gone = add("failed.txt", State.FAILED), add("gone.txt", State.REVIEW)
    Path(os.fsdecode(gone.path)).unlink()
    orphan = spool.spool_path(settings, "ab" * 32)
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_text("taken, and never entered\n")
    now = time.time()
    everything = {waiting.sha256, done.sha256, failed.sha256, gone.sha256, orphan.name}
    assert copies(settings) == everything

    sweep(ledger, settings, now)
    assert copies(settings) == everything - {done.sha256}, "a copy without a document may be about to get one"
    sweep(ledger, settings, now + 20)
    sweep(ledger, settings, now + 70)
    assert copies(settings) == {waiting.sha256, failed.sha256, gone.sha256}


_COPYING = """
import sys, time
from pathlib import Path
from tasks import spool
from tasks.settings import Settings

def stuck(source, target):
    print("copying", flush=True)
    time.sleep(600)

spool.copy_hashed = stuck
spool.take(Settings(data_dir=Path(sys.argv[1])), Path(sys.argv[2]))
"""


def test_half_a_copy_is_removed_when_its_maker_was_killed_and_not_before(
    ledger: Ledger, settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("A letter\n")
    command = [sys.executable, "-c", _COPYING, str(settings.data_dir), str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as copying:
        assert copying.stdout is not None
        assert copying.stdout.readline() == b"copying\n"
        sweep(ledger, settings, time.time() + 10)
        assert len(copies(settings)) == 1
        copying.send_signal(signal.SIGKILL)
        copying.wait()
    sweep(ledger, settings, time.time() + 50)
    assert copies(settings) == set()
