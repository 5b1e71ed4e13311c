"""The rows of the In-tray: filtered, sorted, counted, marked; without a terminal."""

import hashlib
from pathlib import Path
from typing import Any

from app.tui.columns import COLUMNS, age, columns_at, stage_bar, units_words
from app.tui.store import DocumentStore, Filter, Sort
from tasks.documents import Stage, State
from tasks.ledger import Ledger
from tasks.overview import overviews
from tasks.units import UnitPlan, mark_ended, plan_units


def enter(ledger: Ledger, name: str, **columns: Any) -> str:
    """A document in the ledger; returns its id."""
    sha256 = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    stat = Path(__file__).stat()
    document = ledger.insert_document(sha256, name, Path("/p") / sha256, stat, "builtin", urgent=False)
    if columns:
        ledger.update_document(document.id, **columns)
    return document.id


def names(store: DocumentStore) -> list[str]:
    """What is shown, in order."""
    return [row.name for document in store.view if (row := store.get(document))]


def test_the_newest_document_comes_first(ledger: Ledger) -> None:
    enter(ledger, "old.pdf")
    enter(ledger, "new.pdf")
    store = DocumentStore()
    store.load(ledger)
    assert names(store) == ["new.pdf", "old.pdf"]


def test_filters_show_their_states_and_count_all(ledger: Ledger) -> None:
    for name, state in (
        ("a", State.WAITING),
        ("b", State.RUNNING),
        ("c", State.REVIEW),
        ("d", State.DONE),
        ("e", State.FAILED),
        ("f", State.QUARANTINED),
        ("g", State.CANCELLED),
    ):
        enter(ledger, name, state=state)
    store = DocumentStore()
    store.load(ledger)
    shown = {}
    for chosen in Filter:
        store.show(chosen)
        shown[chosen] = sorted(names(store))
        assert store.count(chosen) == len(shown[chosen])
    assert shown == {
        Filter.ALL: list("abcdefg"),
        Filter.REVIEW: ["c"],
        Filter.READING: ["a", "b"],
        Filter.DONE: ["d"],
        Filter.FAILED: ["e", "f", "g"],
    }


def test_amounts_sort_as_numbers(ledger: Ledger) -> None:
    for name, amount in (("nine", "9.00"), ("ten", "10.00"), ("none", ""), ("two", "-2.5")):
        enter(ledger, name, amount=amount)
    store = DocumentStore()
    store.load(ledger)
    store.show(sort=Sort.AMOUNT, descending=True)
    assert names(store) == ["ten", "nine", "two", "none"]


def test_every_order_can_be_chosen_and_turned_round(ledger: Ledger) -> None:
    for number in range(5):
        enter(
            ledger, f"{number}.pdf", party=f"P{number % 3}", date=f"2026-0{number + 1}-01", category="letter"
        )
    store = DocumentStore()
    store.load(ledger)
    for sort in Sort:
        store.show(sort=sort, descending=False)
        upwards = names(store)
        store.show(sort=sort, descending=True)
        assert names(store) == upwards[::-1]


def test_a_change_is_seen_counted_and_put_in_its_place(ledger: Ledger) -> None:
    first = enter(ledger, "first.pdf")
    enter(ledger, "second.pdf")
    store = DocumentStore()
    store.load(ledger)
    store.show(Filter.READING)
    before = store.arrangement
    ledger.update_document(first, message="still waiting")
    assert store.refresh(ledger, {first}) == {first}
    assert store.arrangement == before, "a message moves no row"
    ledger.update_document(first, state=State.DONE)
    assert store.refresh(ledger, {first, "unknown"}) == {first}
    assert names(store) == ["second.pdf"]
    assert (store.count(Filter.READING), store.count(Filter.DONE)) == (1, 1)
    assert store.arrangement != before


def test_nothing_new_is_no_change(ledger: Ledger) -> None:
    document = enter(ledger, "a.pdf")
    store = DocumentStore()
    assert store.load(ledger) == {document}
    assert store.load(ledger) == frozenset()
    assert store.refresh(ledger, {document}) == frozenset()


def test_a_removed_document_is_gone_with_its_mark(ledger: Ledger) -> None:
    document = enter(ledger, "a.pdf")
    other = enter(ledger, "b.pdf")
    store = DocumentStore()
    store.load(ledger)
    store.toggle_mark(document)
    row = ledger.document(document)
    assert row is not None
    ledger.delete_document(row)
    assert store.refresh(ledger, {document}) == {document}
    assert (store.view, store.marked, store.get(document)) == ([other], set(), None)
    assert store.count(Filter.ALL) == 1


def test_marks_are_for_what_is_shown(ledger: Ledger) -> None:
    done = enter(ledger, "done.pdf", state=State.DONE)
    enter(ledger, "failed.pdf", state=State.FAILED)
    store = DocumentStore()
    store.load(ledger)
    store.show(Filter.DONE)
    store.toggle_marks()
    assert store.marked == {done}
    store.toggle_marks()
    assert store.marked == set()


def test_neighbours_follow_the_view(ledger: Ledger) -> None:
    old, new = enter(ledger, "old"), enter(ledger, "new")
    store = DocumentStore()
    store.load(ledger)
    assert store.neighbour(new, 1) == old
    assert store.neighbour(old, -1) == new
    assert store.neighbour(old, 1) is None
    assert store.neighbour(new, -1) is None
    assert store.neighbour("unknown", 1) is None


def test_the_bar_shows_units_ended_of_units_planned(ledger: Ledger) -> None:
    document = enter(ledger, "scan.pdf", state=State.RUNNING, stage=Stage.OCR)
    row = ledger.document(document)
    assert row is not None
    plan = UnitPlan(Stage.OCR, "gpu", "", {"sha256": "", "mime": "", "pages": [1]}, "")
    units = plan_units(ledger, row, [plan] * 4)
    mark_ended(ledger, units[0].id, State.DONE)
    (seen,) = overviews(ledger, [document])
    assert units_words(seen) == "ocr 1/4"
    assert stage_bar(seen) == "━━────── ocr 1/4"


def test_columns_fit_every_width() -> None:
    for width in range(40, 300):
        shown = columns_at(width)
        assert 2 + sum(cells for _, cells in shown) + len(shown) - 1 <= width, width
        assert len({column.title for column, _ in shown}) == len(shown)
    assert {column.title for column, _ in columns_at(200)} == {column.title for column in COLUMNS}
    assert "name" in {column.title for column, _ in columns_at(80)}


def test_age_has_four_characters_at_most() -> None:
    import time

    now = time.time()
    ages = [age(now - seconds) for seconds in (-5, 3, 61, 3_700, 90_000, 86_400 * 9, 86_400 * 4_000)]
    assert ages == ["now", "now", "1m", "1h", "1d", "1w", "571w"]
