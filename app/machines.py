"""How the machines are: workers, queues, models, and how long the rest will take. Knows no Textual."""

import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app.gpu_use import GpuUse, gpu_use
from app.language_model import LanguageModel, language_model
from app.model_uses import ModelUses, model_uses
from tasks.alerts import DepthAlert, depth_alerts
from tasks.circuit import Circuit, load_circuit
from tasks.documents import Stage, State
from tasks.engines.llm.base import ModelInfo
from tasks.exchange import Exchange, Holder
from tasks.gpu import Gpu
from tasks.ledger import DocumentRow, Ledger
from tasks.orders import OcrParams, Presence, ReadParams
from tasks.planning import CPU_QUEUE, GPU_QUEUE, HOME_QUEUE
from tasks.routing import queue_of
from tasks.settings import Settings
from tasks.throughput import Depth, depths, seconds_left, throughput
from tasks.units import UnitRow, outstanding
from tasks.version import VERSION

if TYPE_CHECKING:
    from redis import Redis

    from app.services import ServicesStatus

QUEUES = (HOME_QUEUE, CPU_QUEUE, GPU_QUEUE)
_READING_STAGES = (Stage.CLASSIFY, Stage.ANALYSE)


@dataclass(frozen=True, slots=True)
class Work:
    """A unit that a worker is on. The document's name is untrusted text."""

    document: str
    name: str
    stage: Stage
    queue: str
    """The unit's; home prepares units of the gpu queue."""
    place: str
    """Which part of the document, in words such as `pages 5-8 of 12`; empty for all of it."""
    seconds: float
    """For how long."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker that is up. All text is untrusted: it comes from other machines."""

    name: str
    host: str
    queues: tuple[str, ...]
    slots: int
    works: tuple[Work, ...]
    gpus: tuple[Gpu, ...]
    version: str
    problem: str
    """Why it reaches no language model."""
    software: tuple[tuple[str, str], ...] = ()
    """What it runs on, and in which version."""
    version_problem: str = ""
    """That it and some home have different versions."""
    image_classifiers: tuple[str, ...] = ()
    """Those of its user's that it can run, by name."""


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue and those who serve it."""

    name: str
    workers: int
    slots: int
    busy: int
    """Slots with a unit. At home that may be one of the gpu queue, whose pages are being rendered."""
    depth: int
    """Units of this queue that have not ended."""
    problem: str = ""
    """A sentence with the remedy, where there is work and nobody to do it."""


@dataclass(frozen=True, slots=True)
class Model:
    """A language model that a machine's workers reach. Its name is untrusted text."""

    name: str
    host: str
    """Of the worker that sees it."""
    parameters: int
    """How many; 0 if the server does not say."""
    loaded: bool | None
    vram: int | None
    """Bytes."""
    queue: str
    reason: str
    """Why it belongs on that queue, in words."""
    used_for: tuple[str, ...]
    """What for, in words: the stage, with the recipe and its categories where they chose the model."""


