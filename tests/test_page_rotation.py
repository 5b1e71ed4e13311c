"""Which way up a page is, decided from fake readings."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tasks.engines.page_boxes import SeenLine
from tasks.engines.page_rotation import mean_score, read_upright

UP, LEFT, DOWN, RIGHT = 0, 1, 2, 3


class Reader:
    """Reads an image whose black corner tells which way up it is, as PaddleOCR reads such pages."""

    def __init__(self, scores: dict[int, float]) -> None:
        self.scores = scores
        self.reads = 0

    def __call__(self, image: NDArray[np.uint8]) -> list[SeenLine]:
        self.reads += 1
        corners = [image[0, 0, 0], image[-1, 0, 0], image[-1, -1, 0], image[0, -1, 0]]
        quarter_turns = corners.index(0)  # counter-clockwise
        width, height = (200, 20) if quarter_turns in (UP, DOWN) else (20, 200)
        box = np.array([(0, 0), (width, 0), (width, height), (0, height)], dtype=np.float64)
        return [SeenLine("twenty letters or so", self.scores[quarter_turns], box)] * 10


GOOD_PAGE = {UP: 0.99, LEFT: 0.7, DOWN: 0.7, RIGHT: 0.98}
"""A page turned clockwise (RIGHT) reads well, as PaddleOCR turns tall crops counter-clockwise."""


def page(clockwise: int) -> NDArray[np.uint8]:
    image = np.full((6, 4, 3), 255, dtype=np.uint8)
    image[0, 0] = 0
    return np.ascontiguousarray(np.rot90(image, -clockwise // 90))


def test_an_upright_page_is_read_once() -> None:
    reader = Reader(GOOD_PAGE)
    assert read_upright(reader, page(0)).rotation == 0
    assert reader.reads == 1


@pytest.mark.parametrize("clockwise", [90, 180, 270])
def test_a_turned_page_is_turned_back_with_one_more_reading(clockwise: int) -> None:
    reader = Reader(GOOD_PAGE)
    reading = read_upright(reader, page(clockwise))
    assert reading.rotation == 360 - clockwise
    assert np.array_equal(reading.image, page(0))
    assert mean_score(reading.lines) == pytest.approx(0.99)
    assert reader.reads == 2


@pytest.mark.parametrize("upside_down", [0.5, 0.7, 0.74])
def test_a_bad_scan_is_not_turned(upside_down: float) -> None:
    reader = Reader({UP: 0.72, LEFT: 0.6, DOWN: upside_down, RIGHT: 0.7})
    assert read_upright(reader, page(0)).rotation == 0


def test_a_bad_scan_on_its_side_is_turned_the_better_way() -> None:
    bad = {UP: 0.8, LEFT: 0.6, DOWN: 0.6, RIGHT: 0.78}
    for clockwise in (90, 270):
        assert read_upright(Reader(bad), page(clockwise)).rotation == 360 - clockwise


def test_an_empty_page_is_read_once() -> None:
    reads = []
    reading = read_upright(lambda image: reads.append(image) or [], page(0))
    assert (reading.rotation, list(reading.lines), len(reads)) == (0, [], 1)
    assert mean_score(reading.lines) == 0.0


def test_the_score_is_weighted_by_characters() -> None:
    box = np.zeros((4, 2))
    assert mean_score([SeenLine("abcd", 1.0, box), SeenLine("x", 0.5, box)]) == pytest.approx(0.9)
