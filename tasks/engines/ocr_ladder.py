"""Reading on when memory runs out: free, look at the page smaller, then the CPU for this page.

A page on the GPU goes down these steps; each is tried with the models loaded anew or the caches emptied:

1. everything of ours is released, the models are loaded again, and the page is read as before;
2. text is looked for at 70 %, then at 50 % of the usual size;
3. the CPU reads the page at full size. The next page is tried on the GPU again, unless three in a row came
   to this: then the CPU is kept for as long as this process lives.

On the CPU alone the first two steps are the same, and what comes after them is a MemoryError.
"""

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.engines.ocr_device import OcrDevice, on_cpu
from tasks.engines.ocr_memory import Trouble, give_back, trouble_of

log = logging.getLogger("shoebox.ocr")

SCALES = (1.0, 0.7, 0.5)
"""Of the side at which text is looked for. On an A4 page at 200 dpi, 0.7 loses nothing in print of 6 points;
0.5 loses 0.2 % of the characters of 8 points and 8 % of those of 6 and 7."""
SMALL_PRINT = 0.6
"""Below this scale the log says that small print may be missing."""
PAGES_UNTIL_KEPT = 3
"""Pages in a row that had to be read on the CPU, after which the GPU is left alone."""

Image = NDArray[np.uint8]


class Ladder:
    """Loads pipelines and reads images with them, with what memory there is. Serves one thread."""

    def __init__(self, load: Callable[[OcrDevice], Any], choose: Callable[[], OcrDevice]) -> None:
        """`load` builds a pipeline for a device; `choose` says which device is best, and is asked once."""
        self._load = load
        self._choose = choose
        self._chosen: OcrDevice | None = None
        self._pipelines: dict[str, Any] = {}
        self._pages_on_cpu = 0

    @property
    def chosen(self) -> OcrDevice:
        """Where pages are read, and why; looked for at the first use."""
        if self._chosen is None:
            self._chosen = self._choose()
            log.info("OCR runs on %s (%s): %s.", self._chosen.device, self._chosen.engine, self._chosen.why)
            if self._chosen.remedy:
                log.warning("OCR could be faster: %s. %s", self._chosen.why, self._chosen.remedy)
        return self._chosen

    @property
    def is_loaded(self) -> bool:
        """Whether models are in memory, on whatever device."""
        return bool(self._pipelines)

    def release(self) -> None:
        """Give the models' memory back, on the CPU and the GPU."""
        if self._pipelines:
            self._pipelines.clear()
            give_back()

    def page(self, number: int) -> "PageLadder":
        """The ladder of one page, at its top."""
        return PageLadder(self, self.chosen, number)

    def pipeline(self, where: OcrDevice) -> Any:
        """The pipeline for a device, loaded if it is not there yet."""
        if where.device not in self._pipelines:
            self._pipelines[where.device] = self._load(where)
        return self._pipelines[where.device]

    def has(self, where: OcrDevice) -> bool:
        """Whether the models are loaded on this device."""
        return where.device in self._pipelines

    def keep_cpu(self, why: str) -> None:
        """Leave the GPU alone from now on."""
        remedy = "The worker tries the GPU again when it is restarted."
        log.error("OCR stays on the CPU: %s. %s", why, remedy)
        self._chosen = on_cpu(why, remedy)

    def page_was_read_on(self, where: OcrDevice) -> None:
        """Count pages that did not fit on the GPU; those of a machine without one do not count."""
        if not self.chosen.on_gpu:
            return
        self._pages_on_cpu = 0 if where.on_gpu else self._pages_on_cpu + 1
        if self._pages_on_cpu >= PAGES_UNTIL_KEPT:
            self.keep_cpu(f"{PAGES_UNTIL_KEPT} pages in a row did not fit into the GPU's memory")


class PageLadder:
    """The way of one page, whose image may be looked at several times (turned, for instance)."""

    def __init__(self, ladder: Ladder, where: OcrDevice, number: int) -> None:
        self._ladder = ladder
        self._where = where
        self._number = number
        self._step = 0
        self._was_freed = False

    def see(self, image: Image, side: int) -> Any:
        """PaddleOCR's result for an image, with text looked for at `side` pixels or fewer.

        Raises:
            MemoryError: the page does not fit, whatever was tried.
        """
        side = min(side, max(image.shape[:2]))  # an image is never enlarged
        while True:
            try:
                result = self._look(image, self._scaled(side))
            except Exception as error:  # onnxruntime's exceptions have no other common base
                trouble, words = trouble_of(error), _first_line(error)
                if trouble is not Trouble.MEMORY and not self._is_the_gpus(trouble):
                    raise
            else:
                return result
            # Only out here is the exception gone, and with it its frames, which hold the page's tensors.
            self._step_down(trouble, words, image, side)

    def close(self) -> None:
        """Say that the page has been read."""
        self._ladder.page_was_read_on(self._where)

    def _look(self, image: Image, side: int) -> Any:
        [result] = self._ladder.pipeline(self._where).predict(image, text_det_limit_side_len=side)
        return result

    def _is_the_gpus(self, trouble: Trouble) -> bool:
        """Whether the GPU is at fault: CUDA failed, or the models could not even be loaded onto it."""
        return self._where.on_gpu and (trouble is Trouble.GPU or not self._ladder.has(self._where))

    def _scaled(self, side: int) -> int:
        return int(side * SCALES[self._step])

    def _step_down(self, trouble: Trouble, words: str, image: Image, side: int) -> None:
        """Make the next attempt a smaller one, or say that there is none."""
        if trouble is not Trouble.MEMORY:
            self._ladder.keep_cpu(f"{self._where.engine} on {self._where.device} failed ({words})")
            self._go_to_cpu()
            return
        log.warning("page %d: out of memory on %s: %s", self._number, self._where.device, words)
        was_loaded = self._ladder.has(self._where)
        if not self._was_freed:
            self._was_freed = True
            self._ladder.release()
        elif was_loaded and self._step + 1 < len(SCALES):
            self._step += 1
            give_back()
            log.warning(
                "page %d: text is looked for at %d pixels instead of %d for want of memory%s",
                self._number,
                self._scaled(side),
                side,
                "; print below 8 points may be missing" if SCALES[self._step] < SMALL_PRINT else "",
            )
        elif self._where.on_gpu:
            log.warning("page %d: read on the CPU, because it does not fit on the GPU", self._number)
            self._go_to_cpu()
        else:
            self._ladder.release()
            raise MemoryError(f"OCR ran out of memory on an image of {image.shape}.")

    def _go_to_cpu(self) -> None:
        self._ladder.release()
        self._where = on_cpu("the GPU is not to be used for this page")
        self._step, self._was_freed = 0, False


def _first_line(error: Exception) -> str:
    """Enough of what an exception says; torch's and onnxruntime's go on for a screen."""
    return f"{type(error).__name__}: {error}".strip().splitlines()[0][:200]
