"""This home's numbers: what the ledger, Redis and the disk say. Read only."""

import shutil
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from app.model_uses import model_uses
from tasks.alerts import depth_alerts
from tasks.circuit import load_circuit
from tasks.documents import FINAL_STATES, Stage, State
from tasks.engines import OFFLINE, llm_engine_name
from tasks.exchange import Exchange
from tasks.gpu import Gpu
from tasks.homes import homes_up
from tasks.ledger import Ledger
from tasks.metrics.declared import BUCKETS, FAILURE_KINDS, OUT, PREFIX, RUNS
from tasks.metrics.runs import DURATION, READING, Key, model_label
from tasks.orders import Presence
from tasks.planning import CPU_QUEUE, GPU_QUEUE, HOME_QUEUE, PADDLEOCR
from tasks.settings import Settings
from tasks.tallies import tallies
from tasks.version import VERSION

QUEUES = (HOME_QUEUE, CPU_QUEUE, GPU_QUEUE)
DOCUMENT_STATES: tuple[State, ...] = tuple(state for state in State if state is not State.QUEUED)
UNIT_STATES: tuple[State, ...] = tuple(state for state in State if state is not State.REVIEW)
_ENDED = "state IN ('done', 'failed', 'quarantined', 'cancelled')"
_UNFINISHED = ("state = 'waiting'", "state IN ('queued', 'running')")
"""Word for word the conditions of the indexes that lead to these units: see `tasks.schema`."""
Values = dict[Key, float]
Series = Iterator[tuple[Key, float]]


def _full(series: Iterable[tuple[Key, float]]) -> Values:
    return {(PREFIX + name, labels): float(value) for (name, labels), value in series}


def ledger_values(ledger: Ledger, settings: Settings, now: float) -> Values:
    """What the ledger says, all of one moment; `now` is in seconds since the epoch.

    A look holds no writer up. With 10,000 documents it takes about 20 ms (two cores of 2026).
    """
    models = _models_used(settings)
    ledger.db.execute("BEGIN")  # a snapshot; it takes no lock that a writer would wait for
    try:
        found: dict[Key, float] = {}
        for part in (
            _zeros(settings, models),
            tallies(ledger).items(),
            _standing(ledger),
            _units(ledger, settings, now),
            _models(ledger, settings, models),
        ):
            found.update(part)
    finally:
        ledger.db.execute("COMMIT")
    return _full(found.items())


def _zeros(settings: Settings, models: Collection[str]) -> Series:
    """Series that may not have begun: of one that is not there before it is 1, no rate can be told."""
    yield ("documents_added_total", ()), 0
    llm = llm_engine_name(settings)
    readers = [OFFLINE] if settings.engine == OFFLINE else [OFFLINE, llm]
    engines = {Stage.EXTRACT: [READING], Stage.OCR: [PADDLEOCR], Stage.LOOK: []}
    for state in FINAL_STATES:
        yield ("documents_ended_total", (state.value,)), 0
    for stage in Stage:
        yield ("units_done_total", (stage.value,)), 0
        for kind in FAILURE_KINDS:
            yield ("unit_failures_total", (stage.value, kind)), 0
        for engine in engines.get(stage, readers):
            for bound in BUCKETS:
                yield (DURATION, (stage.value, engine, str(bound))), 0
    for queue in QUEUES:
        yield ("queue_busy_seconds_total", (queue,)), 0
    for metric in RUNS:
        if metric.labels == ("model",):
            for model in models:
                yield (metric.name, (model,)), 0


def _models_used(settings: Settings) -> set[str]:
    """The models that settings and recipes name, as they stand in labels."""
    if settings.engine == OFFLINE:
        return set()
    return {model_label(model) for model in model_uses(settings).models}


def _standing(ledger: Ledger) -> Series:
    """How many documents are in each state, and what is still to be told outside."""
    counts = ledger.state_counts()
    for state in DOCUMENT_STATES:
        yield ("documents", (state.value,)), counts.get(state, 0)
    (waiting,) = ledger.db.execute(
        "SELECT count(*) FROM outbox WHERE delivered_at IS NULL AND given_up_at IS NULL"
    ).fetchone()
    yield ("notices_waiting", ()), waiting


