"""The HTTP API over a real ledger: looking, deciding, finding, asking, batches, and how errors are told."""

import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.api.application import ROUTERS, create_app
from app.api.originals import disposition
from app.api.reference import reference_table
from tasks import batches
from tasks.batches import NewItem, enter_batch
from tasks.documents import State
from tasks.ledger import Ledger
from tasks.settings import Settings
from tests.api import TOKEN, api_client, files_below, take
from tests.system import ROOT
from tests.test_corrections import INVOICE, Desk

HOSTILE = "a\x1b[31m\u202ered\u2028<script>\x00"


@pytest.fixture
def api(settings: Settings) -> Iterator[TestClient]:
    with api_client(settings) as client:
        yield client


@pytest.fixture
def desk(ledger: Ledger, settings: Settings, tmp_path: Path) -> Desk:
    return Desk(ledger, settings, tmp_path)


def names(answer: Any) -> list[str]:
    return [one["name"] for one in answer.json()["documents"]]


def test_documents_are_listed_a_page_at_a_time(api: TestClient, ledger: Ledger) -> None:
    for number in range(5):
        assert api.post(f"/documents?name={number}.txt", content=f"{number}".encode()).status_code == 202
    ledger.update_document(ledger.documents()[1].id, state=State.REVIEW)
    first = api.get("/documents?limit=2")
    assert names(first) == ["0.txt", "1.txt"]
    second = api.get(f"/documents?limit=2&cursor={first.json()['next']}")
    last = api.get(f"/documents?limit=2&cursor={second.json()['next']}")
    assert names(second) == ["2.txt", "3.txt"]
    assert (names(last), last.json()["next"]) == (["4.txt"], None)
    assert names(api.get("/documents?newest_first=true&limit=1")) == ["4.txt"]
    assert names(api.get("/documents?state=review")) == ["1.txt"]
    assert len(names(api.get("/documents?state=review&state=waiting"))) == 5
    assert api.get("/documents?state=nonsense").status_code == 422


def test_a_result_has_each_value_with_the_words_it_came_from(api: TestClient, desk: Desk) -> None:
    document = desk.read(INVOICE)
    result = api.get(f"/documents/{document}/result").json()
    total = next(field for field in result["fields"] if field["name"] == "total")
    assert (total["value"], total["page"], total["status"]) == ("1234.50", 1, "verified")
    assert INVOICE[total["start"] : total["end"]] == total["quote"]
    assert (result["category"], result["amount"], result["engine"]) == ("invoice", "1234.50", "offline")
    assert result["calls"] is None
    assert api.get(f"/documents/{document}/result?trace=true").json()["calls"] == []
    assert api.get(f"/documents/{document}/text").json()["pages"][0]["text"] == INVOICE
    assert api.get(f"/documents/{document}/text?page=2").status_code == 404
    shown = api.get(f"/documents/{document}").json()
    assert shown.items() <= result.items()
    progress = api.get(f"/documents/{document}/progress").json()
    assert (progress["done"], progress["planned"]) == (0, 0) and not progress.keys() - {
        *("id", "state", "stage", "ended", "done", "planned")
    }


def test_polling_costs_nothing_until_something_changes(api: TestClient, ledger: Ledger) -> None:
    api.post("/documents?name=a.txt", content=b"a")
    document = ledger.documents()[0].id
    for path in (f"/documents/{document}", f"/documents/{document}/result", "/documents", "/batches"):
        first = api.get(path)
        known = {"If-None-Match": f'"other", {first.headers["ETag"]}'}
        again = api.get(path, headers=known)
        assert (again.status_code, again.content) == (304, b"")
    tag = api.get(f"/documents/{document}").headers["ETag"]
    ledger.update_document(document, state=State.RUNNING)
    changed = api.get(f"/documents/{document}", headers={"If-None-Match": tag})
    assert (changed.status_code, changed.json()["state"]) == (200, "running")


def test_an_original_is_given_only_while_it_is_what_was_read(
    api: TestClient, ledger: Ledger, settings: Settings, tmp_path: Path
) -> None:
    file = tmp_path / "bill.txt"
    file.write_text("as it was")
    document = take(settings, file)
    assert api.get(f"/documents/{document}/original").text == "as it was"
    file.write_text("another file of that name")
    assert api.get(f"/documents/{document}/original").text == "as it was"  # the copy in the spool
    (spooled,) = files_below(settings.spool_dir)
    spooled.unlink()
    gone = api.get(f"/documents/{document}/original")
    assert gone.status_code == 410 and str(tmp_path) not in gone.text
    file.unlink()
    file.symlink_to("/etc/hostname")
    assert api.get(f"/documents/{document}/original").status_code == 410


