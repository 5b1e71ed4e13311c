"""How a unit that was run is counted. The same at home, in the ledger, and by the worker that ran it."""

from collections.abc import Iterator, Sequence

from tasks.documents import Failure, Stage
from tasks.engines import OFFLINE
from tasks.engines.llm.base import CallTrace
from tasks.image_classifiers import LOOK_PREFIX
from tasks.metrics.declared import BUCKETS, FAILURE_KINDS, OTHER
from tasks.orders import Outcome
from tasks.planning import PADDLEOCR

READING = "reading"
CLASSIFIER = "classifier"
DURATION = "unit_duration_seconds"
_MOST_SECONDS = 7 * 24 * 3600.0
_MOST_TOKENS = 100_000_000
"""What comes from other machines is not believed beyond these, nor below 0: counters never go down."""

Key = tuple[str, tuple[str, ...]]
"""The name of a metric and the values of its labels."""
Increment = tuple[str, tuple[str, ...], float]
"""By how much a series grows. Of a histogram: one of a bucket, whose upper bound comes last."""


def engine_of(model: str, llm_engine: str) -> str:
    """Which kind of engine does a unit for this `Order.model`; `llm_engine` does those of language models."""
    if model.startswith(LOOK_PREFIX):
        return CLASSIFIER
    return model if model in {READING, PADDLEOCR, OFFLINE} else llm_engine


def run_increments(
    stage: Stage, model: str, outcome: Outcome, failure: Failure | None, llm_engine: str
) -> Iterator[Increment]:
    """What a run of a unit for a model adds. What the outcome says may come from another machine."""
    if failure is None:
        yield "units_done_total", (stage.value,), 1
        yield from _duration(stage, engine_of(model, llm_engine), run_seconds(outcome))
    else:
        kind = failure.kind if failure.kind in FAILURE_KINDS else OTHER
        yield "unit_failures_total", (stage.value, kind), 1
    if outcome.calls:
        yield from call_increments(model, outcome.calls)
    for swap in outcome.swaps:
        loaded = model_label(swap.loaded) if swap.loaded in {model, PADDLEOCR} else OTHER
        yield "model_loads_total", (loaded,), 1
        yield "model_load_seconds_total", (loaded,), min(swap.seconds, _MOST_SECONDS)


def run_seconds(outcome: Outcome) -> float:
    """How long a run took."""
    return min(outcome.seconds, _MOST_SECONDS)


def model_label(model: str) -> str:
    """What stands for a unit's model in a label: one for all image classifiers, and no `:latest`.

    Ollama adds that to a name without a tag; settings and recipes name the model without it.
    """
    return CLASSIFIER if model.startswith(LOOK_PREFIX) else model.removesuffix(":latest")


def _duration(stage: Stage, engine: str, seconds: float) -> Iterator[Increment]:
    bound = next(bound for bound in BUCKETS if seconds <= bound)
    yield DURATION, (stage.value, engine, str(bound)), 1
    yield f"{DURATION}_sum", (stage.value, engine), seconds


def call_increments(model: str, calls: Sequence[CallTrace]) -> Iterator[Increment]:
    """What calls to a model add. `model` is the label: what a trace calls it is another machine's word."""
    label = (model_label(model),)
    sums = {
        "model_calls_total": len(calls),
        "model_call_errors_total": sum(bool(call.error) for call in calls),
        "prompt_tokens_total": sum(_tokens(call.prompt_tokens) for call in calls),
        "cached_prompt_tokens_total": sum(_tokens(call.cached_tokens or 0) for call in calls),
        "completion_tokens_total": sum(_tokens(call.reply_tokens) for call in calls),
    }
    for name, amount in sums.items():
        if amount:
            yield name, label, amount


def _tokens(count: int) -> int:
    return min(max(count, 0), _MOST_TOKENS)
