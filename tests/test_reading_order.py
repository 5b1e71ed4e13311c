"""Reading order without OCR: boxes in, text out."""

from itertools import zip_longest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.engines.page_boxes import SeenLine
from tasks.engines.reading_order import arrange

HEIGHT = 20
PITCH = 24
LETTER_WIDTH = 10

PROSE_LEFT = (
    "The parcel was handed over at the",
    "counter on Tuesday. It weighed a",
    "little more than the label said,",
    "so the clerk asked for the rest of",
    "the postage before he took it.",
)
PROSE_RIGHT = (
    "Nobody had told us that the office",
    "would close so early in winter. We",
    "waited outside until the van came",
    "back, and then the driver let us",
    "sign for everything on the bonnet.",
)


def line(text: str, x: float, y: float, *, width: float | None = None, height: float = HEIGHT) -> SeenLine:
    right = x + (LETTER_WIDTH * len(text) if width is None else width)
    corners = np.array([(x, y), (right, y), (right, y + height), (x, y + height)], dtype=np.float64)
    return SeenLine(text, 0.99, corners)


def column(texts: tuple[str, ...], x: float, y: float, *, pitch: float = PITCH) -> list[SeenLine]:
    return [line(text, x, y + index * pitch) for index, text in enumerate(texts)]


def turned(lines: list[SeenLine], degrees: float) -> list[SeenLine]:
    angle = np.radians(degrees)
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return [SeenLine(seen.text, seen.confidence, seen.corners @ matrix) for seen in lines]


def shuffled(lines: list[SeenLine]) -> list[SeenLine]:
    return [lines[index] for index in np.random.default_rng(5).permutation(len(lines))]


def blocks(lines: list[SeenLine]) -> list[list[str]]:
    return [block.split("\n") for block in arrange(shuffled(lines)).text.split("\n\n")]


def test_nothing_makes_no_text() -> None:
    assert arrange([]).text == ""


def test_a_letter_is_one_column() -> None:
    texts = ("Dear Sir,", *PROSE_LEFT, *PROSE_RIGHT, "Yours faithfully")
    assert blocks(column(texts, 100, 50)) == [list(texts)]


@pytest.mark.parametrize("lowered", [0, 7, 12, 17])
@pytest.mark.parametrize("gutter", [20, 60])
@pytest.mark.parametrize("tilt", [0, 3, -4])
def test_columns_of_text_are_read_one_after_the_other(lowered: int, gutter: int, tilt: float) -> None:
    right = max(len(text) for text in PROSE_LEFT) * LETTER_WIDTH + gutter
    page = column(PROSE_LEFT, 0, 0) + column(PROSE_RIGHT, right, lowered)
    assert blocks(turned(page, tilt)) == [list(PROSE_LEFT), list(PROSE_RIGHT)]


def test_three_columns() -> None:
    third = (
        "In the end it took three weeks to",
        "arrive, which was a week more than",
        "we had been promised.",
    )
    page = column(PROSE_LEFT, 0, 0) + column(PROSE_RIGHT, 380, 0) + column(third, 760, 0)
    assert blocks(page) == [list(PROSE_LEFT), list(PROSE_RIGHT), list(third)]


def test_text_across_the_columns_stays_above_and_below_them() -> None:
    page = [
        line("A heading that runs right across both of the columns", 100, 0),
        *column(PROSE_LEFT, 0, 40),
        *column(PROSE_RIGHT, 380, 40),
        line("A footer that runs right across both of the columns", 100, 220),
    ]
    assert blocks(page) == [
        ["A heading that runs right across both of the columns"],
        list(PROSE_LEFT),
        list(PROSE_RIGHT),
        ["A footer that runs right across both of the columns"],
    ]


def test_a_heading_below_the_columns_goes_with_what_it_heads() -> None:
    below = "Every item of the list that follows is wider than a column"
    page = [
        *column(PROSE_LEFT, 0, 0),
        *column(PROSE_RIGHT, 380, 0),
        line("More to know", 0, 150),
        line(below, 0, 180),
    ]
    assert blocks(page) == [list(PROSE_LEFT), list(PROSE_RIGHT), ["More to know", below]]


def test_the_longer_column_is_read_to_its_end_first() -> None:
    longer = (*PROSE_LEFT, "He counted the coins twice, wrote", "the sum on a slip and nodded.")
    page = column(longer, 0, 0) + column(PROSE_RIGHT, 380, 0)
    assert blocks(page) == [list(longer), list(PROSE_RIGHT)]


