"""What the rounds came to, as a table and as JSON."""

import json
import statistics
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.chaos.rounds import Result


def _times(values: Sequence[float | None]) -> dict[str, float | None]:
    known = [value for value in values if value is not None]
    if not known:
        return {"median": None, "worst": None}
    return {"median": round(statistics.median(known), 1), "worst": round(max(known), 1)}


def summary(results: Sequence[Result], orphans: Sequence[str], seed: int) -> dict[str, Any]:
    """The figures of the closing note."""
    by_kind: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        for kind in result.kinds:
            by_kind[kind].append(result)
    return {
        "seed": seed,
        "rounds": len(results),
        "failed_rounds": [result.plan.number for result in results if result.problems],
        "strikes": sum(len(result.struck) for result in results),
        "documents": sum(result.documents for result in results),
        "lost": sum(result.lost for result in results),
        "doubled": sum(result.doubled for result in results),
        "orphans": len(orphans),
        "seconds_to_progress": _times([result.to_progress for result in results]),
        "seconds_of_standstill": _times([result.standstill for result in results]),
        "round_seconds": _times([result.seconds for result in results]),
        "services_started_by_a_person": sum(result.ups for result in results),
        "done_again_by_a_person": sum(len(result.said) for result in results),
        "skipped": sorted({reason for result in results for reason in result.skipped}),
        "by_kind": {
            kind: {
                "strikes": len(struck),
                "seconds_to_progress": _times([result.to_progress for result in struck]),
                "seconds_of_standstill": _times([result.standstill for result in struck]),
                "lost": sum(result.lost for result in struck),
                "doubled": sum(result.doubled for result in struck),
            }
            for kind, struck in sorted(by_kind.items())
        },
    }


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def table(figures: dict[str, Any]) -> str:
    """The figures as Markdown."""
    progress, still = figures["seconds_to_progress"], figures["seconds_of_standstill"]
    lines = [
        f"{figures['rounds']} rounds (seed {figures['seed']}), {figures['strikes']} strikes,"
        f" {figures['documents']} documents: {figures['lost']} lost, {figures['doubled']} doubled,"
        f" {figures['orphans']} processes left over;"
        f" rounds that failed: {figures['failed_rounds'] or 'none'}.",
        f"From a strike to progress: median {_cell(progress['median'])} s,"
        f" worst {_cell(progress['worst'])} s."
        f" Longest standstill after a strike: median {_cell(still['median'])} s,"
        f" worst {_cell(still['worst'])} s.",
        f"A person started the services {figures['services_started_by_a_person']} times again and repeated"
        f" {figures['done_again_by_a_person']} commands or drops.",
        "",
        "| struck | strikes | to progress, median | worst | standstill, median | worst | lost | doubled |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind, one in figures["by_kind"].items():
        progress, still = one["seconds_to_progress"], one["seconds_of_standstill"]
        cells = [
            kind,
            str(one["strikes"]),
            *(_cell(progress["median"]), _cell(progress["worst"])),
            *(_cell(still["median"]), _cell(still["worst"])),
            *(str(one["lost"]), str(one["doubled"])),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", *(f"Not done here: {reason}" for reason in figures["skipped"])]
    return "\n".join(lines).rstrip()


def round_line(result: Result) -> str:
    """One round, for those who wait."""
    plan = result.plan
    kinds = " and ".join(
        f"{one.strike.kind} ({one.strike.seconds:g} s{', ' + one.note if one.note else ''})"
        for one in result.struck
    )
    verdict = "FAILED" if result.problems else "ok"
    return (
        f"round {plan.number}: {kinds or 'nothing'}; {plan.documents} documents by {plan.entry};"
        f" progress after {_cell(result.to_progress)} s, standstill {_cell(result.standstill)} s,"
        f" {result.seconds:.1f} s in all: {verdict}"
    )


def write_json(path: Path, figures: dict[str, Any], results: Sequence[Result]) -> None:
    """The figures and a line a round."""
    rounds = [
        {
            "round": result.plan.number,
            "struck": result.kinds,
            "entry": result.plan.entry,
            "documents": result.documents,
            "to_progress": result.to_progress,
            "standstill": result.standstill,
            "seconds": round(result.seconds, 1),
            "said": result.said,
            "problems": result.problems,
        }
        for result in results
    ]
    path.write_text(json.dumps({**figures, "all_rounds": rounds}, indent=1) + "\n")
