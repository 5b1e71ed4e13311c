"""The sections of the Machines screen as text. What other machines, files and models say is untrusted."""

import time
from collections.abc import Iterable, Iterator, Sequence

from rich.cells import cell_len, set_cell_size
from textual.content import Content

from app import __version__
from app.gpu_use import GpuUse, swap_words
from app.machines import Machines, Model, Queue, Services, Work, Worker
from app.plain_text import shortened
from app.tui.feed import Link
from app.tui.text import plain, plain_lines
from app.tui.widgets.status_line import duration
from tasks.durations import rough_duration
from tasks.gpu import Gpu

_NAME_CELLS = 28
_CELL = 48
"""Characters of a cell of a table."""
_BAR_CELLS = 20
_PROBLEM_CELLS = 160
_MOST_SOFTWARE = 8
_UNKNOWN = "Not known while Redis is away."
_WARNING = "$text-warning bold"
_MUTED = "dim"
Lines = list[Content]


def link_lines(link: Link, machines: Machines | None, services: Services | None) -> Lines:
    """Redis and the language model."""
    place = services.status.redis.place if services else "Redis"
    if link.up:
        lines = [plain(f"{place}: ok for {duration(max(0.0, time.time() - link.since))}")]
    else:
        away = duration(max(0.0, time.time() - link.since))
        lines = [
            plain(f"{place}: away since {away}, trying again all the time. Nothing is lost.", _WARNING),
            plain(link.problem, _MUTED),
        ]
    if machines is not None:
        lines.append(plain(f"Language model: {machines.llm.words}", "" if machines.llm.ok else _WARNING))
    return lines


def work_lines(machines: Machines, link: Link) -> Lines:
    """How much is left and how fast it goes."""
    if not machines.unfinished:
        return [Content("Everything has been read.")]
    documents = "1 document" if machines.unfinished == 1 else f"{machines.unfinished:,} documents"
    if not link.up:
        left = "waiting for Redis"
    elif machines.eta_seconds:
        left = f"about {rough_duration(machines.eta_seconds)} left"
    else:
        left = "how long it will take is not known yet"
    lines = [Content(f"{documents} to read, {left}")]
    if link.up and machines.documents_per_minute:
        documents, pages = f"{machines.documents_per_minute:.1f}", f"{machines.pages_per_minute:.1f}"
        lines.append(Content(f"lately {documents} documents and {pages} pages a minute"))
    return lines


def queue_lines(machines: Machines, link: Link) -> Lines:
    """A table of the queues; below it what is wrong."""
    known = machines.link and link.up
    heading = ("queue", "workers", "busy", "units to do")
    lines = _table([heading, *(_queue_row(queue, known) for queue in machines.queues)], right=(1, 3))
    lines += [plain(f"! {alert.words}", _WARNING) for alert in machines.alerts]
    return lines + [plain(f"! {problem}", _WARNING) for problem in machines.problems if known]


def _queue_row(queue: Queue, known: bool) -> tuple[str, ...]:
    if not known:
        return (queue.name, "not known", "", f"{queue.depth:,}")
    busy = f"{queue.busy} of {queue.slots}" if queue.workers else ""
    return (queue.name, str(queue.workers) if queue.workers else "none", busy, f"{queue.depth:,}")


def worker_lines(machines: Machines, link: Link) -> Lines:
    """Each worker, and below it what it is on."""
    if not (machines.link and link.up):
        return [Content.styled(_UNKNOWN, _MUTED)]
    if not machines.workers:
        return [Content.styled("None is up. F5 starts those of this machine.", _WARNING)]
    width = max(cell_len(_short(worker.name)) for worker in machines.workers)
    return [line for worker in machines.workers for line in _worker(worker, width)]


def _worker(worker: Worker, width: int) -> Iterator[Content]:
    busy = (
        f"busy {len(worker.works)} of {worker.slots}" if worker.works else f"idle, {worker.slots} at a time"
    )
    queues = ", ".join(map(_short, worker.queues))
    line = Content(f"{_padded(_short(worker.name), width)}  {queues} queue, {busy}")
    if worker.version not in {"", __version__}:
        line += plain(f"  Shoebox {worker.version[:20]}; this is {__version__}: update one of them", _WARNING)
    yield line
    if software := software_words(worker.software):
        yield plain(f"    on {software}", _MUTED)
    if worker.image_classifiers:
        yield plain(f"    looks with {shortened(', '.join(worker.image_classifiers), 80)}", _MUTED)
    if worker.version_problem:
        yield plain(f"    ! {shortened(worker.version_problem, _PROBLEM_CELLS)}", _WARNING)
    for work in worker.works:
        yield _work(work)


def _work(work: Work) -> Content:
    place = f" {work.place}" if work.place else ""
    return Content.assemble(
        f"    {work.stage}{place} of ",
        plain(shortened(work.name, 60), "bold"),
        f", for {duration(work.seconds)}",
    )


