"""A whole system under test: the real command, the real services, in a private home."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from app import services
from app.services.supervisord import Supervisor
from tasks.broker_url import redis_url
from tasks.documents import FINAL_STATES, State
from tasks.exchange import Exchange, Holder, connect
from tasks.home import Home
from tasks.ledger import DocumentRow, Ledger
from tasks.settings import Settings
from tasks.units import UnitRow, outstanding, units_of

ROOT = Path(__file__).resolve().parent.parent
T = TypeVar("T")


class System:
    """Runs commands as a user does, and looks into the ledger and at the processes."""

    def __init__(self, folder: Path, environment: Mapping[str, str] = {}) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.python = sys.executable
        """The interpreter that commands are run by."""
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SHOEBOX_")},
            "HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "SHOEBOX_DATA_DIR": str(folder / "data"),
            "PYTHONPATH": str(ROOT),
            "COLUMNS": "200",
            # Tests run side by side, and threads of onnxruntime that wait for each other keep a core busy.
            "SHOEBOX_OCR_THREADS": "1",
            **environment,
        }
        given = {name.removeprefix("SHOEBOX_").lower(): value for name, value in environment.items()}
        self.settings = Settings.model_validate(
            {
                "data_dir": folder / "data",
                "recipe_dir": folder / "config" / "recipes",
                **{name: value for name, value in given.items() if name in Settings.model_fields},
            }
        )

    def run(self, *arguments: str | Path, check: bool = True, timeout: float = 240) -> Any:
        """Run a command to its end; returns the completed process."""
        done = subprocess.run(
            [self.python, "-m", "app", *map(str, arguments)],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{arguments} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def json(self, *arguments: str | Path) -> Any:
        """What a command prints with --json."""
        return json.loads(self.run(*arguments, "--json").stdout)

    def documents(self) -> list[DocumentRow]:
        """All documents."""
        with Ledger.open(self.settings) as ledger:
            return ledger.documents()

    def forget_documents(self) -> None:
        """Remove all documents, as `rm` does; what workers have in hand of them ends for nothing."""
        with Home.open(self.settings) as home:
            for document in home.ledger.documents():
                home.remove(document)

    def units(self, document: str) -> list[UnitRow]:
        """A document's units."""
        with Ledger.open(self.settings) as ledger:
            return units_of(ledger, document)

    def running_pids(self, stage: str, queue: str) -> list[int]:
        """The processes of a queue's worker that hold the lease of a unit of this stage.

        The queue matters: an OCR unit is with home while its pages are rendered.
        """
        with Ledger.open(self.settings) as ledger:
            home, units = ledger.home, [u.id for u in outstanding(ledger) if u.stage == stage]
        redis = connect(redis_url(self.settings))
        try:
            traces = Exchange(redis).traces(home, units)
        finally:
            redis.close()
        pids = [holder.pid for trace in traces.values() if (holder := Holder.parse(trace.lease))]
        mark = f"\0--queues\0{queue}\0".encode()
        return [pid for pid in pids if mark in _command_line(pid)]

    def program_pid(self, name: str) -> int:
        """The process of a supervised program."""
        return next(one.pid for one in Supervisor(self.settings).programs() if one.name == name)

    def await_true(self, condition: Callable[[], T], seconds: float = 120, what: str = "") -> T:
        """Look again and again until the condition holds; returns what it gave."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := condition():
                return found
            time.sleep(0.05)
        states = [(d.name, d.state.value, d.stage.value, d.message) for d in self.documents()]
        raise AssertionError(f"{what or condition} did not come true in {seconds} s; documents: {states}")

    def await_ended(self, seconds: float = 200) -> list[DocumentRow]:
        """Wait until every document is in a final state; returns them."""
        self.await_true(
            lambda: all(document.state in FINAL_STATES for document in self.documents()),
            seconds,
            "all documents have ended",
        )
        return self.documents()

    def kill(self, pid: int) -> None:
        """SIGKILL."""
        os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        """Stop everything, as `down` does; fails if something is left running."""
        services.down(self.settings)
        left = self.processes()
        if left:
            raise AssertionError(f"left running after down: {left}")

    def processes(self) -> dict[int, str]:
        """Processes that belong to this system's data directory, by pid."""
        mark = f"SHOEBOX_SUPERVISED={self.folder / 'data'}".encode()
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
        return found


@contextmanager
def running(folder: Path, **environment: str) -> Iterator[System]:
    """A system that is up, and down afterwards."""
    system = System(folder, environment)
    try:
        system.run("up")
        yield system
    finally:
        system.stop()


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def states_of(documents: list[DocumentRow]) -> dict[str, State]:
    """The state of each document, by name."""
    return {document.name: document.state for document in documents}