def test_rows_of_a_table_stay_whole() -> None:
    names = (
        "Goods delivered to the cellar",
        "Oak shelf with two drawers",
        "Bracket, black",
        "Total of goods",
    )
    amounts = ("Amount", "318.00", "36.80", "354.80")
    page = column(names, 0, 0) + [line(text, 700 - 10 * len(text), 24 * i) for i, text in enumerate(amounts)]
    assert arrange(shuffled(page)).text == "\n".join(
        f"{name}\t{amount}" for name, amount in zip(names, amounts, strict=True)
    )


def test_rows_of_a_table_of_words_stay_whole() -> None:
    names = ("Name of the member", "Anna Maria Lindgren", "Bertrand Delacroix", "Charlotte Oldfield")
    towns = ("Town and country", "Uppsala in Sweden", "Rouen in France", "Bath in England")
    page = column(names, 0, 0) + column(towns, 400, 0)
    assert arrange(shuffled(page)).text == "\n".join(
        f"{name}\t{town}" for name, town in zip(names, towns, strict=True)
    )


def test_labels_stay_with_their_values() -> None:
    labels = ("Invoice number", "Date of invoice", "Customer", "Due on")
    values = ("2024-0815", "3 March 2024", "Hartley, J.", "15 April 2024")
    page = column(labels, 0, 0) + column(values, 300, 0)
    assert blocks(page) == [[f"{label}\t{value}" for label, value in zip(labels, values, strict=True)]]


def test_blocks_whose_rows_do_not_match_are_not_mixed() -> None:
    address = ("Mrs Jane Hartley", "Flat 2", "14 Orchard Lane", "Bath", "England")
    sender = ("Water and Heat", "Customer office", "Open from eight", "to five o'clock")
    page = column(address, 0, 0) + column(sender, 600, 5, pitch=33)
    assert blocks(page) == [list(address), list(sender)]


def test_a_table_below_two_blocks_stays_whole_though_it_shares_their_gutter() -> None:
    address = ("Mrs Jane Hartley", "Flat 2", "14 Orchard Lane", "Bath", "England")
    sender = ("Water and Heat", "Customer office", "Open from eight", "to five o'clock")
    goods = ("Goods and services", "Oak shelf", "Wall bracket", "Delivery by van")
    prices = ("Price in pounds", "318.00", "36.80", "49.00")
    page = [
        *column(address, 0, 0),
        *column(sender, 600, 5, pitch=33),
        *column(goods, 0, 220),
        *column(prices, 600, 220),
    ]
    table = [f"{name}\t{price}" for name, price in zip(goods, prices, strict=True)]
    assert blocks(page) == [list(address), list(sender), table]


def test_wide_gaps_within_a_row_become_tabs_and_narrow_ones_spaces() -> None:
    page = [line("Total", 0, 3), line("of all goods", 62, 0), line("12.00", 400, 1)]
    assert arrange(shuffled(page)).text == "Total of all goods\t12.00"


def test_paragraphs_are_separated_by_a_blank_line() -> None:
    page = column(PROSE_LEFT, 0, 0) + column(PROSE_RIGHT, 0, 5 * PITCH + 20)
    assert blocks(page) == [list(PROSE_LEFT), list(PROSE_RIGHT)]


def test_double_spacing_is_no_paragraph() -> None:
    assert blocks(column(PROSE_LEFT, 0, 0, pitch=2.2 * HEIGHT)) == [list(PROSE_LEFT)]


def test_a_mark_along_the_margin_comes_last() -> None:
    page = [line("Archive 4711", 600, 0, width=HEIGHT, height=120), *column(PROSE_LEFT, 0, 0)]
    assert blocks(page) == [list(PROSE_LEFT), ["Archive 4711"]]


coordinates = st.integers(min_value=0, max_value=1000)
sizes = st.integers(min_value=1, max_value=400)


@given(st.lists(st.tuples(coordinates, coordinates, sizes, sizes), max_size=25))
def test_no_line_is_lost_or_doubled(places: list[tuple[int, int, int, int]]) -> None:
    page = [line(f"line{i}", x, y, width=w, height=h) for i, (x, y, w, h) in enumerate(places)]
    arranged = arrange(page)
    assert sorted(seen.text for seen in arranged.lines) == sorted(seen.text for seen in page)
    for seen, word in zip_longest(arranged.lines, arranged.text.split()):
        assert seen.text == word
