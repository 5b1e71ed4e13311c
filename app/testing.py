"""`./run.sh test`: style, types, import rules, then the tests.

`--chaos MINUTES` runs seeded rounds of chaos for so long before the tests, `--chaos-seed N` those of a seed;
see docs/chaos.md. All other arguments are pytest's.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(sys.prefix) / "cache"
"""In the virtual environment, because the checkout may be read-only."""

CHECKS = {
    "ruff check": ("-m", "ruff", "check", "--cache-dir", str(CACHE / "ruff"), "."),
    "ruff format": ("-m", "ruff", "format", "--check", "--cache-dir", str(CACHE / "ruff"), "."),
    "mypy --strict": ("-m", "mypy", "--cache-dir", str(CACHE / "mypy")),
    "import rules": (
        "-c",
        "from importlinter.cli import lint_imports_command; lint_imports_command()",
        "--no-logo",
        "--cache-dir",
        str(CACHE / "import-linter"),
    ),
}


def main(arguments: list[str]) -> int:
    """Run every check, chaos if asked for, then pytest, whose closing line is the last that is printed.

    Returns:
        The exit status of the first that failed, else 0.
    """
    statuses = [_check(name, command) for name, command in CHECKS.items()]
    given, for_pytest = _parser().parse_known_args(arguments)
    if given.chaos:
        statuses.append(_chaos(given.chaos, given.chaos_seed))
    statuses.append(_pytest(for_pytest))
    return next((status for status in statuses if status), 0)


def _parser() -> argparse.ArgumentParser:
    # Nothing abbreviated, and no help: both are pytest's.
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--chaos", type=float, default=0.0, metavar="MINUTES")
    parser.add_argument("--chaos-seed", type=int, default=None, metavar="N")
    return parser


def _chaos(minutes: float, seed: int | None) -> int:
    command = [sys.executable, "-m", "tests.chaos", "--minutes", str(minutes)]
    if seed is not None:
        command += ["--seed", str(seed)]
    return subprocess.run(command, cwd=ROOT, env=_environment(), check=False).returncode


def _environment() -> dict[str, str]:
    """Without the user's own settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("SHOEBOX_")}


def _check(name: str, command: tuple[str, ...]) -> int:
    started = time.monotonic()
    ended = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    verdict = "ok" if ended.returncode == 0 else "FAILED"
    print(f"{name:<14} {verdict} ({time.monotonic() - started:.1f} s)", flush=True)
    if ended.returncode:
        print(ended.stdout.rstrip(), flush=True)
    return ended.returncode


def _pytest(arguments: list[str]) -> int:
    """Run in the checkout, from which paths among the arguments count, without the user's own settings.

    Two files of tests run at a time for each core, because tests wait for processes half of their time;
    `-n 0` takes them in turn.
    """
    at_a_time = min(8, 2 * (os.cpu_count() or 1))
    # Not the files with most tests first, as xdist would: tests/conftest.py puts the longest first.
    side_by_side = ("-n", str(at_a_time), "--dist", "loadfile", "--no-loadscope-reorder")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-o",
        f"cache_dir={CACHE / 'pytest'}",
        *side_by_side,
        *arguments,
    ]
    environment = _environment()
    environment["HYPOTHESIS_STORAGE_DIRECTORY"] = str(CACHE / "hypothesis")
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
