"""`python -m tests.fuzz [--minutes M] [--only NAME] [--seed N] [--json FILE]`; see docs/fuzzing.md."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from tests.fuzz.runner import Found, fuzz
from tests.fuzz.targets import TARGETS


def main(arguments: list[str] | None = None) -> int:
    """Fuzz the targets one after the other; 1 if one crashed, 2 if there is no such target."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description="Fuzz what reads foreign input."
    )
    parser.add_argument("--minutes", type=float, default=1.0, help="for each target (1)")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="may be repeated")
    parser.add_argument("--seed", type=int, default=1, help="another one gives other examples (1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was found there")
    given = parser.parse_args(arguments)
    if unknown := set(given.only) - TARGETS.keys():
        print(f"There is no {', '.join(sorted(unknown))}. There are: {', '.join(TARGETS)}.", file=sys.stderr)
        return 2
    print(f"{'target':<12} {'minutes':>7} {'cases':>9} {'crashes':>7}")
    results = [
        _shown(fuzz(target, given.minutes * 60, given.seed))
        for name, target in TARGETS.items()
        if not given.only or name in given.only
    ]
    _print_row("all", sum(r.seconds for r in results), sum(r.cases for r in results), _crashes(results))
    if given.json:
        given.json.write_text(
            json.dumps({"seed": given.seed, "targets": list(map(asdict, results))}, indent=1)
        )
    return 1 if _crashes(results) else 0


def _crashes(results: list[Found]) -> int:
    return sum(len(result.crashes) for result in results)


def _shown(found: Found) -> Found:
    _print_row(found.name, found.seconds, found.cases, len(found.crashes))
    for place, words in found.crashes.items():
        print(f"\n{found.name}: {place}\n{words!a}".replace("\\n", "\n"), flush=True)
    return found


def _print_row(name: str, seconds: float, cases: int, crashes: int) -> None:
    print(f"{name:<12} {seconds / 60:>7.1f} {cases:>9,} {crashes:>7}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
