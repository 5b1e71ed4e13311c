"""Lines that OCR saw on a page, as boxes on a page without tilt, and the rows that they form."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class SeenLine:
    """A line of text and its corners in pixels (4, 2), clockwise from the one at the top left."""

    text: str
    confidence: float
    """0 to 1."""
    corners: NDArray[np.float64]


@dataclass(frozen=True)
class Box:
    """Where a line is on the page after the page's tilt was taken out, in pixels."""

    x0: float
    y0: float
    x1: float
    y1: float
    line: SeenLine

    @property
    def height(self) -> float:
        """From top to bottom."""
        return self.y1 - self.y0

    @property
    def width(self) -> float:
        """From left to right."""
        return self.x1 - self.x0

    @property
    def middle(self) -> float:
        """Half-way between top and bottom."""
        return (self.y0 + self.y1) / 2


Row = list[Box]
"""Boxes on one base line, from left to right; never empty."""


def straight_boxes(lines: Sequence[SeenLine]) -> list[Box]:
    """The lines' boxes without the tilt of the page.

    On a tilted page the upright boxes around long lines overlap their neighbours.
    """
    angle = _tilt(lines)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    boxes = []
    for line in lines:
        corners = line.corners @ turn
        (x0, y0), (x1, y1) = corners.min(axis=0), corners.max(axis=0)
        boxes.append(Box(float(x0), float(y0), float(x1), float(y1), line))
    return boxes


def _tilt(lines: Sequence[SeenLine]) -> float:
    """The median angle of the lines' upper edges in radians; long lines count for more."""
    angles = []
    for line in lines:
        across, down = line.corners[1] - line.corners[0]
        height = np.linalg.norm(line.corners[3] - line.corners[0])
        if across > 3 * height:  # the angle of a short box is chance
            angles.append((float(np.arctan2(down, across)), float(across)))
    half = sum(across for _, across in angles) / 2
    for angle, across in sorted(angles):
        half -= across
        if half <= 0:
            return angle
    return 0.0


def rows(boxes: Iterable[Box]) -> list[Row]:
    """Group boxes that stand beside each other, from top to bottom."""
    found: list[Row] = []
    for box in sorted(boxes, key=lambda box: box.middle):
        for row in found[-3:]:  # on a bent page the next row may begin before this one ends
            if _stands_beside(box, row):
                row.append(box)
                break
        else:
            found.append([box])
    for row in found:
        row.sort(key=lambda box: box.x0)
    return found


def _stands_beside(box: Box, row: Row) -> bool:
    nearest = min(row, key=lambda other: max(other.x0 - box.x1, box.x0 - other.x1))
    shared_width = min(box.x1, nearest.x1) - max(box.x0, nearest.x0)
    shared_height = min(box.y1, nearest.y1) - max(box.y0, nearest.y0)
    # Small boxes of one row may overlap a little, as a detector's boxes reach beyond the ink.
    return shared_height > 0.5 * min(box.height, nearest.height) and shared_width < 0.3 * min(
        box.width, nearest.width
    )
