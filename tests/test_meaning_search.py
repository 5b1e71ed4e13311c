"""Search by meaning: the file of vectors, what is near, one list of words and meaning, the model for it."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.ledger import DocumentRow, Ledger
from tasks.meaning.asking import QueryVector, meant, query_vector
from tasks.meaning.chunking import Chunk
from tasks.meaning.file import extension_path
from tasks.meaning.hybrid import find_by_meaning, joined, pages_by_meaning, search_both
from tasks.meaning.models import METHOD, embedding_model, prefixes
from tasks.meaning.store import Space, VectorStore
from tasks.routing import KnownModels, Route
from tasks.search import Found, Hit, find_documents, parse_query
from tasks.settings import Settings
from tests.meaning import embedding_info, read
from tests.ollama.word_vectors import LENGTH, word_vector
from tests.system import ROOT


@pytest.fixture
def store(settings: Settings) -> Iterator[VectorStore]:
    opened = VectorStore.open(settings)
    yield opened
    opened.close()


def space_of(store: VectorStore, dimensions: int = 60) -> Space:
    with store.transaction():
        return store.give_dimensions(store.space("model", METHOD), dimensions)


# The file


def test_the_nearest_are_found_in_their_order(store: VectorStore) -> None:
    chance = random.Random(4)
    space = space_of(store)
    vectors = {f"d{n}": [chance.gauss(0, 1) for _ in range(60)] for n in range(600)}
    fill(store, space, vectors)
    query = [0.7 * a + 0.3 * b for a, b in zip(vectors["d7"], vectors["d9"], strict=True)]
    exact = sorted(vectors, key=lambda name: -cosine(vectors[name], query))
    found = store.nearest(space, query, 5)
    assert [chunk.document for chunk in found[:2]] == exact[:2]
    assert {chunk.document for chunk in found} <= set(exact[:8])  # 8 bits a number do not tell ties apart
    assert found[0].similarity == pytest.approx(cosine(vectors["d7"], query), abs=0.01)
    some = [f"d{n}" for n in range(100, 200)]
    narrowed = store.nearest(space, query, 3, some)
    assert {chunk.document for chunk in narrowed} <= set([name for name in exact if name in some][:6])
    assert store.nearest(space, query, 3, []) == []
    assert store.nearest(space, query[:50], 3) == []


def fill(store: VectorStore, space: Space, vectors: dict[str, list[float]]) -> None:
    with store.transaction():
        for name, vector in vectors.items():
            store.put_page(space, name, 1, b"hash", [Chunk(0, 9)])
            chunk = store.db.execute("SELECT max(id) FROM chunks").get
            store.put_vector(space, chunk, vector)


def cosine(one: list[float], other: list[float]) -> float:
    product = sum(a * b for a, b in zip(one, other, strict=True))
    return product / (sum(a * a for a in one) * sum(b * b for b in other)) ** 0.5


def test_a_document_that_is_removed_is_found_no_more_and_leaves_nothing(store: VectorStore) -> None:
    space = space_of(store, LENGTH)
    fill(store, space, {name: word_vector(name) for name in ("apple", "pear")})
    with store.transaction():
        store.remove_document(space, "apple")
    assert [chunk.document for chunk in store.nearest(space, word_vector("apple"), 5)] == ["pear"]
    with store.transaction():
        store.drop(space)
    tables = ("signs", "vectors", "chunks", "pages", "documents", "spaces")
    assert [store.db.execute(f"SELECT count(*) FROM {table}").get for table in tables] == [0] * 6


def test_room_that_is_no_longer_used_is_given_back(
    store: VectorStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.meaning.file._MOST_FREE_PAGES", 10)
    space = space_of(store, LENGTH)
    fill(store, space, {f"d{n}": word_vector(f"word {n}") for n in range(500)})
    with store.transaction():
        store.drop(space)
    before = store.db.pragma("page_count")
    store.give_back_room()
    assert store.db.pragma("page_count") < before / 3


KILLED = """
import os, signal, sys
from pathlib import Path
from tasks.meaning.chunking import Chunk
from tasks.meaning.file import extension_path
from tasks.meaning.store import VectorStore
from tasks.settings import Settings

