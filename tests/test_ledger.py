"""The ledger: migrations, transactions, finding documents."""

import os
import sqlite3
from pathlib import Path

import pytest

from tasks.corrections import put_correction
from tasks.documents import Field, FieldStatus, Line, Page, State, TextSource
from tasks.errors import ConfigError, NotFoundError, ServiceError
from tasks.ledger import DocumentRow, Ledger
from tasks.said import corrections
from tasks.schema import MIGRATIONS
from tasks.settings import Settings
from tests.old_ledgers import make_old_ledger


def insert(ledger: Ledger, path: Path, sha256: str) -> DocumentRow:
    path.write_text("text")
    return ledger.insert_document(sha256, path.name, path, path.stat(), "builtin", urgent=False)


def test_opening_twice_keeps_what_is_there(settings: Settings, tmp_path: Path) -> None:
    with Ledger.open(settings) as ledger:
        document = insert(ledger, tmp_path / "a.txt", "ab" * 32)
        home = ledger.home
    with Ledger.open(settings) as ledger:
        assert ledger.document(document.id) == document
        assert ledger.home == home
        assert ledger.db.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)


def test_the_data_directory_is_private(settings: Settings, ledger: Ledger) -> None:
    assert settings.data_dir.stat().st_mode & 0o777 == 0o700


def test_a_newer_ledger_is_refused_and_left_alone(settings: Settings) -> None:
    with Ledger.open(settings) as ledger:
        ledger.db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with pytest.raises(ConfigError, match="newer Shoebox"):
        Ledger.open(settings)
    version = sqlite3.connect(settings.ledger_path).execute("PRAGMA user_version").fetchone()[0]
    assert version == len(MIGRATIONS) + 1


def test_a_ledger_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ServiceError, match=r"ledger\.sqlite3"):
        Ledger.open(Settings(data_dir=tmp_path / "file" / "data"))


def test_a_failed_transaction_leaves_nothing(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), ledger.transaction():
        insert(ledger, tmp_path / "a.txt", "ab" * 32)
        raise RuntimeError
    assert ledger.documents() == []


def test_ids_are_short_and_unique(ledger: Ledger, tmp_path: Path) -> None:
    first = insert(ledger, tmp_path / "a.txt", "12345678" + "a" * 56)
    second = insert(ledger, tmp_path / "b.txt", "12345678" + "b" * 56)
    assert (first.id, second.id) == ("12345678", "12345678bb")
    assert ledger.find("12345678") == first


def test_documents_are_found_by_beginning_and_by_name(ledger: Ledger, tmp_path: Path) -> None:
    first = insert(ledger, tmp_path / "a.txt", "12345678" + "a" * 56)
    insert(ledger, tmp_path / "b.txt", "12399999" + "b" * 56)
    assert ledger.find("1234") == first
    assert ledger.find("a.txt") == first
    for unclear in ("123", "zzz", "", "%", "_2345678"):
        with pytest.raises(NotFoundError):
            ledger.find(unclear)


def test_filters_combine(ledger: Ledger, tmp_path: Path) -> None:
    first = insert(ledger, tmp_path / "a.txt", "a" * 64)
    second = insert(ledger, tmp_path / "b.txt", "b" * 64)
    ledger.update_document(second.id, state=State.DONE)
    assert [d.id for d in ledger.documents(states=[State.DONE])] == [second.id]
    assert [d.id for d in ledger.documents(ids=[first.id, second.id])] == [first.id, second.id]
    assert ledger.documents(states=[State.DONE], ids=[first.id]) == []
    assert ledger.state_counts() == {State.WAITING: 1, State.DONE: 1}


def test_a_column_that_does_not_exist_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    document = insert(ledger, tmp_path / "a.txt", "a" * 64)
    with pytest.raises(ValueError, match="no such columns"):
        ledger.update_document(document.id, **{"state = 'done' --": 1})


def test_pages_and_fields_come_back_as_they_went(ledger: Ledger, tmp_path: Path) -> None:
    document = insert(ledger, tmp_path / "a.txt", "a" * 64)
    pages = [
        Page(number=1, text="Grüße\n", source=TextSource.LAYER, score=0.9),
        Page(
            number=2,
            text="x",
            source=TextSource.OCR,
            score=0.8,
            lines=(Line(text="x", box=(1, 2, 3, 4), confidence=0.8),),
            width=100,
            height=200,
            rotation=90,
            error="smudged",
        ),
    ]
    fields = [
        Field(name="total", value="2.50", quote="2,50", page=1, start=0, end=4, status=FieldStatus.VERIFIED),
        Field(name="date", value="", status=FieldStatus.MISSING),
    ]
    ledger.put_pages(document.id, pages)
    ledger.put_fields(document.id, fields)
    assert ledger.pages(document.id) == pages
    assert ledger.fields(document.id) == fields


def test_removing_a_document_removes_its_text_and_results(ledger: Ledger, tmp_path: Path) -> None:
    document = insert(ledger, tmp_path / "a.txt", "a" * 64)
    ledger.put_pages(document.id, [Page(number=1, text="secret", source=TextSource.LAYER, score=1)])
    ledger.put_result("key", document.sha256, {"text": "secret"})
    ledger.delete_document(document)
    assert ledger.result("key") is None
    assert ledger.db.execute("SELECT count(*) FROM pages").fetchone()[0] == 0


def test_a_path_of_any_bytes_comes_back(ledger: Ledger, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9 \xff.txt")
    path.write_text("text")
    document = ledger.insert_document("a" * 64, "name", path, path.stat(), "builtin", urgent=False)
    assert Path(os.fsdecode(document.path)) == path


def test_a_ledger_of_version_2_keeps_its_data_and_takes_corrections(settings: Settings) -> None:
    make_old_ledger(settings.ledger_path, 2)
    with Ledger.open(settings) as ledger:
        document, _ = ledger.documents()
        assert (document.id, document.name, document.language) == ("aa", "bill ä.pdf", "")
        [field] = ledger.fields("aa")
        assert (field.value, field.start, field.status) == ("119.00", 3, FieldStatus.VERIFIED)
        said = put_correction(ledger, document, "total", "119.00", "120.00")
        assert corrections(ledger, document.id) == [said]


def test_a_name_that_is_not_utf_8_is_found_as_it_was_given(ledger: Ledger, tmp_path: Path) -> None:
    """Python gives the byte that is wrong as a lone surrogate; in the ledger it is U+FFFD."""
    named = insert(ledger, tmp_path / "caf\ufffd.pdf", "ab" * 32)
    assert ledger.find("caf\udce9.pdf") == named