def test_no_name_breaks_out_of_the_header_of_a_download() -> None:
    for name in ('a"; filename="b.exe', "a\r\nSet-Cookie: x", "Rechnung März.pdf", "\u202efdp.exe", ""):
        said = disposition(name)
        assert said.isascii() and said.isprintable() and said.count('"') == 2 and said.count(";") == 2
    assert disposition("Rechnung März.pdf").endswith("filename*=UTF-8''Rechnung%20M%C3%A4rz.pdf")


def test_what_people_decide_is_entered(api: TestClient, desk: Desk) -> None:
    document = desk.read(INVOICE)
    changed = api.patch(f"/documents/{document}", json={"fields": {"total": "1.037,39"}})
    assert (changed.status_code, changed.json()["amount"]) == (200, "1037.39")
    [said] = api.get(f"/documents/{document}/result").json()["corrections"]
    assert (said["field"], said["old"], said["new"]) == ("total", "1234.50", "1037.39")
    accepted = api.post(f"/documents/{document}/accept")
    assert (accepted.status_code, accepted.json()["state"]) == (200, "done")
    assert api.post(f"/documents/{document}/cancel").json()["state"] == "done"
    assert api.post(f"/documents/{document}/urgent").status_code == 409
    again = api.post(f"/documents/{document}/retry", json={"urgent": True})
    # What is known of its content is not computed again.
    assert (again.status_code, again.json()["state"], again.json()["urgent"]) == (202, "done", True)
    assert again.json()["amount"] == "1037.39"


def test_what_is_still_read_can_be_stopped_or_hurried_but_not_corrected(api: TestClient) -> None:
    document = api.post("/documents?name=a.txt", content=b"a").json()["documents"][0]["id"]
    assert api.post(f"/documents/{document}/urgent").json()["urgent"] is True
    calm = api.post(f"/documents/{document}/urgent", json={"urgent": False})
    assert calm.json()["urgent"] is False
    assert api.patch(f"/documents/{document}", json={"category": "letter"}).status_code == 409
    assert api.post(f"/documents/{document}/accept").status_code == 409
    assert api.post(f"/documents/{document}/cancel").json()["state"] == "cancelled"


def test_a_correction_that_is_wrong_says_which_were_entered(api: TestClient, desk: Desk) -> None:
    document = desk.read(INVOICE)
    fields = {"seller": "Südlicht AG", "nonsense": "x"}
    answer = api.patch(f"/documents/{document}", json={"fields": fields})
    assert answer.status_code == 422 and answer.json()["entered"] == ["seller"]
    assert desk.row(document).party == "Südlicht AG"
    assert api.patch(f"/documents/{document}", json={}).status_code == 422
    assert api.patch(f"/documents/{document}", json={"path": "/etc"}).status_code == 422


def test_documents_are_found_exported_and_asked(api: TestClient, desk: Desk) -> None:
    document = desk.read(INVOICE)
    [found] = api.get("/search", params={"q": "stromlieferung category:invoice"}).json()["found"]
    assert (found["document"]["id"], found["page"], found["found_by"]) == (document, 1, ["words"])
    begin, end = found["marks"][0]
    assert found["snippet"][begin:end] == "Stromlieferung"
    table = api.get("/export")
    assert table.headers["content-disposition"] == 'attachment; filename="shoebox.csv"'
    assert table.text.splitlines()[1].startswith(f"{document},")
    assert json.loads(api.get("/export?format=jsonl").text)["id"] == document
    assert api.get("/export?format=md&state=failed").text.startswith("# Documents")
    asked = api.post("/ask", json={"question": "Wie hoch ist der Rechnungsbetrag?"})
    assert asked.status_code == 200, asked.text
    answer = asked.json()
    assert answer["state"] == "unanswered" and "model" in answer["note"]
    assert answer["passages"][0]["document"] == document
    assert api.get(asked.headers["Location"]).json() == answer
    events = api.get(f"{asked.headers['Location']}/events").text
    assert events.startswith("id: 0\nevent: end\n")
    assert api.delete(asked.headers["Location"]).status_code == 204
    assert api.post("/ask", json={"question": "?!"}).status_code == 422
    assert api.get("/ask/none").status_code == 404


