"""Who may use the memory of a GPU that OCR and language models share.

Both run one after the other in the child of a gpu worker, so nobody else need be asked: the child measures
what is free before it loads something, and makes the other leave if that is too little. Nothing is held: a
child that dies gives its memory back, and what another program does with the GPU is measured, not assumed.

Nothing is measured for what is loaded already, so where both fit this costs nothing. Where OCR runs on the
processor there is nothing to share, and nothing is asked at all.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tasks.engines.base import OcrEngine
from tasks.engines.llm.base import CallTrace
from tasks.orders import Swap
from tasks.vram import for_models, for_ocr
from tasks.vram.loads import loads
from tasks.vram.share import OCR, ModelServer, OpenServer, Share
from tasks.vram.told import tell

log = logging.getLogger("shoebox.vram")


class VramLease:
    """One a process; serves one thread."""

    def __init__(self, share: Share) -> None:
        self._share = share

    @contextmanager
    def ocr(self, engine: OcrEngine, open_server: OpenServer) -> Iterator[list[Swap]]:
        """For the time of a unit of OCR: make room, load the engine, see what it took.

        `open_server` is only called when models have to leave. The list holds the load, if there was one.
        """
        share, clock = self._share, self._share.clock
        share.engine = engine
        swaps: list[Swap] = []
        free: int | None = None
        try:
            if not engine.is_loaded:
                started = clock()
                free, unloaded = for_ocr.make_room(share, engine, open_server)
                _load(engine)
                seconds = clock() - started
                if engine.is_loaded:
                    share.note_arrival(OCR, seconds)
                    swaps.append(Swap(loaded=OCR, unloaded=unloaded, seconds=round(seconds, 3)))
            yield swaps
            if free is not None:
                for_ocr.learn(share, engine, free)
        finally:
            self._tell()

    @contextmanager
    def model(
        self, server: ModelServer | None, name: str, num_ctx: int, calls: Sequence[CallTrace]
    ) -> Iterator[list[Swap]]:
        """For the time of a unit that calls a language model: make room, see what it took.

        Args:
            server: None if the model is kept off the GPU, or its server cannot be asked.
            calls: the traces of the calls; grows during the unit.

        The list holds the loads once the unit has ended, those of a unit that failed too.
        """
        swaps: list[Swap] = []
        admission = for_models.admit(self._share, server, name, num_ctx)
        if admission.released:
            self._tell()
        try:
            yield swaps
        finally:
            swaps += loads(
                calls,
                name,
                cold=admission.is_cold,
                unloaded=admission.released,
                seconds=admission.seconds,
            )
            if swaps or any(not call.error for call in calls):
                for_models.settle(self._share, admission, name, swaps)

    def _tell(self) -> None:
        engine = self._share.engine
        tell(engine.device if engine is not None and engine.is_loaded else "")


def _load(engine: OcrEngine) -> None:
    """Load an engine by a page of nothing, which it reads in milliseconds once it is loaded.

    So a load is known apart from the work. What goes wrong here will go wrong with the first page, and is
    told there.
    """
    import numpy as np

    try:
        engine.read(np.full((64, 64, 3), 255, np.uint8), 1)
    except Exception as error:
        log.info("OCR cannot be loaded: %s: %s", type(error).__name__, error)
