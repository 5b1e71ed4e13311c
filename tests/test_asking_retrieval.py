"""What is read for a question: the pages that have its words, in parts, within a budget."""

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tasks.asking.retrieval import NearPart, RankedPage, passages, question_words, ranked_pages, windows
from tasks.ledger import Ledger
from tests.test_search import put

MUCH = 100_000
FILLER = "Nothing of interest stands in this line of the text.\n" * 60


@pytest.fixture
def papers(ledger: Ledger) -> dict[str, str]:
    """A few documents; their ids by name."""
    return {
        name: put(ledger, name, *texts)
        for name, texts in {
            "lease.pdf": (
                "Tenancy agreement of the flat in Leeds",
                f"{FILLER}The deposit is two months' rent.\n{FILLER}Notice period: 3 months.\n{FILLER}",
            ),
            "strom.pdf": ("Rechnung über Stromlieferung, Kündigungsfrist 14 Tage",),
            "notes.txt": ("What is the rent of the flat, and when is it due? Ask.",),
        }.items()
    }


def test_the_words_that_tell_are_looked_for() -> None:
    assert question_words("What is the deposit of the flat in 2026?") == ["deposit", "flat", "2026"]
    assert question_words("Wie hoch ist die Kaution?") == ["hoch", "kaution"]
    assert question_words("What is it?") == ["what", "is", "it"]
    assert question_words("?!") == []


def test_pages_with_the_rare_words_come_first(ledger: Ledger, papers: dict[str, str]) -> None:
    assert ranked_pages(ledger, "What is the deposit?", (), 9) == [RankedPage(papers["lease.pdf"], 2)]
    put(ledger, "short.txt", "the flat of the deposit, when the notice period of months is over")
    put(ledger, "flat.txt", "the flat has a kitchen, and a garden behind the house with an old tree")
    names = {row.id: row.name for row in ledger.documents()}
    pages = ranked_pages(ledger, "When can the flat with the deposit be given notice?", (), 9)
    assert names[pages[0].document] == "short.txt"
    assert len(pages) == 5  # those that know of the flat only come after it


def test_a_word_finds_another_form_of_it(ledger: Ledger, papers: dict[str, str]) -> None:
    for question in ("deposits", "DEPOSITED", "die Rechnungen", "kundigungsfristen"):
        assert ranked_pages(ledger, question, (), 9), question


def test_what_stands_about_a_document_speaks_for_its_first_page(ledger: Ledger) -> None:
    document = put(ledger, "scan0001.pdf", "first page", "second page", party="Pennine Homes Ltd")
    assert ranked_pages(ledger, "Who is Pennine?", (), 9) == [RankedPage(document, 1)]


def test_passages_are_parts_of_their_page_around_the_words(ledger: Ledger, papers: dict[str, str]) -> None:
    found = passages(ledger, "How much is the deposit, what is the notice period?", (), MUCH)
    texts = {
        (row["document"], row["number"]): row["text"] for row in ledger.db.execute("SELECT * FROM pages")
    }
    for passage in found:
        text = texts[passage.document, passage.page]
        assert text[passage.start : passage.start + len(passage.text)] == passage.text
        assert len(passage.text) <= 1_500
    parts = [passage for passage in found if passage.page == 2]
    assert {"The deposit is" in part.text for part in parts} == {True, False}
    assert {"Notice period" in part.text for part in parts} == {True, False}
    assert [passage.number for passage in found] == list(range(1, len(found) + 1))
    assert {passage.name for passage in found} >= {"lease.pdf"}


def test_the_budget_is_kept(ledger: Ledger, papers: dict[str, str]) -> None:
    for budget in (0, 1, 50, 500, 2_000, 5_000):
        found = passages(ledger, "deposit notice rent flat", (), budget)
        assert sum(len(passage.text) for passage in found) <= budget
        assert bool(found) == (budget >= 500)


def test_no_document_takes_all_the_room(ledger: Ledger) -> None:
    put(ledger, "thick.pdf", *(f"deposit deposit deposit {number}" for number in range(20)))
    put(ledger, "thin.pdf", "the deposit and many other words " * 5)
    found = passages(ledger, "deposit", (), MUCH)
    assert [passage.name for passage in found] == ["thick.pdf"] * 3 + ["thin.pdf"]


def test_only_the_documents_that_are_named_are_read(ledger: Ledger, papers: dict[str, str]) -> None:
    found = passages(ledger, "What is the rent of the flat?", [papers["notes.txt"]], MUCH)
    assert {passage.name for passage in found} == {"notes.txt"}
    assert passages(ledger, "deposit", ["00000000"], MUCH) == []


def test_a_few_named_documents_are_read_even_if_no_word_fits(ledger: Ledger, papers: dict[str, str]) -> None:
    found = passages(ledger, "Wovon handelt das?", [papers["lease.pdf"], papers["strom.pdf"]], MUCH)
    assert {(passage.name, passage.page) for passage in found} == {
        ("lease.pdf", 1),
        ("lease.pdf", 2),
        ("strom.pdf", 1),
    }
    assert passages(ledger, "Wovon handelt xyzzy?", (), MUCH) == []


def test_a_page_with_the_words_comes_before_the_rest_of_a_named_document(
    ledger: Ledger, papers: dict[str, str]
) -> None:
    found = passages(ledger, "deposit", [papers["lease.pdf"]], MUCH)
    assert [passage.page for passage in found] == [2, 1]


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=60) | st.text(alphabet='"*()-:^{}ANDORNOT \0\ud800', max_size=30))
def test_no_question_breaks_it(ledger: Ledger, papers: dict[str, str], question: str) -> None:
    passages(ledger, question, (), MUCH)
    passages(ledger, question, list(papers.values()), MUCH)


@given(st.text(alphabet="ab \n.", max_size=4_000), st.lists(st.text(alphabet="ab", max_size=5), max_size=3))
def test_windows_lie_in_the_page_and_apart(text: str, words: list[str]) -> None:
    found = windows(text, [word for word in words if word])
    assert bool(found) == bool(text.strip())
    places = [0, *(place for window in found for place in window), len(text)]
    assert places == sorted(places)
    assert all(start < end for start, end in found)


def test_what_is_near_in_meaning_is_read_at_its_place(ledger: Ledger, papers: dict[str, str]) -> None:
    power, lease = RankedPage(papers["strom.pdf"], 1), RankedPage(papers["lease.pdf"], 2)
    near = [NearPart(power, 14, 29), NearPart(lease, 0, 40)]
    found = passages(ledger, "What does electricity cost?", (), MUCH, near)
    assert [(one.document, one.page, one.text) for one in found] == [
        (power.document, 1, "Stromlieferung,"[:15]),
        (lease.document, 2, FILLER[:40]),
    ]


def test_a_page_that_both_find_comes_first_and_around_its_words(
    ledger: Ledger, papers: dict[str, str]
) -> None:
    power, lease = RankedPage(papers["strom.pdf"], 1), RankedPage(papers["lease.pdf"], 2)
    found = passages(
        ledger, "What is the deposit?", (), MUCH, [NearPart(power, 0, 20), NearPart(lease, 0, 20)]
    )
    assert (found[0].document, found[0].page) == (lease.document, 2)
    assert "deposit is two months' rent" in found[0].text
    assert [one.document for one in found].count(power.document) == 1