with VectorStore.open(Settings(data_dir=Path(sys.argv[1]))) as store:
    space = store.spaces()[0]
    store.db.execute("PRAGMA cache_spill = 1")
    with store.transaction():
        store.remove_document(space, "apple")
        store.put_page(space, "plum", 1, b"hash", [Chunk(0, 9)])
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_process_that_is_killed_within_a_change_leaves_all_as_it_was(
    store: VectorStore, settings: Settings
) -> None:
    space = space_of(store, LENGTH)
    fill(store, space, {name: word_vector(name) for name in ("apple", "pear")})
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, settings.data_dir],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        timeout=30,
    )
    assert ended.returncode == -signal.SIGKILL
    assert store.nearest(space, word_vector("apple"), 1)[0].similarity == pytest.approx(1)
    assert store.pages_with_vectors(space) == 2
    fill(store, space, {"plum": word_vector("plum")})
    assert store.pages_with_vectors(space) == 3


# Finding


@pytest.fixture
def papers(ledger: Ledger, settings: Settings) -> dict[str, str]:
    """Documents that share no word with what is looked for, with their vectors."""
    documents = {
        "garage": read(
            ledger,
            "a.pdf",
            "Page of thanks",
            "The automobile got brakes",
            category="invoice",
            date="2026-03-01",
        ),
        "clinic": read(ledger, "b.pdf", "A physician wrote this", category="letter", date="2026-01-05"),
        "dealer": read(ledger, "c.pdf", "A vehicle, as new", category="letter", date="2026-03-09"),
        "tree": read(ledger, "d.pdf", "An oak"),
    }
    with VectorStore.open(settings) as store:
        space = space_of(store, LENGTH)
        with store.transaction():
            rows = ledger.db.execute("SELECT document, number, text FROM pages").fetchall()
            for document, number, text in rows:
                store.put_page(space, document, number, b"hash", [Chunk(0, len(text))])
                chunk = store.db.execute("SELECT max(id) FROM chunks").get
                store.put_vector(space, chunk, word_vector(text))
    return documents


def by_meaning(ledger: Ledger, settings: Settings, text: str) -> list[Found]:
    vector = QueryVector(1, tuple(word_vector(meant(parse_query(text)))))
    return find_by_meaning(settings, ledger, text, vector)


def names(found: list[Found]) -> list[str]:
    return [one.document.name for one in found]


def test_a_page_that_shares_no_word_is_found_by_what_it_means(
    ledger: Ledger, settings: Settings, papers: dict[str, str]
) -> None:
    assert find_documents(ledger, "car", 10) == []
    found = by_meaning(ledger, settings, "car")
    assert set(names(found)) == {"a.pdf", "c.pdf"}
    garage = next(one for one in found if one.document.name == "a.pdf")
    assert garage.hit == Hit(papers["garage"], 2, "The automobile got brakes", (), 1)
    assert garage.by == ("meaning",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("car category:letter", {"c.pdf"}),
        ("car -category:letter", {"a.pdf"}),
        ("car date:2026-03-01..2026-03-05", {"a.pdf"}),
        ("car date:2025", set()),
        ("car -brakes", {"c.pdf"}),
        ('car -"as new"', {"a.pdf"}),
        ("car doctor category:letter -vehicle", {"b.pdf"}),
    ],
)
def test_filters_and_excluded_words_hold_for_meaning_too(
    ledger: Ledger, settings: Settings, papers: dict[str, str], text: str, expected: set[str]
) -> None:
    assert set(names(by_meaning(ledger, settings, text))) == expected


def test_the_pages_for_a_question_are_of_the_documents_that_are_given(
    ledger: Ledger, settings: Settings, papers: dict[str, str]
) -> None:
    vector = QueryVector(1, tuple(word_vector("car")))
    garage, dealer = papers["garage"], papers["dealer"]
    assert {page.document for page in pages_by_meaning(settings, ledger, vector)} == {garage, dealer}
    (only,) = pages_by_meaning(settings, ledger, vector, [garage, papers["tree"]])
    assert (only.document, only.page, only.start, only.end) == (garage, 2, 0, 25)
    assert pages_by_meaning(settings, ledger, vector, []) == []
    assert len(pages_by_meaning(settings, ledger, vector, count=1)) == 1
    assert pages_by_meaning(settings, ledger, QueryVector(99, vector.values)) == []


def test_a_document_that_the_ledger_has_no_more_is_not_found(
    ledger: Ledger, settings: Settings, papers: dict[str, str]
) -> None:
    ledger.db.execute("DELETE FROM documents WHERE id = ?", (papers["dealer"],))
    assert names(by_meaning(ledger, settings, "car")) == ["a.pdf"]


def found_in(rows: dict[str, DocumentRow], by: str, *order: str) -> list[Found]:
    return [Found(Hit(rows[name].id, 1, f"{by} {name}", (), 1), rows[name], (by,)) for name in order]


