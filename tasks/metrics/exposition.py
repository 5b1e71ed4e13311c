"""Numbers as Prometheus reads them: its own text, or OpenMetrics where that is asked for."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from tasks.metrics.declared import BUCKETS, Kind, Metric
from tasks.metrics.runs import Key

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric as Family

PLAIN = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def exposition(metrics: Iterable[Metric], values: Mapping[Key, float], accept: str) -> tuple[bytes, str]:
    """The body and its media type.

    Args:
        metrics: that may be said. One without values is left out.
        values: by full name and labels. Of a histogram those of each bucket, not added up, with the upper
            bound as the last label; and the sum under the name with `_sum`.
        accept: the header that the client sent.
    """
    from prometheus_client.exposition import generate_latest
    from prometheus_client.openmetrics import exposition as open_metrics

    page = _Page(tuple(_families(metrics, values)))
    if "application/openmetrics-text" in accept.lower():
        return bytes(open_metrics.generate_latest(page)), OPEN_METRICS  # type: ignore[no-untyped-call]
    return generate_latest(page), PLAIN


class _Page:
    """What prometheus_client calls a collector."""

    def __init__(self, families: "tuple[Family, ...]") -> None:
        self._families = families

    def collect(self) -> "Iterable[Family]":
        return self._families


def _families(metrics: Iterable[Metric], values: Mapping[Key, float]) -> "Iterator[Family]":
    by_name: dict[str, dict[tuple[str, ...], float]] = {}
    for (name, labels), value in values.items():
        by_name.setdefault(name, {})[labels] = value
    for metric in metrics:
        if series := by_name.get(metric.name):
            yield _family(metric, series, by_name.get(f"{metric.name}_sum", {}))


def _family(
    metric: Metric, series: Mapping[tuple[str, ...], float], sums: Mapping[tuple[str, ...], float]
) -> "Family":
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

    if metric.kind is Kind.HISTOGRAM:
        return _histogram(metric, series, sums)
    form = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
    family = form(metric.name, metric.help, labels=metric.labels)
    for labels, value in sorted(series.items()):
        family.add_metric(labels, value)
    return family


def _histogram(
    metric: Metric, series: Mapping[tuple[str, ...], float], sums: Mapping[tuple[str, ...], float]
) -> "Family":
    from prometheus_client.metrics_core import HistogramMetricFamily

    family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels in sorted({(*key[:-1],) for key in series}):
        total, buckets = 0.0, []
        for bound in BUCKETS:
            total += series.get((*labels, str(bound)), 0.0)
            buckets.append((_bound(bound), total))
        family.add_metric(labels, buckets, sums.get(labels, 0.0))
    return family


def _bound(bound: float) -> str:
    """An upper bound as Prometheus writes it."""
    return "+Inf" if bound == float("inf") else str(bound)
