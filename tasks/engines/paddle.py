"""OCR by PaddleOCR on onnxruntime, on the CPU."""

import importlib.metadata
import logging
import math
import os
import sys
import warnings
from collections.abc import Iterable
from importlib.metadata import Distribution, DistributionFinder
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.documents import Line, Page, TextSource
from tasks.engines.ocr_models import (
    DETECTION_NAME,
    RECOGNITION_NAME,
    ensure_models,
    models_version,
)
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
OUT_OF_MEMORY = ("bad_alloc", "allocate memory", "out of memory", "insufficient memory")
"""What the texts of onnxruntime's and OpenCV's exceptions hold when memory ran out; seen under a limit."""


class PaddleEngine:
    """Reads page images with the PP-OCRv6 small models. Loads them on the first page, not before.

    One instance serves one thread. Raises ConfigError where the wheel with the models is missing.
    """

    name = "PaddleOCR"
    device = "cpu"

    def __init__(self, models_dir: Path, threads: int = 0) -> None:
        """Prepare an engine that keeps its models in `models_dir`; 0 threads lets onnxruntime choose."""
        self.version = f"{importlib.metadata.version('paddleocr')}+{models_version()}+{READING_REVISION}"
        self._models_dir = models_dir
        self._threads = threads
        self._pipeline: Any = None

    @property
    def is_loaded(self) -> bool:
        """Whether the models are in memory."""
        return self._pipeline is not None

    def release(self) -> None:
        """Give the models' memory back; the next page loads them again."""
        self._pipeline = None

    def read(self, image: NDArray[np.uint8], number: int) -> Page:
        """Read one page image (height, width, 3; BGR) and return it as page `number`.

        A page that is upside-down or sideways is turned first. An empty page has no text and a score of 0.

        Raises:
            ValueError: the array is no such image.
            MemoryError: the page does not fit.
            ConfigError: the models are missing or cannot be written.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
            raise ValueError(f"A page image is (height, width, 3) uint8, not {image.shape} {image.dtype}.")
        upright = read_upright(self._see, np.ascontiguousarray(image))
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

    def _see(self, image: NDArray[np.uint8]) -> list[SeenLine]:
        try:
            if self._pipeline is None:
                self._pipeline = _load(self._models_dir, self._threads)
            [result] = self._pipeline.predict(image, text_det_limit_side_len=_detection_side(image))
        except Exception as error:  # onnxruntime's exceptions have no other common base
            if _is_out_of_memory(error):
                raise MemoryError(f"OCR ran out of memory on an image of {image.shape}.") from error
            raise
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


def _is_out_of_memory(error: Exception) -> bool:
    """Whether onnxruntime or OpenCV failed for want of memory: they have no exception of their own for it."""
    text = str(error).lower()
    return any(sign in text for sign in OUT_OF_MEMORY)


def _load(models_dir: Path, threads: int) -> Any:
    """Build PaddleOCR's pipeline from local models, without a look at the network."""
    models = ensure_models(models_dir)
    os.environ.setdefault("PADDLE_PDX_DISABLE_MODEL_SOURCE_CHECK", "True")  # else it calls four model hubs
    os.environ.setdefault("PADDLE_PDX_CACHE_HOME", str(models_dir / "paddlex"))  # else ~/.paddlex
    _vouch_for_headless_opencv()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of libraries that PaddleX imports and we never call
        from paddleocr import PaddleOCR

        for name in ("paddlex", "paddleocr"):
            logging.getLogger(name).setLevel(logging.ERROR)
        engine_config: dict[str, object] = {"enable_cpu_mem_arena": False}  # the arena never shrinks
        if threads:
            engine_config["intra_op_num_threads"] = threads
        return PaddleOCR(
            text_detection_model_name=DETECTION_NAME,  # without the names it asks the hubs
            text_detection_model_dir=str(models.det),
            text_recognition_model_name=RECOGNITION_NAME,
            text_recognition_model_dir=str(models.rec),
            text_recognition_batch_size=1,  # lines of one batch are padded to the longest
            use_doc_orientation_classify=False,
            use_doc_unwarping=False,
            use_textline_orientation=False,
            text_det_limit_side_len=DETECTION_SIDE,
            text_det_limit_type="max",
            device="cpu",
            engine="onnxruntime",
            engine_config=engine_config,
        )


_ANY = DistributionFinder.Context()


class _HeadlessOpenCv(DistributionFinder):
    """Answers for the distribution `opencv-contrib-python` with its headless build.

    PaddleX looks for that name (paddlex.utils.deps) and imports no cv2 without it. The headless build is
    the same package, but needs no libGL, which a server has not.
    """

    missing = "opencv-contrib-python"
    installed = "opencv-contrib-python-headless"

    def find_spec(self, *_: object) -> None:
        """It finds no modules."""

    def find_distributions(self, context: DistributionFinder.Context = _ANY) -> Iterable[Distribution]:
        """The headless build's distribution, if that is the one asked for by the other name."""
        return Distribution.discover(name=self.installed) if context.name == self.missing else ()


def _vouch_for_headless_opencv() -> None:
    try:
        importlib.metadata.version(_HeadlessOpenCv.missing)
    except importlib.metadata.PackageNotFoundError:
        sys.meta_path.append(_HeadlessOpenCv())
