"""Run benches, print what they found, write it down: `python -m tests.bench`."""

import argparse
import importlib
import json
import math
import signal
import sys
import time
from pathlib import Path

from tests.bench.machine import Machine, this_machine
from tests.bench.result import BenchResult, from_found

FOLDER = Path(__file__).parent
OTHER_BENCHES = sorted(path.stem for path in FOLDER.parent.glob("bench_*.py"))
"""Benches of one part each, with a command line of their own."""
ORDER = ("versus", "swaps", "idle", "instant", "overhead", "cutoff", "cuda")


def names() -> list[str]:
    """The benches, found by their `run`: those that are known in their order, then the others."""
    found = {
        path.stem for path in FOLDER.glob("*.py") if "\ndef run(scale" in path.read_text(encoding="utf-8")
    }
    known = [name for name in ORDER if name in found]
    return known + sorted(found - set(known))


def main(arguments: list[str]) -> int:
    """Run what is named, or all.

    Returns:
        0, also where a bar is not kept: a busy machine is no fault. 1 if a bench could not be run.
    """
    given = _parse(arguments)
    if given.list:
        print(_listing())
        return 0
    unknown = [name for name in given.names if name not in names()]
    if unknown:
        print(f"There is no bench {unknown[0]!r}. There are: {', '.join(names())}.", file=sys.stderr)
        return 2
    machine = this_machine()
    print(_machine_line(machine), flush=True)
    results, failed = [], False
    for name in given.names or names():
        try:
            result = measure(name, given.scale)
        except Exception as error:  # the others are worth having all the same
            failed = True
            result = BenchResult(name=name, notes=[f"could not be run: {type(error).__name__}: {error}"])
        results.append(result)
        print(shown(result), flush=True)
    if given.json:
        document = {
            "machine": machine.model_dump(),
            "scale": given.scale,
            "results": [result.model_dump() for result in results],
        }
        given.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return int(failed)


def measure(name: str, scale: float) -> BenchResult:
    """Run one bench."""
    begun = time.monotonic()
    result = from_found(name, importlib.import_module(f"tests.bench.{name}").run(scale))
    figures = {what: value for what, value in result.figures.items() if not math.isnan(value)}
    return result.model_copy(update={"figures": figures, "seconds": round(time.monotonic() - begun, 1)})


def shown(result: BenchResult) -> str:
    """A result as lines for people."""
    lines = [f"\n{result.name} ({result.seconds:.0f} s)"]
    for name, ratio in result.ratios.items():
        verdict = {True: "kept", False: "NOT KEPT", None: ""}[ratio.kept]
        bar = f"  aim: {ratio.aim}, {verdict}" if ratio.aim else ""
        lines.append(f"  {name:<72} {ratio.value:10.4g}{bar}")
    lines += [f"    {name:<70} {value:10,.4g}" for name, value in result.figures.items()]
    lines += [f"    {note}" for note in result.notes]
    return "\n".join(lines)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run.sh bench", description="Measure Shoebox.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="which; all by default, see --list")
    parser.add_argument("--scale", type=float, default=1.0, help="how many documents: 1 takes ten minutes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--list", action="store_true", help="name the benches and end")
    given = parser.parse_args(arguments)
    if not 0 < given.scale <= 100:
        parser.error("--scale must be above 0 and at most 100")
    return given


def _listing() -> str:
    own = [f"  {name:<10} {_first_line(FOLDER / f'{name}.py')}" for name in names()]
    others = [
        f"  python -m tests.{name:<15} {_first_line(FOLDER.parent / f'{name}.py')}" for name in OTHER_BENCHES
    ]
    return "\n".join(["./run.sh bench NAME", *own, "Of one part each:", *others])


def _first_line(module: Path) -> str:
    return module.read_text(encoding="utf-8").split("\n", 1)[0].strip('"').partition(": `python")[0]


def _machine_line(machine: Machine) -> str:
    gpus = ", ".join(machine.gpus) or "no CUDA GPU"
    return (
        f"Shoebox {machine.shoebox} on {machine.cores} cores, {machine.ram_gb:.0f} GB, {machine.processor}, "
        f"{gpus}, Python {machine.python}, {machine.date}, load {machine.load_before}"
    )


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is ended on the way out
    sys.exit(main(sys.argv[1:]))
