"""How the documents of a round come in, and what a person does when that is broken off."""

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from tests.chaos.faults import Entry
from tests.chaos.world import World

_AGAIN_SECONDS = 1.0
"""What failed is tried again after so long, as by somebody who has read the message."""


_HOPELESS_SECONDS = 16.0
"""A UI that has stood still for longer is closed. No stop that ends again lasts so long."""


class Arrival(Protocol):
    """One way in."""

    said: list[str]
    """What the product told the person who had to do it again."""

    def begin(self) -> None:
        """Hand the documents over."""
        ...

    def tend(self, is_complete: Callable[[], bool]) -> None:
        """Look after it: do again what was broken off, unless every document is in the ledger."""
        ...


class ByCommand:
    """`./run.sh add`."""

    def __init__(self, world: World, paths: list[Path]) -> None:
        self.said: list[str] = []
        self.process: subprocess.Popen[str] | None = None
        self._world = world
        self._paths = paths
        self._again_at = 0.0
        self._is_done = False

    def begin(self) -> None:
        system = self._world.system
        self.process = subprocess.Popen(
            [system.python, "-m", "app", "add", *map(str, self._paths)],
            env=system.environment,
            cwd=system.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def tend(self, is_complete: Callable[[], bool]) -> None:
        if self._is_done:
            return
        if self.process is None:
            if time.monotonic() >= self._again_at:
                self.begin()
            return
        if self.process.poll() is None:
            return
        words, _ = self.process.communicate()
        if self.process.returncode == 0:
            self._is_done = True
            return
        last = words.strip().splitlines()[-2:]
        self.said.append(f"add ended with {self.process.returncode}: {' '.join(last)[:300]}")
        self.process = None
        self._again_at = time.monotonic() + _AGAIN_SECONDS

    @property
    def is_done(self) -> bool:
        return self._is_done


class ByFolder:
    """Files that are copied into a watched folder."""

    def __init__(self, world: World, paths: list[Path]) -> None:
        self.said: list[str] = []
        self._paths = paths
        self._folder = world.watched / paths[0].parent.name

    def begin(self) -> None:
        self._folder.mkdir()
        for path in self._paths:
            shutil.copyfile(path, self._folder / path.name)

    def tend(self, is_complete: Callable[[], bool]) -> None:
        """The watcher has to see to it by itself."""

    @property
    def is_done(self) -> bool:
        return True


class ByWindow:
    """Files that are dropped on the terminal UI."""

    def __init__(self, world: World, paths: list[Path]) -> None:
        self.said: list[str] = []
        self._world = world
        self._paths = paths
        self._stopped_since = 0.0

    def begin(self) -> None:
        self._stopped_since = 0.0
        self._world.open_window().drop(self._paths)

    def tend(self, is_complete: Callable[[], bool]) -> None:
        if is_complete():
            return
        window = self._world.window
        if window is None or not window.is_open:
            # What it had handed over already, its clerk still takes.
            if not any("_clerk" in words for words in self._world.members().values()):
                self._drop_again("the UI was gone: dropped again in a new one")
        elif not window.is_stopped:
            self._stopped_since = 0.0
        elif not self._stopped_since:
            self._stopped_since = time.monotonic()
        elif time.monotonic() - self._stopped_since > _HOPELESS_SECONDS:
            self._world.close_window()
            self._drop_again("the UI stood still: closed, and dropped again in a new one")

    def _drop_again(self, why: str) -> None:
        self.said.append(why)
        self.begin()

    @property
    def is_done(self) -> bool:
        return True


def arrival(entry: Entry, world: World, paths: list[Path]) -> ByCommand | ByFolder | ByWindow:
    """The way in of a round."""
    ways: dict[Entry, type[ByCommand] | type[ByFolder] | type[ByWindow]] = {
        Entry.COMMAND: ByCommand,
        Entry.FOLDER: ByFolder,
        Entry.UI: ByWindow,
    }
    return ways[entry](world, paths)
