"""What is loaded on the GPUs of all workers now, and how often that changed today. Knows no Textual."""

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tasks.gpu import Gpu
from tasks.ledger import Ledger
from tasks.orders import Presence
from tasks.settings import Settings
from tasks.swaps import Swaps, midnight, swaps_since

OCR = "OCR"
Place = tuple[str, int]
"""A GPU: the name of its machine, and its number there."""


@dataclass(frozen=True, slots=True)
class GpuUse:
    """What GPUs are used for. Names are untrusted text."""

    loaded: Mapping[Place, tuple[str, ...]] = field(default_factory=dict)
    """OCR, and language models with what they take. Where a machine has several GPUs no models are named:
    their server does not say where they are."""
    today: Swaps = field(default_factory=Swaps)
    """Models loaded on the gpu queue since midnight."""


def gpu_use(ledger: Ledger, presences: Iterable[Presence], now: float) -> GpuUse:
    """Put together what workers have announced and what the ledger knows; `now` is since the epoch."""
    return GpuUse(loaded_on_gpus(presences), swaps_since(ledger, midnight(now)))


def loaded_on_gpus(presences: Iterable[Presence]) -> dict[Place, tuple[str, ...]]:
    """What each GPU has loaded; those with nothing are left out."""
    ocr: set[Place] = set()
    places: dict[str, set[Place]] = defaultdict(set)
    models: dict[str, dict[str, int]] = defaultdict(dict)
    for presence in presences:
        places[presence.host] |= {(presence.host, gpu.index) for gpu in presence.gpus}
        if gpu := _ocr_gpu(presence):
            ocr.add((presence.host, gpu.index))
        models[presence.host] |= {model.name: model.vram for model in presence.models if model.vram}
    found = {}
    for host, on_host in places.items():
        named = [f"{name} ({size / 2**30:.1f} GiB)" for name, size in sorted(models[host].items())]
        for place in on_host:
            loaded = [OCR] * (place in ocr) + (named if len(on_host) == 1 else [])
            if loaded:
                found[place] = tuple(loaded)
    return found


def _ocr_gpu(presence: Presence) -> Gpu | None:
    """The GPU that a worker's OCR engine is loaded on, if it is on one that is known."""
    kind, _, number = presence.ocr_device.partition(":")
    place = int(number) if number.isdecimal() else 0
    return presence.gpus[place] if kind == "gpu" and place < len(presence.gpus) else None


def swap_words(swaps: Swaps) -> str:
    """How often models were loaded today, in words; empty if they were not."""
    if not swaps.count:
        return ""
    models = "1 model load" if swaps.count == 1 else f"{swaps.count:,} model loads"
    return f"today {models} on the gpu queue, {swaps.mean_seconds:.1f} s each, {swaps.seconds:.0f} s together"


def gpu_facts(settings: Settings, presences: Sequence[Presence]) -> dict[str, Any]:
    """The same as JSON values, under `gpus` and `swaps`."""
    loaded = loaded_on_gpus(presences)
    gpus = {(presence.host, gpu.index): gpu for presence in presences for gpu in presence.gpus}
    today = Swaps()
    if settings.ledger_path.exists():
        with Ledger.open(settings) as ledger:
            today = swaps_since(ledger, midnight(time.time()))
    return {
        "gpus": [
            {
                "host": host,
                **gpu.model_dump(mode="json"),
                "memory_free": max(0, gpu.memory_total - gpu.memory_used),
                "loaded": list(loaded.get((host, index), ())),
            }
            for (host, index), gpu in sorted(gpus.items())
        ],
        "swaps": {**asdict(today), "mean_seconds": today.mean_seconds},
    }


def gpu_lines(facts: dict[str, Any]) -> Iterator[str]:
    """What `gpu_facts` gave, in words for `status`."""
    for gpu in facts["gpus"]:
        free, total = gpu["memory_free"] / 2**30, gpu["memory_total"] / 2**30
        memory = f"{free:.1f} of {total:.1f} GiB free" if total else "memory not known"
        loaded = ", ".join(gpu["loaded"]) or "nothing that is known"
        yield f"GPU {gpu['index']} of {gpu['host']}: {gpu['name']}, {memory}, loaded: {loaded}"
    swaps = facts["swaps"]
    if words := swap_words(Swaps(swaps["count"], swaps["seconds"])):
        yield f"{words[0].upper()}{words[1:]}"
