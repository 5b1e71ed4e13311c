"""How long the GPU waits between two units of a batch, for units of several lengths."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.house import House, house, one_model
from tests.bench.numbers import middle, p99
from tests.bench.papers import write_papers
from tests.bench.probe import UnitTimes
from tests.bench.result import BenchResult, at_most
from tests.ollama import Call, FaultKind, ModelSpec, OllamaDouble

MODEL = "steady:8b"
READER = ModelSpec(MODEL, parameter_size="8.2B", context_length=32768, num_ctx=4096, scripted=True, layers=1)
DOCUMENTS = 200
REPLY_SECONDS = (0.5, 0.2, 0.05)
"""What each reply of the model takes: the bar is for the first, which is quick for a large model; the others
show where it breaks."""


@dataclass
class Batch:
    """One batch on the gpu queue."""

    times: list[UnitTimes]
    calls: list[Call]

    @property
    def span(self) -> float:
        """Seconds from the first start to the last end."""
        return max(one.ended for one in self.times) - min(one.started for one in self.times)

    @property
    def worker_idle(self) -> float:
        """Share of the span in which no unit ran."""
        return 1 - sum(one.seconds for one in self.times) / self.span

    @property
    def server_idle(self) -> float:
        """Share of the span in which the model server had no call: what a GPU would see."""
        return 1 - sum((call.ended or call.started) - call.started for call in self.calls) / self.span


def run(scale: float) -> BenchResult:
    """A batch for each length of reply, each with half of the documents of the one before."""
    batches = {
        seconds: _batch(max(3, round(DOCUMENTS * scale / 2**place)), seconds)
        for place, seconds in enumerate(REPLY_SECONDS)
    }
    result = BenchResult(name="idle")
    for seconds, batch in batches.items():
        gaps = gaps_of(batch.times)
        units = [one.seconds for one in batch.times]
        result.figures |= {
            f"replies of {seconds * 1000:.0f} ms: units": len(batch.times),
            f"replies of {seconds * 1000:.0f} ms: a unit, ms, median": middle(units) * 1000,
            f"replies of {seconds * 1000:.0f} ms: the worker waits, share": batch.worker_idle,
            f"replies of {seconds * 1000:.0f} ms: the server waits, share": batch.server_idle,
            f"replies of {seconds * 1000:.0f} ms: between two units, ms, median": middle(gaps) * 1000,
            f"replies of {seconds * 1000:.0f} ms: between two units, ms, p99": p99(gaps) * 1000,
        }
    first = REPLY_SECONDS[0]
    result.ratios = {
        f"GPU idle share, replies of {first * 1000:.0f} ms": at_most(batches[first].worker_idle, 0.02)
    }
    result.notes = [
        "Idle is 1 - (sum of the units on the gpu queue) / (first start to last end), by Redis' clock.",
        "The server waits longer than the worker: a unit also takes its payload and checks the reply.",
    ]
    return result


def gaps_of(times: Sequence[UnitTimes]) -> list[float]:
    """Seconds from the end of each unit to the start of the next in the same process."""
    last: dict[int, float] = {}
    gaps = []
    for one in sorted(times, key=lambda each: each.started):
        if one.pid in last:
            gaps.append(one.started - last[one.pid])
        last[one.pid] = one.ended
    return gaps


def _batch(count: int, seconds: float) -> Batch:
    with tempfile.TemporaryDirectory(prefix="shoebox-bench-") as name, OllamaDouble((READER,)) as double:
        folder = Path(name)
        papers = write_papers(folder / "papers", count, 300)
        double.order(FaultKind.SILENCE, times=-1, seconds=seconds)
        with house(folder / "house", double, **one_model(MODEL, 4096)) as at_home:
            at_home.system.run("add", *papers)
            at_home.await_ended(count)
            return Batch(_on_gpu(at_home), double.settled("/api/chat"))


def _on_gpu(at_home: House) -> list[UnitTimes]:
    return [times for times, _ in at_home.gpu_times()]