@dataclass(frozen=True, slots=True)
class Machines:
    """All of it, as it was at one moment."""

    workers: tuple[Worker, ...]
    queues: tuple[Queue, ...]
    models: tuple[Model, ...]
    unfinished: int
    """Documents that are not read yet."""
    documents_per_minute: float
    pages_per_minute: float
    eta_seconds: float | None
    """Until all is read; None where that cannot be said."""
    llm: LanguageModel
    link: bool
    """Whether Redis answered. If not, `workers` is empty: nobody knows."""
    taken_at: float
    """Seconds since the epoch."""
    alerts: tuple[DepthAlert, ...] = ()
    """Of queues that have too much to do."""
    gpu_use: GpuUse = field(default_factory=GpuUse)

    @property
    def gpus(self) -> tuple[tuple[str, Gpu], ...]:
        """Each GPU with its host, once."""
        found = {(worker.host, gpu.index, gpu.uuid): gpu for worker in self.workers for gpu in worker.gpus}
        return tuple((host, gpu) for (host, *_), gpu in sorted(found.items()))

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with the queues, in sentences."""
        return tuple(queue.problem for queue in self.queues if queue.problem)


def collect(settings: Settings, ledger: Ledger, redis: "Redis | None") -> Machines:
    """See how the machines are. With Redis away, what the ledger knows; an error of Redis is no error here.

    Takes about 10 ms of processor time with 10,000 documents (two cores of 2026).
    """
    seen = _seen(ledger, redis)
    link = seen is not None
    circuit = load_circuit(ledger)
    workers = tuple(_worker(presence, works) for presence, works in seen or ())
    depth = depths(ledger)
    queues = tuple(_queue(name, workers, depth.get(name, Depth()), link=link) for name in QUEUES)
    slots = {queue.name: queue.slots for queue in queues}
    now = time.time()
    rate = throughput(ledger, now)
    counts = ledger.state_counts()
    return Machines(
        workers=workers,
        queues=queues,
        models=_models(seen, circuit, settings),
        unfinished=counts.get(State.WAITING, 0) + counts.get(State.RUNNING, 0),
        documents_per_minute=rate.documents_per_minute,
        pages_per_minute=rate.pages_per_minute,
        eta_seconds=seconds_left(ledger, slots, depth) if link else None,
        llm=language_model(circuit, settings),
        link=link,
        taken_at=now,
        alerts=depth_alerts(ledger),
        gpu_use=gpu_use(ledger, [presence for presence, _ in seen or ()], now),
    )


@dataclass(frozen=True, slots=True)
class Services:
    """The programs that run on this machine."""

    status: "ServicesStatus"
    logs: tuple[tuple[str, str], ...] = ()
    """Of each program its name and the last lines of its log: untrusted text."""


def collect_services(settings: Settings, log_lines: int = 0) -> Services:
    """How the services of this machine are. Walks all processes: some 50 ms, so only where it is shown."""
    from app import services
    from app.services.folders import log_tail

    status = services.status(settings)
    programs = status.programs if log_lines else ()
    return Services(status, tuple((one.name, log_tail(one.log, log_lines)) for one in programs))


def _seen(ledger: Ledger, redis: "Redis | None") -> list[tuple[Presence, tuple[Work, ...]]] | None:
    """The workers that are up and what each is on; None where nobody can know."""
    if redis is None:
        return None
    from redis.exceptions import RedisError

    exchange = Exchange(redis)
    units = outstanding(ledger)
    try:
        presences = exchange.presence()
        holders = exchange.holders(ledger.home, [unit.id for unit in units])
        now = exchange.now()
    except RedisError:
        return None
    works = _works(ledger, [(unit, holders[unit.id]) for unit in units if unit.id in holders], now)
    return [(presence, tuple(works.get((presence.host, presence.pid), ()))) for presence in presences]


def _works(
    ledger: Ledger, held: Sequence[tuple[UnitRow, Holder]], now: float
) -> dict[tuple[str, int], list[Work]]:
    """What is being done, by host and process of the worker."""
    works: dict[tuple[str, int], list[Work]] = {}
    wanted = {unit.document for unit, _ in held}
    documents = {row.id: row for row in ledger.documents(ids=wanted)} if wanted else {}
    for unit, holder in held:
        if document := documents.get(unit.document):
            seconds = max(0.0, now - holder.since)
            work = Work(document.id, document.name, unit.stage, unit.queue, _place(unit, document), seconds)
            works.setdefault((holder.host, holder.worker_pid), []).append(work)
    return works


def _place(unit: UnitRow, document: DocumentRow) -> str:
    """Which part of its document a unit is about, in words; empty for all of it."""
    with suppress(ValueError):  # planned by another version of Shoebox
        if unit.stage is Stage.OCR:
            pages = OcrParams.model_validate(unit.params).pages
            numbers = f"page {pages[0]}" if len(pages) == 1 else f"pages {pages[0]}-{pages[-1]}"
            return f"{numbers} of {document.page_count}"
        if unit.stage in _READING_STAGES:
            llm = ReadParams.model_validate(unit.params).llm
            if llm is not None and llm.parts > 1:
                return f"part {llm.part} of {llm.parts}" if llm.part else f"merging {llm.parts} parts"
    return ""


def _worker(presence: Presence, works: tuple[Work, ...]) -> Worker:
    return Worker(
        name=presence.worker,
        host=presence.host,
        queues=presence.queues,
        slots=presence.slots,
        works=works,
        gpus=presence.gpus,
        version=presence.version,
        problem=presence.llm_problem,
        software=tuple(presence.software.items()),
        version_problem=presence.version_problem,
        image_classifiers=tuple(one.name for one in presence.image_classifiers),
    )


_REMEDIES = {HOME_QUEUE: "F5 or ./run.sh up starts one."}
_REMEDY = "F5 or ./run.sh up starts one here, ./run.sh worker --queues {queue} on another machine."


def _queue(name: str, workers: Iterable[Worker], depth: Depth, *, link: bool) -> Queue:
    serving = [worker for worker in workers if name in worker.queues and worker.version in {"", VERSION}]
    problem = ""
    if link and depth.total and not serving:
        units = "1 unit waits" if depth.total == 1 else f"{depth.total} units wait"
        remedy = _REMEDIES.get(name, _REMEDY).format(queue=name)
        problem = f"{units} for the {name} queue, but no worker serves it. {remedy}"
    return Queue(
        name=name,
        workers=len(serving),
        slots=sum(worker.slots for worker in serving),
        busy=sum(len(worker.works) for worker in serving),
        depth=depth.total,
        problem=problem,
    )


def _models(
    seen: list[tuple[Presence, tuple[Work, ...]]] | None, circuit: Circuit, settings: Settings
) -> tuple[Model, ...]:
    """The models of each machine's server, those that are used first."""
    if seen is None:
        found = [("", info) for infos in circuit.known.by_queue.values() for info in infos]
    else:
        found = [(presence.host, info) for presence, _ in seen for info in presence.models]
    uses = model_uses(settings)
    models = {(host, info.name): _model(host, info, settings, uses) for host, info in found}
    return tuple(sorted(models.values(), key=lambda model: (not model.used_for, model.name, model.host)))


def _model(host: str, info: ModelInfo, settings: Settings, uses: ModelUses) -> Model:
    queue, reason = queue_of(info, settings)
    used_for = tuple(use.words for use in uses.of(info.name))
    return Model(info.name, host, info.parameters, info.loaded, info.vram, queue, reason, used_for)
