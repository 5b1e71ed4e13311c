"""Search: what is found, that the index is always in step with the ledger, and that no query breaks."""

import random
import sqlite3
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.documents import Field, FieldStatus, Page, State, TextSource
from tasks.ledger import Ledger
from tasks.schema import MIGRATIONS
from tasks.search import Filter, Query, Term, make_snippet, parse_query, search
from tests.system import System
from tests.test_tui_store import enter
from tests.tui import HOSTILE


def put(ledger: Ledger, name: str, *texts: str, **columns: object) -> str:
    """A document with these pages."""
    document = enter(ledger, name, **columns)
    ledger.put_pages(
        document,
        [
            Page(number=number, text=text, source=TextSource.LAYER, score=1.0)
            for number, text in enumerate(texts, start=1)
        ],
    )
    return document


def found(ledger: Ledger, text: str) -> set[str]:
    """The names of the documents that a query finds."""
    ids = [hit.document for hit in search(ledger, parse_query(text))]
    return {row.name for row in ledger.documents(ids=ids)} if ids else set()


@pytest.fixture
def papers(ledger: Ledger) -> Ledger:
    """A few documents."""
    put(
        ledger,
        "lease.pdf",
        "Tenancy agreement of the flat",
        "The deposit is two months' rent. Notice period: 3 months.",
        category="contract",
        party="Pennine Homes Ltd",
        date="2026-03-01",
        amount="780.00",
        currency="GBP",
    )
    put(
        ledger,
        "strom.pdf",
        "Rechnung über Stromlieferung an Müller, Betrag 99,50",
        category="invoice",
        party="Stadtwerke 100%",
        date="2026-03-31",
        amount="99.50",
        currency="EUR",
    )
    put(ledger, "letter.txt", "Dear Ms Muller, the rent is due.", category="letter", state=State.REVIEW)
    return ledger


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("deposit", {"lease.pdf"}),
        ("RENT", {"lease.pdf", "letter.txt"}),
        ("rent deposit", {"lease.pdf"}),
        ("agreement deposit", set()),  # on different pages
        ("muller", {"strom.pdf", "letter.txt"}),
        ("Müller", {"strom.pdf", "letter.txt"}),
        ("stromlief", {"strom.pdf"}),
        ("lieferung", set()),
        ('"notice period"', {"lease.pdf"}),
        ('"period notice"', set()),
        ("rent -dear", {"lease.pdf"}),
        ("pennine", {"lease.pdf"}),  # what is known of it
        ("category:letter", {"letter.txt"}),
        ("rent -category:letter", {"lease.pdf"}),
        ("party:pennine", {"lease.pdf"}),
        ('party:"pennine homes"', {"lease.pdf"}),
        ("party:%", {"strom.pdf"}),
        ("state:review", {"letter.txt"}),
        ("currency:gbp", {"lease.pdf"}),
        ("name:.pdf", {"lease.pdf", "strom.pdf"}),
        ("date:2026-03", {"lease.pdf", "strom.pdf"}),
        ("date:>2026-03-01", {"strom.pdf"}),
        ("date:2026-01..2026-03", {"lease.pdf", "strom.pdf"}),
        ("date:..2026-03-01", {"lease.pdf"}),
        ("date:2026-04..", set()),
        ("amount:>100", {"lease.pdf"}),
        ("amount:99.5", {"strom.pdf"}),
        ("amount:<=99.50", {"strom.pdf"}),
        ("amount:50..100", {"strom.pdf"}),
        ("rechnung amount:>100", set()),
        ("http://example.org", set()),
        ("-rent", set()),
        ("", set()),
    ],
)
def test_what_is_found(papers: Ledger, query: str, names: set[str]) -> None:
    assert found(papers, query) == names


def test_fields_are_found_and_no_longer_once_they_are_gone(ledger: Ledger) -> None:
    document = put(ledger, "a.pdf", "text")
    ledger.put_fields(document, [Field(name="number", value="INV-2026-0417", status=FieldStatus.MISSING)])
    assert found(ledger, "INV-2026-0417") == {"a.pdf"}
    assert found(ledger, "0417") == {"a.pdf"}
    ledger.put_fields(document, [])
    assert found(ledger, "0417") == set()


def test_the_best_page_and_how_many_are_told(ledger: Ledger) -> None:
    put(ledger, "a.pdf", "one deposit among many other words " * 9, "nothing", "deposit deposit deposit")
    (hit,) = search(ledger, parse_query("deposit"))
    assert (hit.page, hit.pages) == (3, 2)
    assert [hit.snippet[first:last] for first, last in hit.marks] == ["deposit"] * 3


