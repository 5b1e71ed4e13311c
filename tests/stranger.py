"""Walk through docs/quick-start.md as a stranger would: every command is copied from the page, in its order.

    python -m tests.stranger                      # in a fresh clone, which installs its own packages
    python -m tests.stranger --instead 'COMMAND'  # with another program in the place of ./run.sh

The home is private and removed at the end. Each block of commands has to end with status 0 and to print what
the page shows after it; ids are made from contents, so they are the same everywhere.
"""

import argparse
import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = "docs/quick-start.md"
ONLY_LOOKING = {"./run.sh watch", "./run.sh ls"}
"""What may be done again until it shows what the page promises for a little later."""
SERVING = "./run.sh api"
PATIENCE_SECONDS = 60.0
OF_THIS_MACHINE = re.compile(r"^(ok|warn|fail) ", re.MULTILINE)
"""What the doctor says differs from machine to machine."""


@dataclass(frozen=True)
class Step:
    """A block of commands, and what the page shows after it."""

    commands: str
    shown: str

    @property
    def lines(self) -> list[str]:
        """The commands, one by one."""
        return self.commands.strip().split("\n")


def steps(page: str) -> Iterator[Step]:
    """The blocks of a page; those of commands are `sh`, those of output are `text`."""
    blocks = re.findall(r"^```(sh|text)\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    for number, (kind, block) in enumerate(blocks):
        if kind == "sh":
            after = blocks[number + 1] if number + 1 < len(blocks) else ("", "")
            yield Step(block, after[1] if after[0] == "text" else "")


class Walk:
    """One walk, in a home of its own."""

    def __init__(self, checkout: Path, home: Path, instead: str) -> None:
        self._checkout, self._home, self._instead = checkout, home, instead
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("SHOEBOX_", "XDG_"))
        }
        self._environment = {**kept, "HOME": str(home), "COLUMNS": "100"}
        self._serving: subprocess.Popen[str] | None = None

    def take(self, step: Step) -> str:
        """Type a block; returns what is wrong, or nothing."""
        if step.lines == [SERVING]:
            return self._serve(step)
        until = time.monotonic() + (PATIENCE_SECONDS if ONLY_LOOKING.issuperset(step.lines) else 0)
        while True:
            ended = subprocess.run(
                self._typed(step.commands),
                cwd=self._checkout,
                env=self._environment,
                capture_output=True,
                text=True,
                check=False,
            )
            missing = self._missing(step, ended.stdout + ended.stderr)
            if ended.returncode or not missing or time.monotonic() > until:
                break
            time.sleep(1)
        print(ended.stdout, ended.stderr, sep="", end="", flush=True)
        return f"status {ended.returncode}" if ended.returncode else missing

    def end(self) -> None:
        """Stop what serves, as Ctrl-C would; and the services, wherever the walk ended."""
        if self._serving is not None:
            self._serving.terminate()
            self._serving.wait()
            self._serving = None
        typed = self._typed("./run.sh down")
        subprocess.run(typed, cwd=self._checkout, env=self._environment, capture_output=True, check=False)

    def _serve(self, step: Step) -> str:
        self._serving = subprocess.Popen(
            self._typed(f"exec {SERVING}"),
            cwd=self._checkout,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._serving.stdout is not None
        said = self._serving.stdout.readline()
        print(said, end="", flush=True)
        return self._missing(step, said)

    def _typed(self, commands: str) -> list[str]:
        return ["bash", "-e", "-c", commands.replace("./run.sh", self._instead)]

    def _missing(self, step: Step, said: str) -> str:
        """The first line of the page that was not said. In a pipe tables have tabs and no titles."""
        if OF_THIS_MACHINE.search(step.shown):
            return ""
        words = " ".join(said.replace(str(self._home), "/home/eva").split())
        for line in step.shown.splitlines():
            if not line.startswith("id ") and " ".join(line.split()) not in words:
                return f"not said: {line}"
        return ""


def main() -> int:
    """Walk; returns the status to end with."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--instead", default="", help="a command that stands for ./run.sh")
    instead = parser.parse_args().instead
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing is left running then either
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="shoebox-stranger-")))
        checkout = ROOT
        if not instead:
            checkout = folder / "shoebox"
            subprocess.run(["git", "clone", "--quiet", str(ROOT), str(checkout)], check=True)
        home = folder / "home"
        home.mkdir()
        walk = Walk(checkout, home, instead or "./run.sh")
        stack.callback(walk.end)
        for step in steps((checkout / PAGE).read_text(encoding="utf-8")):
            print(f"$ {step.commands.strip()}", flush=True)
            if problem := walk.take(step):
                print(f"Here the page is wrong: {problem}")
                return 1
    print("All commands did what the page says.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
