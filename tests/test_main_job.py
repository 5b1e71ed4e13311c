"""The main job as a user does it: files in, rows out, on real services."""

import csv
import json
from pathlib import Path

import pytest

from tasks.documents import State
from tasks.errors import ExitCode
from tests import samples
from tests.samples import papers, scans, trouble
from tests.system import System, states_of

pytestmark = [pytest.mark.ocr, pytest.mark.timeout(600)]

MIXED_BAG = (
    "invoice-en.pdf",
    "invoice-de.pdf",
    "letter.pdf",
    "contract.pdf",
    "scanned-invoice.pdf",
    "mixed.pdf",
    "fax.tiff",
    "photo.heic",
    "letter.docx",
    "budget.xlsx",
    "mail-with-invoice.eml",
    "page.html",
    "notes.txt",
    "truncated.pdf",
    "encrypted.pdf",
    "encrypted.docx",
    "unknown.bin",
    "empty.pdf",
)


@pytest.fixture(scope="module")
def bag(system: System) -> Path:
    """A folder of files of many kinds, added and read to the end."""
    folder = system.folder / "my papers"
    folder.mkdir()
    for name in MIXED_BAG:
        samples.make(name, folder)
    done = system.run("add", folder, "--wait", check=False)
    assert done.returncode == ExitCode.UNFINISHED, done.stderr
    return folder


def test_every_file_ends_in_a_state_with_words(system: System, bag: Path) -> None:
    documents = {document.name: document for document in system.documents()}
    assert documents.keys() == set(MIXED_BAG)
    failed = {name for name, document in documents.items() if document.state is State.FAILED}
    assert failed == {"truncated.pdf", "encrypted.pdf", "encrypted.docx", "unknown.bin", "empty.pdf"}
    for name in failed:
        assert name in documents[name].message
        assert documents[name].remedy
    assert "password" in documents["encrypted.pdf"].message
    assert all(
        document.state in {State.DONE, State.REVIEW}
        for name, document in documents.items()
        if name not in failed
    )


def test_rows_hold_what_the_documents_say(system: System, bag: Path) -> None:
    rows = {row["name"]: row for row in system.json("ls")}
    for name in ("invoice-en.pdf", "invoice-de.pdf", "scanned-invoice.pdf"):
        truth = samples.TRUTH[name]
        found = rows[name]
        assert (found["category"], found["date"], found["amount"], found["currency"]) == (
            "invoice",
            truth["date"],
            truth["total"],
            truth["currency"],
        )
        assert found["provisional"]
    assert rows["letter.pdf"]["category"] == "letter"


def test_a_scan_shows_where_its_text_comes_from(system: System, bag: Path) -> None:
    record = system.json("show", "mixed.pdf")
    assert [page["source"] for page in record["page_texts"]] == ["text layer", "ocr"]
    assert all(page["text"] for page in record["page_texts"])


def test_every_quote_is_where_it_says(system: System, bag: Path) -> None:
    records = [json.loads(line) for line in system.run("export", "--format", "jsonl").stdout.splitlines()]
    assert {record["name"] for record in records} == set(MIXED_BAG)
    quoted = 0
    for record in records:
        texts = {page["number"]: page["text"] for page in record["page_texts"]}
        for field in record["fields"]:
            if field["status"] == "verified":
                quoted += 1
                assert texts[field["page"]][field["start"] : field["end"]] == field["quote"]
    assert quoted > 10


def test_show_prints_fields_summary_and_pages(system: System, bag: Path) -> None:
    text = system.run("show", "invoice-en.pdf").stdout
    assert samples.TRUTH["invoice-en.pdf"]["total"] in text
    assert "page 1: text layer" in text
    assert "provisional" in text
    assert "Invoice" in system.run("show", "invoice-en.pdf", "--text").stdout


def test_the_same_files_are_known_the_second_time(system: System, bag: Path) -> None:
    before = system.documents()
    done = system.run("add", bag / "letter.pdf", bag / "notes.txt", "--wait")
    assert "0 new, 2 known already" in done.stderr
    assert system.documents() == before


def test_retry_of_a_document_that_was_read_computes_nothing_again(system: System, bag: Path) -> None:
    document = next(d for d in system.documents() if d.name == "scanned-invoice.pdf")
    system.run("retry", document.id, "--wait")
    assert {unit.message for unit in system.units(document.id)} == {"known result"}


def test_exports_hold_every_document(system: System, bag: Path) -> None:
    rows = list(csv.DictReader(system.run("export").stdout.splitlines()))
    assert {row["name"] for row in rows} >= set(MIXED_BAG)
    records = [json.loads(line) for line in system.run("export", "--format", "jsonl").stdout.splitlines()]
    assert len(records) == len(rows)
    assert next(r for r in records if r["name"] == "notes.txt")["page_texts"][0]["text"]
    target = system.folder / "table.md"
    system.run("export", "--format", "md", "--output", target, "--state", "failed")
    assert target.read_text().count("| failed |") == 5


def test_status_counts_documents_and_names_workers(system: System, bag: Path) -> None:
    status = system.json("status")
    assert status["documents"]["failed"] == 5
    assert sorted(queue for worker in status["workers"] for queue in worker["queues"]) == [
        "cpu",
        "gpu",
        "home",
    ]
    assert status["problems"] == []


def test_cancel_and_retry_of_a_long_scan(system: System, tmp_path: Path) -> None:
    path = tmp_path / "long scan.pdf"
    path.write_bytes(scans.scanned(pages=5, seed=99, lines=4))
    system.run("add", path)
    document = next(d for d in system.documents() if d.name == path.name)
    system.await_true(lambda: system.running_pids("ocr", "gpu"), what="OCR has begun")
    assert "cancelled" in system.run("cancel", document.id).stdout
    assert states_of(system.documents())[path.name] is State.CANCELLED
    system.run("retry", document.id, "--wait")
    assert states_of(system.documents())[path.name] in {State.DONE, State.REVIEW}


def test_an_urgent_document_overtakes(system: System, tmp_path: Path) -> None:
    scan, letter = tmp_path / "slow.pdf", tmp_path / "urgent.png"
    scan.write_bytes(scans.scanned(pages=9, seed=5, lines=4))
    letter.write_bytes(samples.SAMPLES["page.png"]())
    system.run("add", scan)
    system.await_true(lambda: system.running_pids("ocr", "gpu"), what="OCR has begun")
    system.run("add", letter, "--urgent", "--wait")
    assert states_of(system.documents())[scan.name] is State.RUNNING
    system.run("cancel", scan.name)


def test_hostile_names_are_read_and_shown_as_text(system: System, tmp_path: Path) -> None:
    paths = trouble.make_hostile_names(tmp_path / "names")
    done = system.run("add", tmp_path / "names", "--wait", check=False)
    assert f"{len(paths)} new" in done.stderr or "known already" in done.stderr
    for output in (done.stdout, system.run("ls").stdout, system.run("status").stdout):
        assert "\x1b" not in output
        assert "\u202e" not in output


def test_removing_forgets_and_leaves_the_file(system: System, tmp_path: Path) -> None:
    path = tmp_path / "receipt.pdf"
    path.write_bytes(papers.receipt())
    system.run("add", path, "--wait")
    system.run("rm", path.name, "--yes")
    assert path.exists()
    gone = system.run("show", path.name, check=False)
    assert gone.returncode == ExitCode.NOT_FOUND
    assert path.name in gone.stderr