def _units(ledger: Ledger, settings: Settings, now: float) -> Series:
    """How many units are in each state, and how much each queue has to do."""
    units: Counter[tuple[str, str]] = Counter()
    depth: Counter[tuple[str, str]] = Counter()
    oldest = dict.fromkeys(QUEUES, now)
    for stage, state, number in ledger.db.execute(
        f"SELECT stage, state, count(*) FROM units WHERE {_ENDED} GROUP BY stage, state"
    ):
        units[stage, state] += number
    for which in _UNFINISHED:
        for stage, state, queue, number, planned_at in ledger.db.execute(
            "SELECT stage, state, queue, count(*), min(nullif(planned_at, 0)) FROM units"
            f" WHERE {which} GROUP BY stage, state, queue"
        ):
            units[stage, state] += number
            depth[queue, state if state == State.WAITING else OUT] += number
            oldest[queue] = min(oldest.get(queue, now), planned_at or now)
    for stage in Stage:
        for state in UNIT_STATES:
            yield ("units", (stage.value, state.value)), units[stage.value, state.value]
    alerts = {alert.queue for alert in depth_alerts(ledger)}
    for queue in QUEUES:
        for place in (State.WAITING.value, OUT):
            yield ("queue_units", (queue, place)), depth[queue, place]
        yield ("queue_oldest_unit_seconds", (queue,)), max(0.0, now - oldest[queue])
        yield ("queue_alert", (queue,)), queue in alerts
    yield ("queue_units_limit", ()), settings.alert_depth


def _models(ledger: Ledger, settings: Settings, models: Collection[str]) -> Series:
    """Whether the models that settings and recipes name can be asked; nothing where nobody expects any."""
    circuit = load_circuit(ledger)
    if circuit.known.problem and not circuit.is_expected(settings):
        return
    paused = {model_label(model) for model in circuit.paused_models}
    yield ("model_server_up", ()), not circuit.known.problem
    yield ("model_server_circuit_open", ()), circuit.is_paused
    for model in models:
        yield ("model_up", (model,)), circuit.known.find(model) is not None
        yield ("model_circuit_open", (model,)), model in paused


def redis_values(exchange: Exchange, home: str) -> Values:
    """What Redis says: the workers that are up, and itself.

    Raises:
        RedisError: it does not answer.
    """
    presences = exchange.presence()
    memory = exchange.redis.info("memory")["used_memory"]
    return _full(
        [
            *_workers(presences),
            *_gpus(presences),
            (("redis_memory_used_bytes", ()), memory),
            (("home_up", ()), home in homes_up(exchange)),
        ]
    )


def _workers(presences: Iterable[Presence]) -> Series:
    serving = [(queue, worker) for worker in presences for queue in worker.queues]
    for queue in QUEUES:
        fit = [worker for served, worker in serving if served == queue and worker.version in {"", VERSION}]
        everyone = sum(served == queue for served, _ in serving)
        yield ("queue_workers", (queue,)), len(fit)
        yield ("queue_unfit_workers", (queue,)), everyone - len(fit)
        yield ("queue_slots", (queue,)), sum(worker.slots for worker in fit)


def _gpus(presences: Iterable[Presence]) -> Series:
    """Of all machines together: their names are no labels of ours."""
    found: dict[tuple[str, int, str], Gpu] = {
        (presence.host, gpu.index, gpu.uuid): gpu for presence in presences for gpu in presence.gpus
    }
    yield ("gpus", ()), len(found)
    used = [gpu.utilisation for gpu in found.values() if gpu.utilisation is not None]
    if used:
        yield ("gpu_utilisation_ratio", ()), sum(used) / len(used) / 100
    if found:
        yield ("gpu_memory_bytes", ()), sum(gpu.memory_total for gpu in found.values())
        yield ("gpu_memory_used_bytes", ()), sum(gpu.memory_used for gpu in found.values())


def disk_values(settings: Settings) -> Values:
    """How much room there is where the data lies, and what the ledger takes."""
    series: list[tuple[Key, float]] = [(("build_info", (VERSION,)), 1)]
    with suppress(OSError):
        usage = shutil.disk_usage(settings.data_dir)
        series += [(("data_free_bytes", ()), usage.free), (("data_size_bytes", ()), usage.total)]
    path = settings.ledger_path
    series.append((("ledger_size_bytes", ()), sum(_size(one) for one in (path, Path(f"{path}-wal")))))
    return _full(series)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
