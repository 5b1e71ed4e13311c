"""What a child knows of the GPU that its OCR engine shares with language models."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from tasks.engines.base import OcrEngine
from tasks.engines.llm.ollama_memory import Footprint, LoadedModel
from tasks.vram.card import Card, Clock
from tasks.vram.needs import Needs

log = logging.getLogger("shoebox.vram")

OCR = "paddleocr"
MARGIN = 1.1
"""Something is loaded where so many times its need is free: what it needs differs from time to time."""
POLL_SECONDS = 0.25
_ELSEWHERE = 0.1
"""A model of which less than this share is on our GPU is on another one."""
_ELSEWHERE_SECONDS = 600.0
"""It may come to ours the next time that somebody loads it."""
TRUST_SECONDS = 30.0
"""A model that was seen in memory is not asked about again for so long."""


class ModelServer(Protocol):
    """What the lease needs of a server of language models. Each question may raise LlmError."""

    @property
    def is_local(self) -> bool:
        """Whether it runs on this machine."""
        ...

    def loaded(self) -> Sequence[LoadedModel]:
        """The models that are in memory."""
        ...

    def unload(self, name: str) -> None:
        """Make a model leave, after the replies that it is writing."""
        ...

    def footprint(self, name: str, num_ctx: int) -> Footprint:
        """What a model will take."""
        ...


OpenServer = Callable[[], AbstractContextManager[ModelServer | None]]


@dataclass(frozen=True, slots=True)
class _Arrival:
    """When something was loaded, by the clock, and how many seconds that took."""

    at: float
    cost: float


class Share:
    """The GPU, the engine on it, and what was seen to come and go.

    Args:
        needs: what models took when they were loaded before.
        card: makes the GPU that an engine's `device` names.
        clock: of which differences are taken, in seconds.
        pause: waits for so many seconds.
    """

    def __init__(
        self,
        needs: Needs,
        card: Callable[[str], Card] = Card,
        clock: Clock = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.needs = needs
        self.clock = clock
        self.engine: OcrEngine | None = None
        """The engine of this process, once it had a unit."""
        self.shows_releases = True
        """Whether what an engine gives back has always been seen."""
        self._make_card = card
        self._pause = pause
        self._card: Card | None = None
        self._arrivals: dict[str, _Arrival] = {}
        self._trusted_until: dict[str, float] = {}
        self._elsewhere_until: dict[str, float] = {}
        self._said: set[str] = set()

    @property
    def is_shared(self) -> bool:
        """Whether there is anything to share: OCR is on a GPU, loaded or not."""
        return self.engine is not None and self.engine.device != "cpu"

    def free(self) -> Mapping[int, int] | None:
        """Free bytes of every GPU; None if the driver does not say, or OCR runs on the processor."""
        if self.engine is None or not self.is_shared:
            return None
        self._card = self._card or self._make_card(self.engine.device)
        return self._card.free()

    def free_here(self) -> int | None:
        """Free bytes of our GPU, if they are known."""
        free = self.free()
        return None if free is None else self.here(free)

    def here(self, figures: Mapping[int, int]) -> int:
        """Which of the figures is our GPU's."""
        index = self._card.index if self._card else None
        return figures.get(-1 if index is None else index, 0)

    @property
    def has_several(self) -> bool:
        """Whether this machine has more than one GPU, so that a model may be on another one than ours."""
        return len(self.free() or ()) > 1

    def await_room(self, wanted: float, until: float) -> int | None:
        """Look at the free memory of our GPU until there is so much, or until that time by the clock."""
        while True:
            free = self.free_here()
            if free is None or free >= wanted or self.clock() >= until:
                return free
            self._pause(POLL_SECONDS)

    def note_arrival(self, name: str, cost: float) -> None:
        """Something was loaded just now, and that took so many seconds."""
        self._arrivals[name] = _Arrival(self.clock(), cost)

    def is_fresh(self, name: str) -> bool:
        """Whether it was loaded less than its cost ago: throwing it out now would not have paid."""
        arrival = self._arrivals.get(name)
        return arrival is not None and self.clock() - arrival.at < arrival.cost

    def trust(self, name: str, seconds_left: float = TRUST_SECONDS) -> None:
        """A model was seen in memory just now, and will stay for so long if nobody makes it leave."""
        self._trusted_until[name] = self.clock() + min(TRUST_SECONDS, seconds_left)

    def distrust(self, name: str) -> None:
        """A model has left, or may have."""
        self._trusted_until.pop(name, None)

    def trusts(self, name: str) -> bool:
        """Whether a model can be taken to be in memory without asking."""
        return self.clock() < self._trusted_until.get(name, float("-inf"))

    def place(self, model: LoadedModel, here: float) -> None:
        """So many bytes of a model were seen to come to our GPU, or to leave it, where there are several."""
        self._elsewhere_until.pop(model.name, None)
        if here < _ELSEWHERE * model.vram:
            self._elsewhere_until[model.name] = self.clock() + _ELSEWHERE_SECONDS

    def is_elsewhere(self, model: LoadedModel) -> bool:
        """Whether a model was last seen to be on another GPU than ours."""
        return self.clock() < self._elsewhere_until.get(model.name, float("-inf"))

    def say_once(self, what: str, words: str) -> None:
        """Log that there is too little room for something; not again each time that it is loaded."""
        log.log(logging.DEBUG if what in self._said else logging.WARNING, "%s", words)
        self._said.add(what)


def ocr_key(engine: OcrEngine) -> str:
    """Under which key the need of an engine is remembered."""
    return f"{OCR} {engine.version} {engine.device}"


def gigabytes(size: float) -> str:
    """Bytes for the log."""
    return f"{size / 1e9:.1f} GB"