def test_what_both_found_comes_first_and_keeps_its_words(ledger: Ledger) -> None:
    for name in "abcd":
        read(ledger, name, "text")
    rows = {row.name: row for row in ledger.documents()}
    one_list = joined(found_in(rows, "words", *"abc"), found_in(rows, "meaning", *"dc"), 10)
    assert names(one_list) == ["c", "a", "d", "b"]
    assert one_list[0].by == ("words", "meaning")
    assert one_list[0].hit.snippet == "words c"
    assert [one.by for one in one_list[1:]] == [("words",), ("meaning",), ("words",)]
    assert names(joined(found_in(rows, "words", *"abc"), [], 2)) == ["a", "b"]
    assert names(joined([], found_in(rows, "meaning", *"ba"), 2)) == ["b", "a"]


def test_without_vectors_words_are_searched_as_ever_and_the_reason_is_said(
    ledger: Ledger, settings: Settings
) -> None:
    read(ledger, "a.pdf", "The car")
    search = search_both(settings, ledger, "car", 10, seconds=1)
    assert list(search.found) == find_documents(ledger, "car", 10)
    assert search.problem == "There are no vectors."
    assert not settings.vectors_path.exists()


@pytest.mark.parametrize("text", ['"notice period"', "category:invoice", "-draft", "", '"a" -b'])
def test_what_has_no_meaning_is_not_looked_for_by_it(ledger: Ledger, settings: Settings, text: str) -> None:
    assert meant(parse_query(text)) == ""
    assert "no word" in str(query_vector(settings, ledger, text, 1))


def test_what_is_meant_are_the_words_that_are_wanted() -> None:
    assert meant(parse_query('broken "heating pump" -draft category:letter')) == "broken heating pump"


# The model


def known(*models: str, **values: object) -> KnownModels:
    infos = tuple(embedding_info(name, **values) for name in models)
    return KnownModels(by_queue={"cpu": infos}, problem="" if infos else "Ollama is away.")


def chosen(found: Route | str) -> str:
    assert isinstance(found, Route), found
    assert found.on_cpu
    return found.model


def test_the_first_embedding_model_is_taken_and_kept(settings: Settings) -> None:
    assert chosen(embedding_model(known("one", "two"), settings)) == "one"
    assert chosen(embedding_model(known("one", "two:latest"), settings, "two")) == "two:latest"
    assert chosen(embedding_model(known("one"), settings, "gone")) == "one"


@pytest.mark.parametrize(
    ("models", "values", "setting", "problem"),
    [
        ((), {}, "", "Ollama is away."),
        (("chat",), {"capabilities": ("completion",)}, "", "no embedding model"),
        (("big",), {"parameters": 8_000_000_000}, "", "no embedding model"),
        (("far:cloud",), {"is_remote": True}, "", "no embedding model"),
        (("far:cloud",), {"is_remote": True}, "far:cloud", "cloud"),
        (("one",), {}, "two", "'two'"),
        (("one",), {}, "off", "switch it off"),
    ],
)
def test_why_there_is_no_model_is_said(
    settings: Settings, models: tuple[str, ...], values: dict[str, object], setting: str, problem: str
) -> None:
    wished = settings.model_copy(update={"embedding_model": setting})
    found = embedding_model(known(*models, **values), wished)
    assert isinstance(found, str)
    assert problem in found


def test_a_model_that_is_named_may_be_large_or_of_no_known_kind(settings: Settings) -> None:
    wished = settings.model_copy(update={"embedding_model": "big"})
    assert chosen(embedding_model(known("one", "big", capabilities=("completion",)), wished)) == "big"


def test_prefixes_are_those_of_the_model() -> None:
    assert prefixes("nomic-embed-text:v1.5") == ("search_document: ", "search_query: ")
    assert prefixes("hf.co/nomic-ai/nomic-embed-text-v1.5-GGUF")[1] == "search_query: "
    assert prefixes("snowflake-arctic-embed2:568m") == ("", "query: ")
    assert prefixes("snowflake-arctic-embed:33m")[1].startswith("Represent this sentence")
    assert prefixes("all-minilm:latest") == ("", "")


def test_the_extension_is_not_loaded_where_nobody_asks_for_it() -> None:
    source = "import sys, app.cli, tasks.home; print({'apsw', 'sqlite_vec', 'numpy'} & set(sys.modules))"
    ended = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=True, cwd=Path(ROOT)
    )
    assert ended.stdout.strip() == "set()"


def test_the_extension_is_the_one_of_the_package() -> None:
    import sqlite_vec  # type: ignore[import-untyped]

    assert extension_path() == sqlite_vec.loadable_path()
