"""OCR by PaddleOCR: on a GPU where one can be used, else by onnxruntime on the CPU."""

import importlib.metadata
import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.documents import Line, Page, TextSource
from tasks.engines import ocr_device, ocr_pipeline
from tasks.engines.ocr_device import OcrDevice, Wanted
from tasks.engines.ocr_ladder import Ladder, PageLadder
from tasks.engines.ocr_models import models_version
from tasks.engines.page_boxes import SeenLine
from tasks.engines.page_rotation import mean_score, read_upright
from tasks.engines.reading_order import arrange

READING_REVISION = 1
"""Raised when the code around the models gives other texts for the same image."""

DETECTION_SIDE = 1600
"""Longer side, in pixels, at which text is looked for on an A4 page. PaddleOCR's own choice takes 3.8 GB
instead of 0.8; a side of 2400 finds nothing more even in print of 4 points."""
DETECTION_AREA = DETECTION_SIDE * DETECTION_SIDE / math.sqrt(2)
LONGEST_DETECTION_SIDE = 4000
"""PaddleOCR scales down beyond this, with a warning."""


class PaddleEngine:
    """Reads page images with the PP-OCRv6 small models. Loads them on the first page, not before.

    One instance serves one thread. What `device` and `read` ask of torch must not happen before a fork.
    Raises ConfigError where the wheel with the models is missing.
    """

    name = "PaddleOCR"

    def __init__(self, models_dir: Path, threads: int = 0, wanted: Wanted = "cpu") -> None:
        """Prepare an engine that keeps its models in `models_dir`; 0 threads lets onnxruntime choose.

        `wanted` is the setting `ocr_device`.
        """
        # The same on every device: the weights are the same, and so are the texts.
        self.version = f"{importlib.metadata.version('paddleocr')}+{models_version()}+{READING_REVISION}"
        self._ladder = Ladder(partial(_load, models_dir, threads), partial(ocr_device.choose, wanted))

    @property
    def device(self) -> str:
        """Where pages are read: `cpu`, or the GPU as PaddleOCR names it. Asks CUDA the first time."""
        return self._ladder.chosen.device

    @property
    def is_loaded(self) -> bool:
        """Whether the models are in memory."""
        return self._ladder.is_loaded

    def release(self) -> None:
        """Give the models' memory back, a GPU's too; the next page loads them again.

        What stays taken of a GPU's memory until the process ends is CUDA's own context.
        """
        self._ladder.release()

    def read(self, image: NDArray[np.uint8], number: int) -> Page:
        """Read one page image (height, width, 3; BGR) and return it as page `number`.

        A page that is upside-down or sideways is turned first. An empty page has no text and a score of 0.

        Raises:
            ValueError: the array is no such image.
            MemoryError: the page does not fit, neither smaller nor on the CPU.
            ConfigError: the models are missing or cannot be written.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
            raise ValueError(f"A page image is (height, width, 3) uint8, not {image.shape} {image.dtype}.")
        page = self._ladder.page(number)
        upright = read_upright(partial(_see, page), np.ascontiguousarray(image))
        page.close()
        arranged = arrange(upright.lines)
        return Page(
            number=number,
            text=arranged.text,
            source=TextSource.OCR,
            score=mean_score(arranged.lines),
            lines=tuple(_as_line(line) for line in arranged.lines),
            height=upright.image.shape[0],
            width=upright.image.shape[1],
            rotation=upright.rotation,
        )


def _load(models_dir: Path, threads: int, where: OcrDevice) -> Any:
    return ocr_pipeline.load(models_dir, threads, where, DETECTION_SIDE)


def _see(page: PageLadder, image: NDArray[np.uint8]) -> list[SeenLine]:
    result = page.see(image, _detection_side(image))
    return [
        SeenLine(text, float(score), np.asarray(corners, dtype=np.float64))
        for text, score, corners in zip(
            result["rec_texts"], result["rec_scores"], result["rec_polys"], strict=True
        )
        if text.strip()
    ]


def _detection_side(image: NDArray[np.uint8]) -> int:
    """The longer side at which to look for text: a long receipt is given the pixels of an A4 page."""
    short, long = sorted(image.shape[:2])
    same_area = math.isqrt(int(DETECTION_AREA * long / short))
    return min(max(DETECTION_SIDE, same_area), LONGEST_DETECTION_SIDE)


def _as_line(line: SeenLine) -> Line:
    (x0, y0), (x1, y1) = line.corners.min(axis=0), line.corners.max(axis=0)
    return Line(text=line.text, box=(int(x0), int(y0), int(x1), int(y1)), confidence=line.confidence)
