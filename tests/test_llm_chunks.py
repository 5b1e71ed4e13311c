"""Cutting documents by tokens, and the estimate of tokens."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.documents import DocumentText, PageText
from tasks.engines.llm.chunks import PAGE_TOKENS, cut, ends
from tasks.engines.llm.tokens import TokenEstimate

TOKENS = TokenEstimate(model="m")


def document(*pages: str) -> DocumentText:
    return DocumentText(
        name="a.pdf", pages=tuple(PageText(number=i, text=text) for i, text in enumerate(pages, start=1))
    )


def size(part: DocumentText) -> float:
    return sum(TOKENS.count(page.text) + PAGE_TOKENS for page in part.pages)


def read_again(parts: list[DocumentText]) -> dict[int, str]:
    """The pages put together from their parts, each checked to begin where it says."""
    pages: dict[int, str] = {}
    for part in parts:
        for page in part.pages:
            assert page.start == len(pages.get(page.number, ""))
            pages[page.number] = pages.get(page.number, "") + page.text
    return pages


def prose(seed: int, words: int) -> str:
    dice = random.Random(seed)
    return "".join(
        "".join(dice.choices("etaoinsrhldu", k=dice.randint(2, 11)))
        + dice.choice([" "] * 9 + [". ", ".\n\n"])
        for _ in range(words)
    )


def test_a_document_that_fits_is_not_cut() -> None:
    whole = document("one", "two")
    assert cut(whole, 100, TOKENS) == [whole]


def test_four_hundred_pages_are_covered_once_within_the_budget() -> None:
    whole = document(*(prose(seed, 350) for seed in range(400)))
    parts = cut(whole, 3000, TOKENS)
    assert read_again(parts) == {page.number: page.text for page in whole.pages}
    assert all(size(part) <= 3000 for part in parts)
    assert parts == cut(whole, 3000, TOKENS)
    # Two pages make one part: no page of these is torn apart.
    assert all(page.start == 0 for part in parts for page in part.pages)


def test_a_page_is_cut_between_paragraphs() -> None:
    paragraphs = [prose(seed, 60).replace("\n\n", " ") for seed in range(8)]
    parts = cut(document("\n\n".join(paragraphs)), 600, TOKENS)
    assert len(parts) > 1
    assert all(part.pages[0].text.strip().split("\n\n")[0] in paragraphs for part in parts)


@pytest.mark.parametrize("text", [prose(1, 900).replace("\n", " "), "word " * 3000, "x y\n" * 2000])
def test_a_huge_paragraph_is_cut_between_words(text: str) -> None:
    parts = cut(document(text), 200, TOKENS)
    assert read_again(parts) == {1: text}
    assert all(size(part) <= 200 for part in parts)
    for part in parts[:-1]:
        end = part.pages[-1].start + len(part.pages[-1].text)
        assert text[end - 1].isspace() or text[end].isspace()


def test_only_a_word_over_the_budget_is_cut() -> None:
    text = "before " + "A" * 5000 + " behind"
    parts = cut(document(text), 300, TOKENS)
    assert read_again(parts) == {1: text}
    assert all(size(part) <= 300 for part in parts)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.text(alphabet="ab1 .\n\t。漢ü", max_size=400), min_size=1, max_size=5), st.integers(40, 400)
)
def test_nothing_is_lost_whatever_the_text(pages: list[str], budget: int) -> None:
    whole = document(*pages)
    parts = cut(whole, budget, TOKENS)
    assert read_again(parts) == {page.number: page.text for page in whole.pages}
    assert all(size(part) <= budget for part in parts)


@pytest.mark.parametrize("budget", [150, 400, 2000])
def test_an_excerpt_shows_beginning_and_end(budget: int) -> None:
    whole = document(*(f"BEGIN{seed} {prose(seed, 200)} END{seed}" for seed in range(12)))
    excerpt = ends(whole, budget, TOKENS)
    shown = sum(len(page.text) for page in excerpt.pages)
    assert excerpt.pages[0].text.startswith("BEGIN0")
    assert excerpt.pages[-1].text.endswith("END11")
    assert sum(TOKENS.count(page.text) + PAGE_TOKENS for page in excerpt.pages) <= budget
    assert excerpt.read_share == shown / sum(len(page.text) for page in whole.pages) < 1
    for page in excerpt.pages:
        assert whole.pages[page.number - 1].text[page.start :].startswith(page.text)


def test_an_excerpt_of_one_page_does_not_show_a_word_twice() -> None:
    text = " ".join(f"w{index}" for index in range(900))
    excerpt = ends(document(text), 500, TOKENS)
    words = [word for page in excerpt.pages for word in page.text.split()]
    assert len(words) == len(set(words)) < 900
    assert (words[0], words[-1]) == ("w0", "w899")


def test_the_estimate_is_on_the_safe_side_before_it_learned() -> None:
    text = prose(3, 400)
    assert TOKENS.count(text) > len(text) / 3


def test_the_estimate_follows_the_worst_of_late_and_forgets() -> None:
    estimate, text = TokenEstimate(model="m"), prose(4, 400)
    estimate.learn(text, 500)
    estimate.learn(text, 700)
    assert 700 <= estimate.count(text) <= 800
    for _ in range(16):
        estimate.learn(text, 500)
    assert 500 <= estimate.count(text) <= 560


def test_short_prompts_teach_nothing() -> None:
    estimate = TokenEstimate(model="m")
    estimate.learn("Hello", 60)
    assert estimate.recent == []


def test_the_estimate_can_be_kept() -> None:
    estimate = TokenEstimate(model="m")
    estimate.learn(prose(5, 400), 600)
    assert TokenEstimate.model_validate_json(estimate.model_dump_json()) == estimate


@pytest.mark.parametrize(("characters_per_token", "suspicious"), [(4.5, False), (6.5, False), (20, True)])
def test_a_count_that_cannot_be_is_told_from_a_good_tokenizer(
    characters_per_token: float, suspicious: bool
) -> None:
    text = prose(6, 2000)
    counted = len(text) / characters_per_token
    assert (counted < TOKENS.least(text)) is suspicious
    learned = TokenEstimate(model="m")
    learned.learn(text, int(len(text) / 4.5))
    assert (counted < learned.least(text)) is suspicious


def test_rows_of_dots_and_spaces_are_no_suspicion() -> None:
    assert TOKENS.least(". " * 5000 + " " * 5000) == 0
