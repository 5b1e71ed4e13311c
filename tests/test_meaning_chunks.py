"""Cutting pages into chunks: all of the text is in them, in its place."""

from hypothesis import given
from hypothesis import strategies as st

from tasks.meaning.chunking import MOST_CHARACTERS, cut

PIECES = st.sampled_from(["word", " ", "\n", "\n\n", ". ", "Größe", "x" * 70, "\t", "日本語", "-" * 400])
TEXTS = st.one_of(
    st.text(max_size=300), st.lists(PIECES, max_size=400).map("".join), st.integers(0, 9000).map("a".__mul__)
)


@given(TEXTS)
def test_chunks_hold_all_of_the_text_in_order_and_nothing_twice(text: str) -> None:
    chunks = cut(text)
    at = 0
    for chunk in chunks:
        assert not text[at : chunk.start].strip()
        assert at <= chunk.start < chunk.end <= len(text)
        assert chunk.end - chunk.start <= MOST_CHARACTERS
        piece = text[chunk.start : chunk.end]
        assert piece == piece.strip()
        at = chunk.end
    assert not text[at:].strip()


@given(st.integers(MOST_CHARACTERS + 1, 20_000))
def test_chunks_are_nearly_even(length: int) -> None:
    sizes = [chunk.end - chunk.start for chunk in cut("lorem ipsum " * (length // 12 + 1))]
    assert min(sizes) > 0.5 * max(sizes)


def test_a_text_is_cut_between_paragraphs_rather_than_within_them() -> None:
    paragraphs = ["One sentence. " * 80, "Another. " * 140, "A third one. " * 95]
    text = "\n\n".join(paragraph.strip() for paragraph in paragraphs)
    assert [text[chunk.start : chunk.end] for chunk in cut(text)] == text.split("\n\n")


def test_a_short_page_is_one_chunk_and_an_empty_one_none() -> None:
    assert [(chunk.start, chunk.end) for chunk in cut("  A letter.\n\nYours \n")] == [(2, 18)]
    assert cut(" \n\t ") == []
