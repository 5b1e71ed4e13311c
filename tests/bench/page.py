"""The page docs/benchmarks.md from what `./run.sh bench --json FILE` wrote: no figure in it is typed by hand.

    python -m tests.bench.page FILE... [--out docs/benchmarks.md]

Of a bench that is in several files the last file counts, so one bench can be measured again. The ratios of
the earlier ones stand beside its own.
"""

import argparse
import json
from pathlib import Path

from pydantic import BaseModel

from tests.bench.machine import Machine
from tests.bench.result import BenchResult, Ratio

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
_HEAD = """\
# Benchmarks

Made by `python -m tests.bench.page` from what `./run.sh bench --json FILE` measured. The ratios are of
figures from the same run and are what counts; times are those of one machine on one day. A bar that is
not kept says so.

What is compared:

- **versus**: the same documents, questions, forms of reply and llama.cpp server for all. The *loops*
  are a script that makes the three calls that a document takes, one after the other: with the
  instruction as the system prompt, as most examples have it, and with the document first. The *chain*
  is Celery as tutorials write it: a task for each step, one queue, one worker, defaults, the
  instruction first. In the middle an urgent document comes in. The server reads prompts for real; what
  it writes is scripted and costs nothing. A model that writes long replies brings the ratios nearer to
  1. The loop with the document first makes Shoebox's own calls in Shoebox's own order and nothing else: how
  much longer Shoebox takes is the price of its start, of the hand-over between units, and of an urgent
  document that comes in between. What all of them share is a machine whose speed is not steady.
- **swaps**: what the units on the gpu queue need loaded, in the order in which they ran, against the
  same units document by document, on a server with room for one model.
- **idle**: one minus the time in units over the time from the first unit's start to the last one's end.
- **instant**, **overhead**: what is left when reading costs nothing.
- **cutoff**: two workers, one of them cut off from home for a minute.
- **cuda**: PaddleOCR on a CUDA GPU beside the same on the processor.
"""


class Run(BaseModel):
    """One file."""

    machine: Machine
    scale: float
    results: list[BenchResult]


def page(runs: list[Run]) -> str:
    """The whole page."""
    measured: dict[str, list[tuple[Run, BenchResult]]] = {}
    for run in runs:
        for result in run.results:
            measured.setdefault(result.name, []).append((run, result))
    return "\n".join([_HEAD, *(_section(*earlier, latest) for *earlier, latest in measured.values())])


def _section(*measured: tuple[Run, BenchResult]) -> str:
    *earlier, (run, result) = measured
    lines = [f"## {result.name}", "", _machine(run), ""]
    if result.ratios:
        lines += ["| ratio | value | aim | | earlier runs |", "|---|---|---|---|---|"]
        lines += [_ratio_row(name, ratio, earlier) for name, ratio in result.ratios.items()]
        lines.append("")
    if result.figures:
        lines += ["| figure | value |", "|---|---|"]
        lines += [f"| {_cell(name)} | {number(value)} |" for name, value in result.figures.items()]
        lines.append("")
    lines += [f"- {_cell(note)}" for note in result.notes]
    return "\n".join(lines).rstrip() + "\n"


def _machine(run: Run) -> str:
    machine = run.machine
    gpus = ", ".join(machine.gpus) or "no CUDA GPU"
    return (
        f"{machine.date}, scale {run.scale:g}, Shoebox {machine.shoebox}, {machine.cores} cores "
        f"({_cell(machine.processor)}), {machine.ram_gb:.0f} GB, {_cell(gpus)}, Python {machine.python}, "
        f"{machine.system}; load before {machine.load_before:g}."
    )


def _ratio_row(name: str, ratio: Ratio, earlier: list[tuple[Run, BenchResult]]) -> str:
    verdict = {True: "kept", False: "**not kept**", None: ""}[ratio.kept]
    before = ", ".join(
        f"{number(result.ratios[name].value)} at scale {run.scale:g}"
        for run, result in earlier
        if name in result.ratios
    )
    return f"| {_cell(name)} | {number(ratio.value)} | {ratio.aim} | {verdict} | {before} |"


def number(value: float) -> str:
    """Three digits that count, and all of a large whole number."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--out", type=Path, default=PAGE)
    given = parser.parse_args()
    runs = [Run.model_validate(json.loads(path.read_text(encoding="utf-8"))) for path in given.files]
    given.out.write_text(page(runs), encoding="utf-8")


if __name__ == "__main__":
    main()
