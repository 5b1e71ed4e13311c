"""Pages that were scanned upside-down or sideways: found by how they read, repaired by reading them again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.engines.page_boxes import SeenLine

SUSPICIOUS_SCORE = 0.85
"""Good pages score above 0.95, pages on their head about 0.7; so do very bad scans."""
GUESSED = 0.5
"""Recognised characters of at most this confidence speak for nothing."""
CLEARLY_BETTER = 1.3
"""How much more must be read to turn a page whose lines already run across."""
AS_GOOD = 0.9
"""How much must be read to turn a page whose lines run up and down: on its side it may read well, too."""

Read = Callable[[NDArray[np.uint8]], Sequence[SeenLine]]


@dataclass(frozen=True)
class UprightReading:
    """What was read, after the image (height, width, 3) was turned clockwise by `rotation` degrees."""

    lines: Sequence[SeenLine]
    image: NDArray[np.uint8]
    rotation: int = 0


def read_upright(read: Read, image: NDArray[np.uint8]) -> UprightReading:
    """Read the image, and again in other directions only if the first reading is suspicious."""
    best = UprightReading(read(image), image)
    for degrees in _suspected_turns(best.lines):
        turned = np.ascontiguousarray(np.rot90(image, -degrees // 90))
        reading = UprightReading(read(turned), turned, degrees)
        if _is_better(reading.lines, best.lines):
            best = reading
        if not _suspected_turns(best.lines):
            break
    return best


def mean_score(lines: Sequence[SeenLine]) -> float:
    """The mean confidence, weighted by characters; 0 where nothing was read."""
    characters = sum(len(line.text) for line in lines)
    return sum(len(line.text) * line.confidence for line in lines) / characters if characters else 0.0


def _suspected_turns(lines: Sequence[SeenLine]) -> tuple[int, ...]:
    """Degrees clockwise by which the page may have to be turned, the likeliest first."""
    if not lines:
        return ()
    doubtful = mean_score(lines) < SUSPICIOUS_SCORE
    if _runs_up_and_down(lines):
        # PaddleOCR turns crops of tall boxes by 90 degrees counter-clockwise before it reads them. If
        # that made them readable, so it will the page.
        return (90, 270) if doubtful else (270, 90)
    return (180,) if doubtful else ()


def _is_better(new: Sequence[SeenLine], old: Sequence[SeenLine]) -> bool:
    if _runs_up_and_down(new):
        return False
    needed = AS_GOOD if _runs_up_and_down(old) else CLEARLY_BETTER
    return _evidence(new) > needed * _evidence(old)


def _runs_up_and_down(lines: Sequence[SeenLine]) -> bool:
    """Whether the greater part of the text, by length of the lines, stands in tall boxes."""
    tall = wide = 0.0
    for line in lines:
        width, height = np.ptp(line.corners, axis=0)
        if height > width:
            tall += float(height)
        else:
            wide += float(width)
    return tall > wide


def _evidence(lines: Sequence[SeenLine]) -> float:
    """How much was read: characters, weighted by the confidence beyond guessing."""
    return sum(len(line.text) * max(0.0, line.confidence - GUESSED) for line in lines)
