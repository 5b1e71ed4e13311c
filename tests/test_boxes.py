"""Where a quote stands on the image of its page."""

from hypothesis import given
from hypothesis import strategies as st

from tasks.boxes import box_of
from tasks.documents import Line, Page, TextSource


def page(*lines: Line, text: str | None = None) -> Page:
    joined = "\n".join(line.text for line in lines) if text is None else text
    return Page(number=1, text=joined, source=TextSource.OCR, score=0.9, lines=lines)


TOTAL = Line(text="Total 119,00 EUR", box=(100, 50, 420, 80), confidence=0.99)
THANKS = Line(text="Thank you", box=(90, 100, 270, 130), confidence=0.99)


def test_a_span_within_a_line_has_its_part_of_the_lines_box() -> None:
    assert box_of(page(TOTAL, THANKS), 6, 12) == (220, 50, 340, 80)
    assert box_of(page(TOTAL, THANKS), 0, 16) == TOTAL.box


def test_a_span_over_lines_has_the_box_around_its_parts() -> None:
    assert box_of(page(TOTAL, THANKS), 13, 22) == (90, 50, 420, 130)


def test_the_same_words_twice_are_told_apart() -> None:
    lower = TOTAL.model_copy(update={"box": (100, 900, 420, 930)})
    two = page(TOTAL, lower, text=f"{TOTAL.text}\n\n{lower.text}")
    start = two.text.rindex("119")
    assert box_of(two, start, start + 6) == (220, 900, 340, 930)


def test_what_was_not_read_by_ocr_has_no_box() -> None:
    assert box_of(page(text="Total 119,00 EUR"), 0, 5) is None
    assert box_of(page(TOTAL), 16, 16) is None


def test_a_line_along_the_margin_keeps_its_box() -> None:
    margin = Line(text="archive 12", box=(10, 100, 40, 900), confidence=0.9)
    assert box_of(page(margin), 8, 10) == margin.box


@given(st.lists(st.text(min_size=1, max_size=8), max_size=6), st.text(max_size=30), st.data())
def test_any_span_of_any_page_has_a_box_within_its_lines(
    texts: list[str], text: str, data: st.DataObject
) -> None:
    lines = tuple(
        Line(text=each, box=(10 * at, 20 * at, 10 * at + 50, 20 * at + 15), confidence=1.0)
        for at, each in enumerate(texts)
    )
    whole = data.draw(st.sampled_from([text, " ".join(texts)]))
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    box = box_of(page(*lines, text=whole), start, end)
    if box is not None:
        assert 0 <= box[0] <= box[2] <= 10 * len(lines) + 50
        assert 0 <= box[1] <= box[3] <= 20 * len(lines) + 15