def test_a_text_is_an_urgent_document(api: TestClient, ledger: Ledger) -> None:
    answer = api.post("/classify", json={"text": INVOICE, "name": "../x"})
    [document] = ledger.documents()
    assert (answer.status_code, answer.json()["category"]) == (202, "")
    assert answer.headers["Location"] == f"/documents/{document.id}/result"
    assert (document.urgent, document.name) == (True, "x.txt")
    ledger.update_document(document.id, state=State.DONE, category="invoice", confidence=0.9, title="Bill")
    known = api.post("/summarise", json={"text": INVOICE}, headers={"Prefer": "respond-async, wait=60"})
    assert (known.status_code, known.json()["title"], known.json()["category"]) == (200, "Bill", "invoice")
    assert len(ledger.documents()) == 1
    for body in ({"text": ""}, {"text": "x", "more": 1}, {"text": "x" * 1_000_001}, {}):
        assert api.post("/classify", json=body).status_code == 422


def test_a_batch_has_partial_results_and_adds_up_when_all_has_ended(
    api: TestClient, ledger: Ledger, tmp_path: Path
) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    for name in ("a.txt", "b.txt", ".hidden"):
        (folder / name).write_text(name)
    texts = [{"name": "t", "text": "Rent"}, {"text": "a.txt"}]
    asked = {"name": "March", "paths": [str(folder), str(tmp_path / "none")], "texts": texts}
    answer = api.post("/batches", json=asked)
    assert answer.status_code == 202, answer.text
    place = answer.headers["Location"]
    assert answer.json()["total"] == 6 and answer.json()["states"] == {"refused": 2, "waiting": 4}
    first, second, third = ledger.documents()
    ledger.update_document(first.id, state=State.DONE, category="invoice", amount="10.00", currency="EUR")
    partial = api.get(place).json()
    assert (partial["ended"], partial["aggregate"]) == (4, None)
    hidden, begun = partial["items"][:2]
    assert (hidden["state"], hidden["document"], begun["document"]["amount"]) == ("refused", None, "10.00")
    ledger.update_document(second.id, state=State.FAILED, message="Needs a password.", remedy="Remove it.")
    ledger.update_document(third.id, state=State.REVIEW, category="invoice", amount="2.50", currency="EUR")
    whole = api.get(place).json()["aggregate"]
    assert whole["states"] == {"done": 2, "failed": 1, "refused": 2, "review": 1}
    assert whole["amounts"] == {"EUR": "12.50"}  # what was handed in twice counts once
    assert {"category": "invoice", "documents": 2, "amounts": {"EUR": "12.50"}} in whole["categories"]
    assert [(one["name"], one["detail"]) for one in whole["failures"]] == [
        (".hidden", "Passed over: hidden or a system file."),
        ("b.txt", "Needs a password."),
        ("none", f"{tmp_path / 'none'} does not exist."),
    ]
    assert api.delete(f"/documents/{second.id}").status_code == 204
    assert api.get(place).json()["states"]["removed"] == 1
    assert api.get("/batches").json()["batches"][0]["name"] == "March"
    assert api.post(f"{place}/cancel").status_code == 200
    assert api.delete(place).status_code == 204
    assert api.get(place).status_code == 404 and len(ledger.documents()) == 2


def test_batches_that_are_too_many_are_forgotten(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "KEPT_BATCHES", 2)
    kept = [enter_batch(ledger, str(number), [NewItem("x", None, "refused")]) for number in range(4)]
    assert [row.id for row in batches.batches(ledger, None, 9)] == [kept[3].id, kept[2].id]
    assert ledger.db.execute("SELECT count(*) FROM batch_items").fetchone()[0] == 2


def test_whether_it_is_up_is_told_apart_from_whether_it_is_ready(api: TestClient) -> None:
    assert api.get("/health").json() == {"status": "alive"}
    answer = api.get("/ready")
    assert answer.status_code == 503
    assert (answer.json()["ledger"], answer.json()["redis"]) == (True, False)
    assert answer.json()["detail"] == "Not ready: redis, home worker."
    assert api.get("/version").json()["version"]


REFUSED = [
    ("GET", "/nothing", 404),
    ("GET", "/documents/00000000", 404),
    ("GET", "/documents/..%2f..%2fetc%2fpasswd", 404),
    ("POST", "/documents/zz/cancel", 404),
    ("PATCH", "/documents", 405),
    ("GET", "/search", 422),
    ("GET", "/documents?limit=0", 422),
    ("GET", "/documents?cursor=-1", 422),
    ("GET", "/documents?cursor=99999999999999999999", 422),
    ("POST", "/ask", 422),
    ("GET", "/batches/none", 404),
    ("DELETE", "/ask/none", 404),
]


