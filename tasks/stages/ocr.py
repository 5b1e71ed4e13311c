"""Stage ocr: pages are rendered at home and read on a worker of the gpu queue."""

import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.documents import OcrResult, Page, TextSource
from tasks.engines.base import OcrEngine
from tasks.errors import ConfigError, FileError, LimitError
from tasks.ledger import Ledger
from tasks.orders import OcrParams, Order
from tasks.page_queries import count_errors
from tasks.reading import DRAWING
from tasks.running import UnitResult
from tasks.settings import Settings
from tasks.stages.extract import spooled
from tasks.stages.reading import make_client
from tasks.vram import server_of, vram_lease
from tasks.vram.share import ModelServer

if TYPE_CHECKING:
    from tasks.engines.ocr_device import Wanted

MAX_STOPPED_PAGES = 3
"""A document with so many pages that could not be drawn within the limits may have thousands of them, each of
which would hold up what others wait for."""
_NOT_TRIED = "It was not drawn: other pages of this document took too much time or memory."
_PNG_SIGNATURE = b"\x89PNG"

log = logging.getLogger("shoebox.ocr")


def render(order: Order, settings: Settings) -> list[bytes]:
    """The page images of an OCR unit as PNG, in its order.

    In place of a page that cannot be rendered stands the reason, in UTF-8.

    Raises:
        FileError: the file is gone.
    """
    from tasks.reading.apart import render as render_page

    params = OcrParams.model_validate(order.params)
    path = spooled(order, params.sha256, settings)
    images: list[bytes] = []
    stopped = _stopped_pages(order, settings)
    for number in params.pages:
        if stopped >= MAX_STOPPED_PAGES:
            images.append(_NOT_TRIED.encode())
            continue
        try:
            images.append(render_page(path, params.mime, number, settings))
        except LimitError as error:
            stopped += 1
            log.warning("%s: page %d cannot be rendered: %s", order.task_id, number, error)
            images.append(str(error).encode())
        except FileError as error:
            log.warning("%s: page %d cannot be rendered: %s", order.task_id, number, error)
            images.append(error.message.encode())
    return images


def read_pages(order: Order, images: list[bytes], settings: Settings) -> UnitResult:
    """Read page images. One bad page does not cost the others: it comes back with its error."""
    params = OcrParams.model_validate(order.params)
    engine = _engine(settings.models_dir, settings.ocr_threads, settings.ocr_device)
    with vram_lease(settings.data_dir).ocr(engine, lambda: _model_server(settings)) as swaps:
        result = OcrResult(pages=tuple(_read_each(engine, params.pages, images)))
    return UnitResult(result.model_dump(mode="json"), swaps=tuple(swaps))


def _stopped_pages(order: Order, settings: Settings) -> int:
    """How many pages of the document met a limit while they were drawn."""
    with Ledger.open(settings) as ledger:
        return count_errors(ledger, order.document, DRAWING)


@contextmanager
def _model_server(settings: Settings) -> Iterator[ModelServer | None]:
    """The server of language models, which may have to make room on the GPU; None if it cannot be asked."""
    if settings.engine == "offline":
        yield None
        return
    try:
        client = make_client(settings)
    except ConfigError as error:  # OCR needs no model server
        log.info("No model server is asked to make room: %s", error)
        yield None
        return
    with closing(client):
        yield server_of(client)


@lru_cache(maxsize=1)
def _engine(models_dir: Path, threads: int, wanted: "Wanted") -> OcrEngine:
    """One engine a process; it loads its models at the first page, in the worker's child."""
    from tasks.engines.paddle import PaddleEngine

    return PaddleEngine(models_dir, threads=threads, wanted=wanted)


def _read_each(engine: OcrEngine, numbers: tuple[int, ...], images: list[bytes]) -> Iterator[Page]:
    from tasks.reading import decode

    for number, image in zip(numbers, images, strict=True):
        if not image.startswith(_PNG_SIGNATURE):
            yield _unread(number, image.decode("utf-8", "replace"))
            continue
        try:
            yield engine.read(decode(image), number)
        except MemoryError:
            raise
        except Exception as error:
            log.exception("page %d cannot be read", number)
            yield _unread(number, f"OCR failed ({type(error).__name__}: {error})."[:300])


def _unread(number: int, error: str) -> Page:
    return Page(number=number, text="", source=TextSource.NONE, score=0.0, needs_ocr=True, error=error)
