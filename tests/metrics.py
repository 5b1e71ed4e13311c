"""What /metrics says, taken apart; and pages with every metric on them."""

import time
from dataclasses import dataclass
from typing import Any

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open_metrics
from prometheus_client.parser import text_string_to_metric_families as parse_plain

from tasks.documents import Failure, Stage
from tasks.engines.llm.base import CallTrace
from tasks.exchange import Exchange
from tasks.gpu import Gpu
from tasks.metrics.declared import WORKER_METRICS
from tasks.metrics.exposition import OPEN_METRICS, exposition
from tasks.metrics.worker import WorkerNumbers
from tasks.orders import Outcome, Presence, Swap
from tasks.version import VERSION

GPU = Gpu(index=0, name="L4", memory_total=24 * 2**30, memory_used=6 * 2**30, utilisation=50, uuid="GPU-a")


@dataclass(frozen=True)
class Scrape:
    """A page, parsed."""

    families: dict[str, Any]
    samples: dict[tuple[str, tuple[tuple[str, str], ...]], float]

    def value(self, name: str, **labels: str) -> float:
        """Of one series."""
        return self.samples[name, tuple(sorted(labels.items()))]

    def has(self, name: str, **labels: str) -> bool:
        """Whether there is such a series."""
        return (name, tuple(sorted(labels.items()))) in self.samples

    @property
    def names(self) -> set[str]:
        """Of all samples, with `_bucket`, `_sum` and `_count`."""
        return {name for name, _ in self.samples}

    def counters(self) -> dict[Any, float]:
        """The series that never go down."""
        rising = ("_total", "_bucket", "_sum", "_count")
        return {key: value for key, value in self.samples.items() if key[0].endswith(rising)}


def parsed(body: bytes, kind: str = "") -> Scrape:
    """A page in one of both forms."""
    parse = parse_open_metrics if kind == OPEN_METRICS else parse_plain
    families = {family.name: family for family in parse(body.decode())}
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families.values()
        for sample in family.samples
    }
    assert len(samples) == sum(len(family.samples) for family in families.values()), "a series stands twice"
    return Scrape(families, samples)


def call(model: str, **more: Any) -> CallTrace:
    """A call to a language model."""
    return CallTrace(engine="ollama", model=model, purpose="fields", prompt_sha256="", prompt="", **more)


def presence(queue: str, **more: Any) -> Presence:
    """A worker of this version that has said that it is there."""
    return Presence(
        worker=f"{queue}@box", queues=(queue,), slots=2, pid=1, host="box", version=VERSION, **more
    )


def announce_workers(exchange: Exchange) -> None:
    """One for each queue, that for gpu with a GPU."""
    for one in (presence("home"), presence("cpu"), presence("gpu", gpus=(GPU,))):
        exchange.announce_presence(one, 60)


def full_worker_page() -> bytes:
    """What a worker of the gpu queue says that has done everything once."""
    from tasks.metrics.runs import run_increments

    numbers = WorkerNumbers("gpu", 1)
    calls = (call("m", prompt_tokens=9, cached_tokens=4, reply_tokens=3), call("m", error="x"))
    swaps = (Swap(loaded="m", seconds=2.0),)
    failure = Failure(kind="died", message="x")
    for outcome in (
        Outcome(issue=1, result={}, seconds=1.5, calls=calls, swaps=swaps),
        Outcome(issue=1, failure=failure),
    ):
        for one in run_increments(Stage.ANALYSE, "m", outcome, outcome.failure, "ollama"):
            numbers.mine.add(*one)
    now = time.monotonic()
    numbers.note_presence(presence("gpu", gpus=(GPU,)), now)
    return exposition(WORKER_METRICS, numbers.values(now), "")[0]
