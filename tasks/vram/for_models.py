"""Room for a language model: the OCR engine leaves where the model would not fit beside it."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tasks.engines.llm.base import LlmError
from tasks.engines.llm.ollama_memory import Footprint, LoadedModel
from tasks.engines.llm.ollama_models import full_name
from tasks.orders import Swap
from tasks.vram.share import MARGIN, OCR, ModelServer, Share, gigabytes, ocr_key

log = logging.getLogger("shoebox.vram")

RELEASE_SECONDS = 2.0
"""How long the driver may take to show what the OCR engine gave back."""
_RETURNED = 0.5
"""The share that it gives back at least of what it took: CUDA keeps some for as long as the process lives."""


@dataclass(slots=True)
class Admission:
    """What was found out and done before the calls to a model."""

    server: ModelServer | None = None
    """Only if the model is to be loaded: then it is looked at again afterwards."""
    footprint: Footprint | None = None
    loaded: Sequence[LoadedModel] = ()
    """What was in memory before."""
    free: Mapping[int, int] | None = None
    """Free bytes of each GPU, after room had been made."""
    released: tuple[str, ...] = ()
    seconds: float = 0.0
    """Spent on making room."""

    @property
    def is_cold(self) -> bool:
        """Whether the model was not in memory."""
        return self.server is not None


def admit(share: Share, server: ModelServer | None, name: str, num_ctx: int) -> Admission:
    """Before calls to a model: if it is not in memory, make room for it."""
    wanted = full_name(name)
    if server is None or not share.is_shared or share.trusts(wanted):
        return Admission()
    try:
        if not server.is_local:
            return Admission()
        loaded = server.loaded()
        found = next((model for model in loaded if model.name == wanted), None)
        if found is not None and _has_context(server, found, num_ctx):
            share.trust(wanted, found.seconds_left)
            return Admission()
        return _make_room(share, server, server.footprint(name, num_ctx), loaded)
    except LlmError as error:  # the call itself will tell what is wrong
        log.info("The model server does not say what it has loaded: %s", error)
        return Admission()


def settle(share: Share, admission: Admission, name: str, swaps: list[Swap]) -> None:
    """After the calls: see what a model took that was loaded, and what the server made leave for it."""
    name = full_name(name)
    if not swaps:
        if admission.is_cold:  # it was there, under another name
            share.trust(name)
        return
    share.distrust(name)  # it was taken to be there and was not; or it is looked at now
    server, footprint = admission.server, admission.footprint
    if server is None or footprint is None:
        return
    share.note_arrival(name, swaps[0].seconds)
    try:
        loaded = {model.name: model for model in server.loaded()}
    except LlmError as error:
        log.info("The model server does not say what it has loaded: %s", error)
        return
    gone = [model for model in admission.loaded if model.name not in loaded and model.vram]
    swaps[0] = swaps[0].model_copy(update={"unloaded": (*swaps[0].unloaded, *(model.name for model in gone))})
    for model in gone:
        share.distrust(model.name)
    if found := loaded.get(name):
        share.trust(name, found.seconds_left)
        before = [model for model in admission.loaded if model.name == name]  # with another context
        _learn(share, admission, footprint, found, sum(model.vram for model in (*gone, *before)))


def _make_room(
    share: Share, server: ModelServer, footprint: Footprint, loaded: Sequence[LoadedModel]
) -> Admission:
    """Release the OCR engine if there is too little room beside it."""
    started = share.clock()
    admission = Admission(server, footprint, loaded, share.free())
    need = share.needs.of(footprint.key) or footprint.bytes
    engine = share.engine
    if admission.free is None or engine is None or not engine.is_loaded or not need:
        return admission
    room = _room(share, admission.free, loaded)
    if room >= need * MARGIN or (room >= need and share.is_fresh(OCR)):
        return admission
    log.info("Releasing OCR: %s needs about %s, %s are free", footprint.key, gigabytes(need), gigabytes(room))
    engine.release()
    admission.released = (OCR,)
    missing = min(need * MARGIN - room, _RETURNED * share.needs.of(ocr_key(engine)))
    _await_return(share, share.here(admission.free) + missing)
    admission.free = share.free()
    if admission.free is not None and (room := _room(share, admission.free, loaded)) < need:
        words = f"{footprint.key} needs about {gigabytes(need)} of the GPU, and {gigabytes(room)} are free"
        share.say_once(footprint.key, f"{words}: a part of it will run on the processor.")
    admission.seconds = share.clock() - started
    return admission


def _await_return(share: Share, wanted: float) -> None:
    """Wait until the driver shows what the engine gave back; not again if it never did."""
    seconds = RELEASE_SECONDS if share.shows_releases else 0.0
    free = share.await_room(wanted, share.clock() + seconds)
    if free is not None and free < wanted:
        share.shows_releases = False


def _room(share: Share, free: Mapping[int, int], loaded: Sequence[LoadedModel]) -> int:
    """What a model may have: Ollama itself makes its other models leave, and takes the GPU with most room."""
    idle = sum(model.vram for model in loaded if not share.is_elsewhere(model))
    return max(*free.values(), share.here(free) + idle)


def _has_context(server: ModelServer, model: LoadedModel, num_ctx: int) -> bool:
    """Whether a model is loaded with the context that is wanted; with another it will be loaded again."""
    if model.num_ctx in {0, num_ctx}:
        return True
    # A server gives no model more than it was trained for.
    return model.num_ctx < num_ctx and model.num_ctx == server.footprint(model.name, num_ctx).num_ctx


def _learn(share: Share, admission: Admission, footprint: Footprint, found: LoadedModel, gone: int) -> None:
    """Note what a model took, by the driver where that is in line with what its server says.

    `gone`: bytes that the server freed before it loaded the model.
    """
    if found.is_split:
        share.needs.remember(footprint.key, max(found.size, footprint.bytes))
        return
    free, taken = share.free(), found.vram
    if free is not None and admission.free is not None:
        by_gpu = {index: before - free.get(index, before) for index, before in admission.free.items()}
        measured = sum(by_gpu.values()) + gone
        if found.vram <= 2 * measured and measured <= 2 * found.vram:  # else somebody else came or went
            taken = measured
        if len(free) > 1:
            share.place(found, share.here(by_gpu) + gone)
    if taken:
        share.needs.remember(footprint.key, taken)
