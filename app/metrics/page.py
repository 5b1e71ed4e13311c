"""The tables of all metrics in docs/monitoring.md: `python -m app.metrics.page docs/monitoring.md`."""

import sys
from collections.abc import Iterable
from pathlib import Path

from tasks.metrics.declared import HOME_METRICS, WORKER_METRICS, Metric

TABLES = {"home": HOME_METRICS, "worker": WORKER_METRICS}


def metrics_table(name: str) -> str:
    """The table of the metrics of `home` or of a `worker`, in Markdown."""
    return "\n".join([_mark(name, "generated"), *_lines(TABLES[name]), _mark(name, "end")])


def _mark(name: str, word: str) -> str:
    return f"<!-- metrics of {name}: {word} -->"


def _lines(metrics: Iterable[Metric]) -> Iterable[str]:
    yield "| metric | labels | |"
    yield "|---|---|---|"
    for metric in metrics:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        yield f"| `{metric.name}` ({metric.kind}) | {labels} | {metric.help} |"


def written(text: str) -> str:
    """A page with its tables made anew."""
    for name in TABLES:
        before, rest = text.split(_mark(name, "generated"), 1)
        text = before + metrics_table(name) + rest.split(_mark(name, "end"), 1)[1]
    return text


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(written(page.read_text(encoding="utf-8")), encoding="utf-8")
