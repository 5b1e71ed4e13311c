"""A sentence counts only if what it cites is there, and if its numbers are in what it cites."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.asking.answers import Passage
from tasks.asking.checking import CitationChecker
from tasks.asking.numbers import unknown_numbers
from tasks.asking.reply import Citation, Claim

LEASE = "Lease of the flat.\nThe deposit is £1,780.00, due on 1 March 2026.\nNotice period: three months."
INVOICE = "Rechnung 4711\nBetrag 1.234,50 EUR, fällig am 05.06.2026. Die Zahlung ist in 14 Tagen fällig."
PASSAGES = (
    Passage(number=1, document="aaaa", name="lease.pdf", page=3, start=500, text=LEASE),
    Passage(number=2, document="bbbb", name="rechnung.pdf", page=1, start=0, text=INVOICE),
)


def claim(text: str, *sources: tuple[int, str]) -> Claim:
    return Claim(text=text, sources=[Citation(passage=number, quote=quote) for number, quote in sources])


def problem(text: str, *sources: tuple[int, str]) -> str:
    """What is wrong with a sentence; empty if nothing is."""
    return CitationChecker(PASSAGES).check(claim(text, *sources)).problem


def test_a_quote_that_is_on_the_page_gives_its_place_in_the_page() -> None:
    sentence = CitationChecker(PASSAGES).check(
        claim("The deposit is £1,780.00.", (1, "the  DEPOSIT is £1,780.00"))
    )
    assert sentence.problem == ""
    [source] = sentence.sources
    assert (source.document, source.name, source.page) == ("aaaa", "lease.pdf", 3)
    assert source.quote == "The deposit is £1,780.00"  # the page's words, not the model's
    page = " " * 500 + LEASE
    assert page[source.start : source.end] == source.quote


def test_several_sources_all_count() -> None:
    sources = ((1, "Notice period: three months"), (2, "Rechnung 4711"))
    assert problem("There is a lease and a bill.", *sources) == ""
    sentence = CitationChecker(PASSAGES).check(claim("There is a lease and a bill.", *sources))
    assert [source.document for source in sentence.sources] == ["aaaa", "bbbb"]
    assert "not in rechnung.pdf" in problem("Both.", sources[0], (2, "Mahnung des Anwalts"))


@pytest.mark.parametrize("number", [0, 3, -1, 10**9])
def test_a_passage_that_was_not_given_cannot_be_cited(number: int) -> None:
    assert "not given" in problem("The deposit is due.", (number, "The deposit"))


@pytest.mark.parametrize(
    "quote",
    [
        "The deposit is waived",
        "Rechnung 4711",
        "the",
        "",
        " . ",
        "The deposit is £1,790.00",
        "due on 7 March",
    ],
)
def test_words_that_are_not_on_the_page_or_say_nothing_are_no_source(quote: str) -> None:
    assert "the words it cites are not in lease.pdf, page 3" in problem("The deposit is due.", (1, quote))


def test_a_sentence_without_a_source_or_without_words_does_not_count() -> None:
    assert problem("The deposit is due.") == "it names no source"
    assert problem(" -- ", (1, "The deposit")) == "it says nothing"


@pytest.mark.parametrize(
    "text",
    [
        "The deposit is £1,780.00.",
        "The deposit is 1780 pounds.",
        "Die Kaution beträgt 1.780,00 Pfund.",
        "It is due on 1 March 2026.",
        "It is due on 2026-03-01.",
        "Sie ist am 01.03.2026 fällig.",
        "It is due in March 2026, on the 1st.",
        "The deposit has to be paid.",
    ],
)
def test_numbers_and_dates_of_the_page_may_be_written_in_another_way(text: str) -> None:
    assert problem(text, (1, "The deposit is £1,780.00, due on 1 March 2026")) == ""


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("The deposit is £1,870.00.", "1,870.00"),
        ("The deposit is 17.80.", "17.80"),
        ("It is due on 1 March 2027.", "1 March 2027"),
        ("It is due on 2026-01-03.", "2026-01-03"),
        ("It is due in 2025.", "2025"),
        ("It is due in 14 days.", "14"),  # of the other document, which is not cited
    ],
)
def test_numbers_and_dates_that_are_not_in_what_is_cited_do_not_count(text: str, unknown: str) -> None:
    assert problem(text, (1, "The deposit is £1,780.00")) == f"{unknown} is not in what it cites"


def test_a_date_whose_parts_stand_in_the_page_apart_is_an_invention() -> None:
    text = "Signed 4 May 2026. Revised on 1 June 2027."
    assert unknown_numbers("It was signed on 1 May 2027.", [text]) == ["1 May 2027"]


def test_a_page_says_itself_how_it_writes_dates_and_numbers() -> None:
    assert unknown_numbers("It is due on 5 June 2026 and is 1,234.50.", [INVOICE]) == []
    assert unknown_numbers("It is due on 6 May 2026.", [INVOICE]) == ["6 May 2026"]


@given(st.text(alphabet="0123456789.,:/-' abäX€\n", max_size=80), st.text(max_size=80))
def test_a_text_knows_its_own_numbers_and_nothing_breaks(text: str, sentence: str) -> None:
    assert unknown_numbers(text, [text]) == []
    assert all(any(c.isdigit() for c in unknown) for unknown in unknown_numbers(sentence, [text]))


@given(st.integers(10**6, 10**9))
def test_an_invented_number_is_noticed(number: int) -> None:
    assert problem(f"The deposit is {number}.", (1, "The deposit is £1,780.00")) != ""


@given(st.text(max_size=300), st.text(max_size=240), st.integers())
def test_nothing_that_a_model_writes_breaks_the_check(text: str, quote: str, number: int) -> None:
    sentence = CitationChecker(PASSAGES).check(claim(text, (number, quote)))
    texts = {passage.document: " " * passage.start + passage.text for passage in PASSAGES}
    for source in sentence.sources:
        assert texts[source.document][source.start : source.end] == source.quote
    assert bool(sentence.sources) == (not sentence.problem)
