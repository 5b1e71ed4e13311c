"""Every metric: its name, its labels, and what it says. docs/monitoring.md is made from this.

Labels take their values from closed sets only: stages, states, queues, engines, kinds of failures, the models
that settings and recipes name, numbers of GPUs. Never a file, a document, a category or words of an error.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

PREFIX = "shoebox_"
WORKER_PREFIX = "shoebox_worker_"
BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, float("inf"))
"""Upper bounds of what units take, in seconds."""
OTHER = "other"
"""In place of a label's value that is none of its set."""
FAILURE_KINDS = (
    *("file", "limit", "error", "timeout", "died", "lost", "cancelled", "unavailable", "no model", "reply"),
    OTHER,
)
"""See `tasks.documents.Failure`."""
OUT = "out"
"""Of the units of a queue: on the road, or with a worker."""


class Kind(StrEnum):
    """How Prometheus takes a metric."""

    COUNTER = "counter"
    """Never goes down while its program runs; that of home not even then."""
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()

    def prefixed(self, prefix: str) -> "Metric":
        """The same under its full name."""
        return replace(self, name=prefix + self.name)


def _counter(name: str, text: str, *labels: str) -> Metric:
    return Metric(name, Kind.COUNTER, text, labels)


def _gauge(name: str, text: str, *labels: str) -> Metric:
    return Metric(name, Kind.GAUGE, text, labels)


RUNS = (
    _counter("units_done_total", "Units that were run and gave a result.", "stage"),
    _counter("unit_failures_total", "Runs of units that gave none, by what follows.", "stage", "kind"),
    Metric(
        "unit_duration_seconds",
        Kind.HISTOGRAM,
        "How long units took that gave a result, loading of models included.",
        ("stage", "engine"),
    ),
    _counter("model_calls_total", "Calls to language models.", "model"),
    _counter("model_call_errors_total", "Of these, calls without a usable reply.", "model"),
    _counter("prompt_tokens_total", "Tokens of prompts, those that the server had cached too.", "model"),
    _counter("cached_prompt_tokens_total", "Of these, tokens that the server said it had cached.", "model"),
    _counter("completion_tokens_total", "Tokens that models wrote.", "model"),
    _counter("model_loads_total", "Models that had to be loaded for a unit (swaps).", "model"),
    _counter("model_load_seconds_total", "What that took, with making room.", "model"),
)
"""What is counted of each run of a unit, at home and by the worker; the names are without prefix."""

_HOME = (
    _gauge("build_info", "Always 1; the version.", "version"),
    _gauge("ledger_up", "1 if the ledger answered this scrape. If 0, what comes from it is missing."),
    _gauge("redis_up", "1 if Redis answered this scrape. If 0, what comes from it is missing."),
    _gauge("home_up", "1 if the home worker looked after lost units within the last minute."),
    _gauge("documents", "Documents by state, as the ledger has them.", "state"),
    _counter("documents_added_total", "Documents that were taken in, those removed since too."),
    _counter(
        "documents_ended_total",
        "Times that a document came into this state; one in review comes into done when it is accepted.",
        "state",
    ),
    _gauge("units", "Units by stage and state, as the ledger has them.", "stage", "state"),
    *RUNS,
    _gauge("queue_units", "Units that have not ended; `out`: with Redis or a worker.", "queue", "state"),
    _gauge("queue_oldest_unit_seconds", "Since the oldest of these was planned; 0: none.", "queue"),
    _gauge("queue_units_limit", "The setting alert_depth; 0: no limit."),
    _gauge("queue_alert", "1 if home has raised its own alert of a deep queue.", "queue"),
    _counter("queue_busy_seconds_total", "What the runs of units took that have ended.", "queue"),
    _gauge("queue_workers", "Workers that are up and have the version of this home.", "queue"),
    _gauge("queue_unfit_workers", "Workers that are up with another version: they get nothing.", "queue"),
    _gauge("queue_slots", "Units that the workers run at the same time.", "queue"),
    _gauge("model_server_up", "1 if some worker reaches a language model. Not where none is expected."),
    _gauge("model_server_circuit_open", "1 while nothing is sent to the model server after failures."),
    _gauge("model_up", "1 if some worker has announced this model of the settings or recipes.", "model"),
    _gauge("model_circuit_open", "1 while nothing is sent to this model after failures.", "model"),
    _gauge("gpus", "GPUs that the workers of the gpu queue announce."),
    _gauge("gpu_utilisation_ratio", "Mean over these of what the driver says, 0 to 1."),
    _gauge("gpu_memory_bytes", "Memory of these together."),
    _gauge("gpu_memory_used_bytes", "Of that, in use by any program."),
    _gauge("notices_waiting", "What is still to be told to the desktop and the webhook."),
    _gauge("redis_memory_used_bytes", "What Redis takes up."),
    _gauge("data_free_bytes", "Free space where the data directory lies."),
    _gauge("data_size_bytes", "Size of that file system."),
    _gauge("ledger_size_bytes", "The ledger's file and its log."),
    _gauge("collect_seconds", "What collecting these numbers took."),
    _gauge("collected_timestamp_seconds", "When they were collected: scrapes within two seconds share them."),
)
_WORKER = (
    _gauge("info", "Always 1; the queue that it serves and its version.", "queue", "version"),
    _gauge("slots", "Units that it runs at the same time, once it has grown to its full size."),
    _gauge("busy_processes", "Processes of its pool that are at a task now."),
    _counter(
        "busy_seconds_total",
        "Seconds that its processes were at tasks, that of now included; on the gpu queue that is how long it"
        " had the GPU.",
        "queue",
    ),
    *RUNS,
    _gauge("redis_up", "1 if Redis took this worker's sign of life within the last ten seconds."),
    _gauge(
        "model_server_up",
        "1 if it reaches a language model. Not on the home queue, nor with the offline engine.",
    ),
    _gauge("version_fits", "1 if it has the version of the homes that are up."),
    _gauge("gpu_utilisation_ratio", "What the driver says of a GPU that it may use, 0 to 1.", "gpu"),
    _gauge("gpu_memory_bytes", "Memory of that GPU.", "gpu"),
    _gauge("gpu_memory_used_bytes", "Of that, in use by any program.", "gpu"),
)

HOME_METRICS = tuple(metric.prefixed(PREFIX) for metric in _HOME)
"""What the API serves at /metrics."""
WORKER_METRICS = tuple(metric.prefixed(WORKER_PREFIX) for metric in _WORKER)
"""What a worker serves."""