def test_very_frequent_words_give_the_newest(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.search._MOST_RANKED", 3)
    for number in range(5):
        put(ledger, f"{number}.pdf", "common")
    hits = search(ledger, parse_query("common"), limit=3)
    assert [row.name for row in ledger.documents(ids=[hit.document for hit in hits])] == [
        "2.pdf",
        "3.pdf",
        "4.pdf",
    ]


def test_a_query_is_read() -> None:
    assert parse_query('rent "notice period" -draft Category:invoice -party:"a b" foo:bar "open') == Query(
        terms=(
            Term("rent"),
            Term("notice period", is_phrase=True),
            Term("draft", is_excluded=True),
            Term("foo:bar"),
            Term("open", is_phrase=True),
        ),
        filters=(Filter("category", "invoice"), Filter("party", "a b", is_excluded=True)),
    )


@given(st.text(max_size=80))
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_query_breaks(papers: Ledger, text: str) -> None:
    search(papers, parse_query(text))


@pytest.mark.parametrize(
    "text",
    [
        '"',
        '""',
        "* NEAR(a b)",
        "text:a",
        "a AND OR NOT",
        "^a",
        "{a}:b",
        "a\0b",
        "\ud800",
        "date:",
        "amount:>x",
    ],
)
def test_nothing_in_a_query_acts(papers: Ledger, text: str) -> None:
    search(papers, parse_query(text))


@given(st.text(max_size=300), st.text(max_size=20))
@settings(max_examples=300, deadline=None)
def test_snippets_of_any_text(text: str, word: str) -> None:
    snippet, marks = make_snippet(text, [Term(word)])
    assert "\n" not in snippet
    assert all(0 <= first < last <= len(snippet) for first, last in marks)


def test_a_snippet_begins_with_a_whole_word() -> None:
    snippet, marks = make_snippet("beginning " * 20 + "deposit end", [Term("deposit")])
    assert snippet.startswith("beginning ")
    assert [snippet[first:last] for first, last in marks] == ["deposit"]


def test_words_are_marked_whatever_their_accents() -> None:
    snippet, marks = make_snippet(
        "x " * 200 + "an MÜLLERS\nStraße, Mu\u0308ller", [Term("muller"), Term("STRASSE")]
    )
    assert [snippet[first:last] for first, last in marks] == ["MÜLLERS", "Straße", "Mu\u0308ller"]


def index_of(db: sqlite3.Connection) -> set[tuple[str, int, str, int]]:
    """Every word of the index with its document, page and place."""
    db.execute("CREATE VIRTUAL TABLE temp.words USING fts5vocab('main', 'search', 'instance')")
    try:
        return set(
            db.execute(
                'SELECT document, number, term, "offset" FROM words JOIN search_rows ON search_rows.id = doc'
            ).fetchall()
        )
    finally:
        db.execute("DROP TABLE temp.words")


def test_the_index_is_in_step_whatever_happens(ledger: Ledger) -> None:
    chance = random.Random(8)
    ledger.db.row_factory = sqlite3.Row
    documents: list[str] = []
    for step in range(300):
        act = chance.randrange(7) if documents else 0
        document = chance.choice(documents) if documents else ""
        word = f"w{chance.randrange(40)}"
        if act == 0:
            documents.append(put(ledger, f"{step}.pdf", word, f"{word} again"))
        elif act == 1:
            ledger.put_pages(document, [Page(number=2, text=word, source=TextSource.OCR, score=1)])
        elif act == 2:
            ledger.update_document(document, title=word, state=State.REVIEW)
        elif act == 3:
            fields = [Field(name=name, value=word, status=FieldStatus.MISSING) for name in "ab"]
            ledger.put_fields(document, fields)
        elif act == 4:
            ledger.db.execute("DELETE FROM pages WHERE document = ?", (document,))
        elif act == 5:
            ledger.put_fields(document, [])
        else:
            row = ledger.document(document)
            assert row is not None
            ledger.delete_document(row)
            documents.remove(document)
    ledger.db.row_factory = None
    kept = index_of(ledger.db)
    rebuilt = sqlite3.connect(":memory:")
    ledger.db.backup(rebuilt)
    for (name,) in rebuilt.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        rebuilt.execute(f"DROP TRIGGER {name}")
    rebuilt.executescript("DROP TABLE search; DROP TABLE search_rows;" + MIGRATIONS[4])
    assert kept == index_of(rebuilt)
    assert len(kept) > 50
    rebuilt.close()


def test_the_command(tmp_path: Path) -> None:
    system = System(tmp_path)
    with Ledger.open(system.settings) as ledger:
        for name in HOSTILE:
            put(ledger, name[:100], f"deposit {name}")
    done = system.run("search", "deposit", "--limit", "50")
    assert "\x1b" not in done.stdout
    assert "\u202e" not in done.stdout
    assert done.stdout.count("page 1: deposit") == len(HOSTILE)
    assert len(system.json("search", "deposit")) == len(HOSTILE)
    nothing = system.run("search", "--", "nowhere", "-category:x")
    assert (nothing.stdout, nothing.stderr) == ("", "Nothing was found.\n")
