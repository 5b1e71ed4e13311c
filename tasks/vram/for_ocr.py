"""Room for the OCR engine: language models leave where it would not fit beside them."""

import logging

from tasks.engines.base import OcrEngine
from tasks.engines.llm.base import LlmError
from tasks.vram.share import MARGIN, OCR, ModelServer, OpenServer, Share, gigabytes, ocr_key

log = logging.getLogger("shoebox.vram")

OCR_BYTES = 1_500_000_000
"""Taken for the engine's need until it was measured; not seen yet on a GPU."""
ROOM_SECONDS = 10.0
"""How long to wait in all for models to leave."""
LEAVE_SECONDS = 5.0
"""How long for one of them. Ollama itself waits so long for the driver to show what was freed (its
server/sched.go, waitForVRAMRecovery), and takes three quarters of it for all."""
_RETURNED = 0.75
_LEAST, _MOST = OCR_BYTES // 10, 4 * OCR_BYTES
"""What the engine can take; other changes of the free memory are somebody else's."""


def make_room(share: Share, engine: OcrEngine, open_server: OpenServer) -> tuple[int | None, tuple[str, ...]]:
    """Make room before the engine is loaded.

    Returns the free bytes of our GPU, None if they are not known, and the models that had to leave. There may
    be too little all the same: then the engine has its ways to do with less.
    """
    free = share.free_here()
    if free is None:
        return None, ()
    need = share.needs.of(ocr_key(engine)) or OCR_BYTES
    unloaded: list[str] = []
    if free < need * MARGIN:
        try:
            with open_server() as server:
                if server is not None and server.is_local:
                    free = _make_leave(share, server, need, free, unloaded)
        except LlmError as error:
            log.info("The model server cannot be asked to make room for OCR: %s", error)
            free = share.free_here()
    if free is not None and free < need:
        words = f"OCR needs about {gigabytes(need)} of the GPU, and {gigabytes(free)} are free"
        share.say_once(OCR, f"{words}: others hold the rest.")
    return free, tuple(unloaded)


def learn(share: Share, engine: OcrEngine, before: int) -> None:
    """Note what the engine took since so much was free, with its work on the first pages."""
    after = share.free_here() if engine.is_loaded else None
    if after is not None and _LEAST <= before - after <= _MOST:
        share.needs.remember(ocr_key(engine), before - after)


def _make_leave(share: Share, server: ModelServer, need: int, free: int, unloaded: list[str]) -> int | None:
    """Unload models until there is room, the largest first; those that are at work come last.

    Returns the free bytes of our GPU.
    """
    deadline = share.clock() + ROOM_SECONDS
    here = [model for model in server.loaded() if model.vram and not share.is_elsewhere(model)]
    for model in sorted(here, key=lambda model: (model.seconds_left < 0, -model.vram)):
        if free >= need and share.is_fresh(model.name):
            continue
        log.info(
            "Unloading %s: OCR needs about %s, %s are free", model.name, gigabytes(need), gigabytes(free)
        )
        server.unload(model.name)
        unloaded.append(model.name)
        share.distrust(model.name)
        wanted = min(need * MARGIN, free + _RETURNED * model.vram)
        now = share.await_room(wanted, min(deadline, share.clock() + LEAVE_SECONDS))
        if now is None or now >= need * MARGIN or share.clock() >= deadline:
            return now
        if share.has_several:
            share.place(model, now - free)
        free = now
    return free