def software_words(software: Sequence[tuple[str, str]]) -> str:
    """What a worker runs on, such as `python 3.11.2, paddleocr 3.7.0`."""
    words = (f"{shortened(name, 20)} {shortened(version, 24)}" for name, version in software)
    return ", ".join(list(words)[:_MOST_SOFTWARE])


def gpu_lines(machines: Machines, link: Link) -> Lines:
    """Each GPU with a bar of its memory and what is loaded there; below it how often that changed today."""
    if not (machines.link and link.up):
        return [Content.styled(_UNKNOWN, _MUTED)]
    if not machines.gpus:
        return [
            Content.styled("None that a worker of the gpu queue sees. OCR runs on the processor.", _MUTED)
        ]
    lines = [line for host, gpu in machines.gpus for line in _gpu_with_use(host, gpu, machines.gpu_use)]
    swaps = swap_words(machines.gpu_use.today)
    return [*lines, Content(swaps)] if swaps else lines


def _gpu_with_use(host: str, gpu: Gpu, use: GpuUse) -> Iterator[Content]:
    yield _gpu(host, gpu)
    if loaded := use.loaded.get((host, gpu.index)):
        yield plain(f"    loaded: {', '.join(shortened(name, _CELL) for name in loaded)}", _MUTED)


def _gpu(host: str, gpu: Gpu) -> Content:
    name = f"{shortened(host, _NAME_CELLS)} {gpu.index}: {shortened(gpu.name, _NAME_CELLS)}  "
    working = "" if gpu.utilisation is None else f", working {gpu.utilisation} %"
    if not gpu.memory_total:
        return Content(f"{name}memory not known{working}")
    full = round(_BAR_CELLS * min(1.0, gpu.memory_used / gpu.memory_total))
    bar = "█" * full + "░" * (_BAR_CELLS - full)
    return Content(f"{name}{bar} {_gib(gpu.memory_used)} of {_gib(gpu.memory_total)} GiB{working}")


def model_lines(machines: Machines) -> Lines:
    """Each model: how large, whether it is in memory, where it is called and for what."""
    if not machines.models:
        return [Content.styled("None. ./run.sh models says how to set them up.", _MUTED)]
    lines = _table([_model_row(model) for model in machines.models], right=(1,))
    uses = (plain(f"    {_use(model)}", _MUTED) for model in machines.models)
    return [line for pair in zip(lines, uses, strict=True) for line in pair]


def _model_row(model: Model) -> tuple[str, ...]:
    return (
        shortened(model.name, _NAME_CELLS),
        f"{model.parameters / 1e9:.2g} B" if model.parameters else "size unknown",
        f"{model.queue} queue",
        _memory(model),
    )


def _use(model: Model) -> str:
    used = f"for {' and '.join(model.used_for)}" if model.used_for else "not used"
    host = f" on {model.host}" if model.host else ""
    return f"{used}{host}; {model.queue} queue: {model.reason}"


def _memory(model: Model) -> str:
    if model.loaded is None:
        return ""
    if not model.loaded:
        return "not loaded"
    return f"loaded, {_gib(model.vram)} GiB of GPU memory" if model.vram else "loaded, on the processor"


def service_lines(services: Services | None) -> Lines:
    """The programs of this machine, with their last words where something is wrong."""
    if services is None:
        return [Content.styled("Looking ...", _MUTED)]
    status = services.status
    if not status.running:
        first = [Content.styled("The services of this machine do not run. F5 starts them.", _WARNING)]
        return first + [plain(f"! {problem}", _WARNING) for problem in status.problems]
    rows = [("program", "state", "up for", "restarts")]
    rows += [
        (one.name, one.state.lower(), duration(one.uptime_seconds) if one.pid else "", str(one.restarts))
        for one in status.programs
    ]
    lines = _table(rows, right=(2, 3))
    lines += [plain(f"! {problem}", _WARNING) for problem in status.problems]
    for name, log in services.logs:
        lines += [
            Content(""),
            plain(f"The last lines of {name}:", "bold"),
            plain_lines(log or "(empty)", _MUTED),
        ]
    return lines


def _table(rows: Sequence[tuple[str, ...]], *, right: Iterable[int] = ()) -> Lines:
    """Rows in columns as wide as their widest cell; the columns in `right` are aligned to that side."""
    widths = [max(cell_len(_short(cell)) for cell in column) for column in zip(*rows, strict=True)]
    to_right = set(right)
    return [
        Content(
            "  ".join(
                _padded(_short(cell), width, right=place in to_right)
                for place, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
        )
        for row in rows
    ]


def _padded(text: str, width: int, *, right: bool = False) -> str:
    if right:
        return " " * (width - cell_len(text)) + text
    return set_cell_size(text, max(width, cell_len(text)))


def _short(text: str) -> str:
    return shortened(text, _CELL)


def _gib(size: int | None) -> str:
    return f"{(size or 0) / 2**30:.1f}"