def test_every_error_is_a_problem_with_a_remedy(api: TestClient) -> None:
    for method, path, status in REFUSED:
        answer = api.request(method, path)
        body = answer.json()
        assert (answer.status_code, body["status"]) == (status, status), path
        assert answer.headers["content-type"] == "application/problem+json"
        assert body["type"].startswith("urn:shoebox:problem:") and body["detail"] and body["remedy"]
        if status == 405:
            assert answer.headers["allow"] == "GET, POST"


def test_bodies_that_are_not_as_described_are_refused(api: TestClient) -> None:
    lone = b"\\ud800"  # half of a character: JSON can say it, no text can hold it
    bodies = [
        b'{"question": "a%s?", "text": "%s", "texts": [{"text": "%s"}], "path": "/%s"}' % ((lone,) * 4),
        b'{"question": "a%s?"}' % lone,
        b'{"text": "%s x"}' % lone,
        b'{"texts": [{"text": "%s"}]}' % lone,
        b'{"path": "/%s"}' % lone,
        b'{"paths": ["/\\u0000"]}',
        b'{"question": NaN}',
        b"\xff\xfe",
        b"null",
        b"[" * 5_000,
        b"",
    ]
    for path, body in product(("/ask", "/classify", "/batches", "/documents"), bodies):
        answer = api.post(path, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code in {400, 422}, (path, body, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"


def test_no_search_is_too_strange(api: TestClient) -> None:
    for query in (
        "\x00",
        '"',
        "-",
        "NEAR(a",
        "a*",
        "category:",
        "date:..",
        "amount:>",
        '"a" OR b',
        "{",
        "\ufffd",
    ):
        assert api.get("/search", params={"q": query}).status_code == 200, query


def test_a_fault_of_ours_is_told_without_its_words(
    api: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret words of /home/me")

    monkeypatch.setattr("app.api.routes.documents.existing_document", broken)
    answer = api.get("/documents/12345678")
    assert answer.status_code == 500 and "secret" not in answer.text and "Traceback" not in answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert "secret words" in caplog.text


def test_where_shoebox_keeps_its_files_is_not_told(
    api: TestClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.spool.copy_hashed", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    answer = api.post("/documents?name=a.txt", content=b"x")
    assert answer.status_code == 503 and "Retry-After" in answer.headers
    assert str(settings.data_dir) not in answer.text and "space" in answer.json()["remedy"]


def test_what_a_document_says_acts_on_no_terminal(api: TestClient, ledger: Ledger) -> None:
    api.post("/documents?name=a.txt", content=b"x")
    document = ledger.documents()[0].id
    ledger.update_document(document, title=HOSTILE, message=HOSTILE)
    for path in (f"/documents/{document}", "/documents", f"/documents/{document}/result"):
        text = api.get(path).text
        assert not any(sign in text for sign in "\x1b\u202e\u2028\x00")
    assert api.get(f"/documents/{document}").json()["title"] == HOSTILE


def test_a_large_body_that_is_no_file_is_refused(api: TestClient) -> None:
    for path in ("/ask", "/classify", "/documents", "/batches"):
        answer = api.post(path, content=b"x" * 9_000_000, headers={"Content-Type": "application/json"})
        assert answer.status_code == 413, path


def test_the_docs_list_what_there_is(settings: Settings) -> None:
    described = create_app(settings, TOKEN, needs_token=False).openapi()
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert reference_table(described) in page, "make it anew: python -m app.api.reference docs/api.md"


def test_every_operation_is_described(settings: Settings) -> None:
    described = create_app(settings, TOKEN, needs_token=False).openapi()
    operations = [one for path in described["paths"].values() for one in path.values()]
    assert len(operations) == sum(len(module.router.routes) for module in ROUTERS)
    assert len({one["operationId"] for one in operations}) == len(operations)
    tags = {tag["name"] for tag in described["tags"]}
    for one in operations:
        assert one["summary"] and one["description"] and set(one["tags"]) <= tags
        assert "application/problem+json" in one["responses"]["default"]["content"]
        assert "422" not in one["responses"] or "Problem" in str(one["responses"]["422"])
    assert "HTTPValidationError" not in str(described)


def test_the_page_of_what_there_is_loads_nothing(api: TestClient) -> None:
    page = api.get("/docs")
    assert (
        "POST /documents" in page.text
        and "<script" not in page.text
        and "http" not in page.text.split("<h1>")[1]
    )
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert api.get("/redoc").status_code == 404
