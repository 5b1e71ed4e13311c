"""A home without workers of its own, and headless workers that share nothing with it but Redis."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from app import services
from tests.system import ROOT, System

_HOME_PROGRAMS = {"redis", "home", "beat"}


@contextmanager
def bare_home(folder: Path, **environment: str) -> Iterator[System]:
    """A home that is up and serves neither `cpu` nor `gpu`; down afterwards."""
    system = System(folder, environment)
    programs = [one for one in services.default_programs(system.settings) if one.name in _HOME_PROGRAMS]
    try:
        services.up(system.settings, programs)
        yield system
    finally:
        system.stop()


class HeadlessWorker:
    """`./run.sh worker` as on another machine: a home directory, data and settings of its own.

    Use it as a context manager.

    Args:
        folder: all that it has.
        arguments: of the command.
        environment: beside what every machine has.
        inside: a command that runs it elsewhere, such as in a network namespace.
    """

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        inside: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self._command = [*inside, sys.executable, "-m", "app", "worker", *arguments]
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SHOEBOX_")},
            "HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "SHOEBOX_DATA_DIR": str(self.data_dir),
            "SHOEBOX_ENGINE": "offline",
            "PYTHONPATH": str(ROOT),
            **(environment or {}),
        }
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "HeadlessWorker":
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self._command, env=self._environment, cwd=self.folder, stdout=log, stderr=log
            )
        return self

    def __exit__(self, *_: object) -> None:
        """End it at once, if it has not ended; its workers end with it."""
        children = self.members()
        if self.running.poll() is None:
            self.running.kill()
        self.running.wait()
        for pid in children:
            _kill_group(pid)

    @property
    def running(self) -> "subprocess.Popen[bytes]":
        """The process."""
        if self.process is None:
            raise RuntimeError("It was not started.")
        return self.process

    @property
    def log(self) -> str:
        """What it and its workers have printed."""
        return (self.folder / "log").read_text(errors="replace")

    @property
    def id(self) -> str:
        """What is in the names of its workers; empty as long as it has none."""
        kept = self.data_dir / "workers" / "1"
        return kept.read_text().partition(" ")[0] if kept.exists() else ""

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send it a signal."""
        self.running.send_signal(number)

    def members(self) -> list[int]:
        """The main processes of its workers."""
        return _children(self.running.pid)


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def children_of(pid: int) -> list[int]:
    """The processes that a worker's main process has forked."""
    return _children(pid)


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
