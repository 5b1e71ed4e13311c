"""A GPU with an Ollama, an OCR engine and other programs on it, made of numbers."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.documents import Page, TextSource
from tasks.engines.llm.base import CallTrace, LlmError, LlmErrorKind
from tasks.engines.llm.ollama_memory import Footprint, LoadedModel
from tasks.engines.llm.ollama_models import full_name
from tasks.orders import Swap
from tasks.vram.card import Card
from tasks.vram.lease import VramLease
from tasks.vram.needs import Needs
from tasks.vram.share import Share

GB = 10**9
CTX = 4096
KEEP_ALIVE = 900.0
OCR_LOAD_SECONDS = 2.0
BYTES_PER_SECOND = 2 * GB


@dataclass
class Box:
    """The machine; also its driver (`free`, `index`), and what its Ollama says."""

    folder: Path
    total: int = 24 * GB
    others: int = 0
    """Held by programs that nobody can ask to leave."""
    second: int = 0
    """Bytes of another GPU, which only Ollama uses; 0: there is none."""
    ocr_size: int = 1_400_000_000
    sizes: dict[str, int] = field(default_factory=lambda: {"large:latest": 20 * GB})
    estimates: dict[str, int] = field(default_factory=dict)
    """What Ollama's files let expect, where that is not the truth."""
    lag: float = 0.0
    """Seconds until the driver shows what a model gave back."""
    is_local: bool = True
    is_away: bool = False
    """The model server does not answer."""
    driver_down: bool = False
    now: float = 0.0
    asked: int = 0
    """Times that the driver was asked."""
    looks: int = 0
    """Times that the model server was asked what it has loaded."""
    models: dict[str, int] = field(default_factory=dict)
    """Loaded, the longest unused first: bytes on the GPU."""
    on_second: set[str] = field(default_factory=set)
    """Those of them that are on the other GPU."""
    last_used: dict[str, float] = field(default_factory=dict)
    at_work: set[str] = field(default_factory=set)
    """Models that write for somebody else: they leave when that is done, which is never."""
    waited: float = 0.0
    trouble: list[str] = field(default_factory=list)
    """What a lease should have avoided."""
    returning: list[tuple[float, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.engine = BoxOcr(self)
        self.lease = self.child()

    def child(self) -> VramLease:
        """The lease of a new process."""
        needs = Needs(self.folder / "vram.json")
        return VramLease(Share(needs, lambda _: BoxCard(self), lambda: self.now, self.pause))

    def pause(self, seconds: float) -> None:
        """Time goes by while the lease waits."""
        self.now += seconds
        self.waited += seconds

    @property
    def room(self) -> int:
        """Bytes that are really free."""
        ocr = self.ocr_size if self.engine.is_loaded and self.engine.device != "cpu" else 0
        here = sum(vram for name, vram in self.models.items() if name not in self.on_second)
        return self.total - self.others - ocr - here

    @property
    def second_room(self) -> int:
        """Bytes that are free on the other GPU."""
        return self.second - sum(vram for name, vram in self.models.items() if name in self.on_second)

    def free(self) -> Mapping[int, int] | None:
        """As the driver tells it."""
        self.asked += 1
        if self.driver_down:
            return None
        shown = {0: self.room - sum(size for until, size in self.returning if until > self.now)}
        return shown | {1: self.second_room} if self.second else shown

    # The model server

    def loaded(self) -> list[LoadedModel]:
        """As /api/ps tells it."""
        self.looks += 1
        if self.is_away:
            raise LlmError(LlmErrorKind.UNAVAILABLE, "Ollama does not answer.")
        for name in [n for n in self.models if self._left(n) <= 0 and n not in self.at_work]:
            del self.models[name]
        return [
            LoadedModel(
                name=name,
                size=self.sizes[name],
                vram=vram,
                num_ctx=CTX,
                seconds_left=-1 if name in self.at_work else self._left(name),
            )
            for name, vram in self.models.items()
        ]

    def _left(self, name: str) -> float:
        return self.last_used[name] + KEEP_ALIVE - self.now

    def unload(self, name: str) -> None:
        """As the empty message with keep_alive 0 does."""
        if name not in self.at_work:
            self.returning.append((self.now + self.lag, self.models.pop(name)))

    def footprint(self, name: str, num_ctx: int) -> Footprint:
        """From the file."""
        full = full_name(name)
        size = self.estimates.get(full, self.sizes[full])
        return Footprint(key=f"{full} digest {num_ctx}", bytes=size, num_ctx=num_ctx)

    def generate(self, name: str) -> float:
        """A call to a model, which Ollama loads as it does; returns how long loading took."""
        self.loaded()
        load = 0.003
        if name not in self.models:
            size = self.sizes[name]
            self.on_second.discard(name)
            if self.second_room >= size and self.second_room > self.room:
                self.on_second.add(name)
                self.models[name] = size
                self.last_used[name] = self.now = self.now + size / BYTES_PER_SECOND
                return size / BYTES_PER_SECOND
            while self.room < size and (idle := [n for n in self.models if n not in self.at_work]):
                del self.models[idle[0]]
            if self.room < size and self.engine.is_loaded:
                self.trouble.append(f"{name} is split though OCR could leave")
            self.models[name] = max(0, min(size, self.room))
            load = size / BYTES_PER_SECOND
        self.now += load + 1.0
        self.models[name] = self.models.pop(name)
        self.last_used[name] = self.now
        return load

    # Units

    def read(self) -> tuple[Swap, ...]:
        """A unit of OCR."""
        with self.lease.ocr(self.engine, self._open) as swaps:
            self.engine.read(np.zeros((10, 10, 3), np.uint8), 1)
        self.now += 1.0
        return tuple(swaps)

    @contextmanager
    def _open(self) -> Iterator["Box"]:
        yield self

    def ask(self, name: str = "large") -> tuple[Swap, ...]:
        """A unit of a language model."""
        calls: list[CallTrace] = []
        with self.lease.model(self, name, CTX, calls) as swaps:
            seconds = self.generate(f"{name}:latest")
            calls.append(
                CallTrace(
                    engine="ollama", model=name, purpose="", prompt_sha256="", prompt="", load_seconds=seconds
                )
            )
        return tuple(swaps)


@dataclass
class BoxOcr:
    """An OCR engine on the box's GPU."""

    box: Box
    device: str = "gpu:0"
    is_loaded: bool = False
    name: str = "PaddleOCR"
    version: str = "1"
    pages: int = 0

    def release(self) -> None:
        """Leave."""
        self.is_loaded = False

    def read(self, image: NDArray[np.uint8], number: int) -> Page:
        """Load if need be, and read."""
        if not self.is_loaded:
            self.is_loaded = True
            self.box.now += OCR_LOAD_SECONDS
            idle = {name for name, vram in self.box.models.items() if vram} - self.box.at_work
            if self.box.room < 0 and idle:
                self.box.trouble.append(f"OCR does not fit though {idle} could leave")
        self.pages += 1
        return Page(number=number, text="", source=TextSource.OCR, score=0.0)


class BoxCard(Card):
    """The driver's view of the box."""

    def __init__(self, box: Box) -> None:
        super().__init__("gpu:0")
        self._box = box

    @property
    def index(self) -> int | None:
        """The first."""
        return 0

    def free(self) -> Mapping[int, int] | None:
        """Of all GPUs."""
        return self._box.free()
