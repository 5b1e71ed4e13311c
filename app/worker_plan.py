"""Which worker processes a machine runs, and on which GPU each: decided here for `up` and for `worker`."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.plain_text import shortened
from tasks.errors import ConfigError
from tasks.gpu import VISIBLE_DEVICES, Gpu, visible_gpus
from tasks.planning import CPU_QUEUE, GPU_QUEUE

HEADLESS_QUEUES = (CPU_QUEUE, GPU_QUEUE)
"""What a machine without files serves. Without a GPU too: OCR and large models are slow there, not
impossible, and home gives a unit to the worker that is free."""
_NAME_CELLS = 40
_LAST_PORT = 65535


@dataclass(frozen=True, slots=True)
class PlannedWorker:
    """One worker process."""

    queue: str
    gpu: Gpu | None = None
    """The only one that it may see; None leaves the environment as it is."""
    number: int | None = None
    """Tells the workers of one queue apart, where there are several."""
    metrics_port: int = 0
    """Where it serves its numbers; 0: it does not."""

    def name(self, identity: str = "") -> str:
        """The worker's name, such as `gpu`, `gpu-1` or, with an identity, `gpu-3f9a1c07-1`."""
        number = "" if self.number is None else str(self.number)
        return "-".join(part for part in (self.queue, identity, number) if part)

    @property
    def environment(self) -> dict[str, str]:
        """What its environment has beside ours."""
        environment = {VISIBLE_DEVICES: self.gpu.uuid} if self.gpu else {}
        if self.metrics_port:
            environment["SHOEBOX_METRICS_PORT"] = str(self.metrics_port)
        return environment


def plan_workers(
    queues: Sequence[str], found: Sequence[Gpu] | None = None, metrics_port: int = 0
) -> tuple[PlannedWorker, ...]:
    """A worker for each queue, and for `gpu` one for each GPU that may be used, or one without any.

    Asks the driver, unless the GPUs that it `found` are given. With a `metrics_port` the first worker serves
    its numbers there, and each further one on the next port.

    Raises:
        ConfigError: there are not so many ports.
    """
    planned: list[PlannedWorker] = []
    for queue in queues:
        if queue == GPU_QUEUE:
            planned += _gpu_workers(visible_gpus() if found is None else found)
        else:
            planned.append(PlannedWorker(queue))
    if metrics_port:
        planned = [replace(one, metrics_port=port) for port, one in enumerate(planned, metrics_port)]
        if planned[-1].metrics_port > _LAST_PORT:
            raise ConfigError(
                f"Metrics of {len(planned)} workers need as many ports from {metrics_port} on.",
                "Set metrics_port to a smaller number.",
            )
    return tuple(planned)


def _gpu_workers(found: Sequence[Gpu]) -> list[PlannedWorker]:
    """One a GPU. Without a UUID a process cannot be pinned, so there is one for all then."""
    if not found or not all(gpu.uuid for gpu in found):
        return [PlannedWorker(GPU_QUEUE)]
    if len(found) == 1:
        return [PlannedWorker(GPU_QUEUE, found[0])]
    numbers = [gpu.index for gpu in found]
    if len(set(numbers)) < len(numbers):  # instances of a divided GPU share its index
        numbers = list(range(len(found)))
    return [PlannedWorker(GPU_QUEUE, gpu, number) for gpu, number in zip(found, numbers, strict=True)]


def serving_line(planned: Sequence[PlannedWorker], cpu_slots: int) -> str:
    """What is served and why, in a line."""
    parts = []
    for queue in dict.fromkeys(worker.queue for worker in planned):
        if queue == GPU_QUEUE:
            parts.append(_gpu_words([worker.gpu for worker in planned if worker.queue == queue]))
        else:
            parts.append(f"{queue} with {cpu_slots} at a time" if queue == CPU_QUEUE else queue)
    return f"Serving {', and '.join(parts)}."


def metrics_line(planned: Sequence[PlannedWorker], host: str) -> str:
    """Where which worker's numbers are, in a line."""
    ports = ", ".join(f"{one.name()} on port {one.metrics_port}" for one in planned)
    return f"Numbers for Prometheus at {shortened(host, _NAME_CELLS)}: {ports}."


def _gpu_words(found: Sequence[Gpu | None]) -> str:
    names = [f"{gpu.index} {shortened(gpu.name, _NAME_CELLS)}" for gpu in found if gpu]
    if len(names) == 1:
        return f"gpu with one process on GPU {names[0]}"
    if names:
        return f"gpu with a process on each of {len(names)} GPUs ({', '.join(names)})"
    if VISIBLE_DEVICES in os.environ:
        why = f"{VISIBLE_DEVICES} names no GPU that nvidia-smi shows"
    elif shutil.which("nvidia-smi"):
        why = "nvidia-smi shows no GPU that a process could be bound to"
    else:
        why = "there is no nvidia-smi here, so no GPU of NVIDIA's"
    return f"gpu with one process ({why})"
