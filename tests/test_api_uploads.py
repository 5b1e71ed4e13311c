"""Handing in files by HTTP: where they go, what they are called, what is refused, what is left behind."""

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from app.api.application import create_app
from app.api.uploads import tidy_uploads
from tasks import answered
from tasks.errors import ServiceError
from tasks.home import Home
from tasks.ledger import Ledger
from tasks.settings import Settings
from tests.api import BEARER, ELSEWHERE, TOKEN, Message, api_client, asgi_call, files_below, in_loop, take

HOSTILE_NAMES = [
    "../../../etc/passwd",
    "..\\..\\boot.ini",
    "/etc/shadow",
    "C:\\Users\\me\\x.pdf",
    "CON",
    "nul.txt",
    ".",
    "..",
    ".bashrc",
    "-rf.txt",
    "a\x1b[31mred.txt",
    "\u202efdp.exe",
    "x" * 600 + ".pdf",
    "\U0001f4c4" * 200,
    "ends in dots...",
    "%2e%2e%2fx.txt",
    "`rm -rf`;$(x).txt",
]


@pytest.fixture
def api(settings: Settings) -> Iterator[TestClient]:
    with api_client(settings) as client:
        yield client


def test_files_of_a_form_become_documents_whose_originals_are_private(
    api: TestClient, settings: Settings, ledger: Ledger
) -> None:
    files = [("file", ("a bill.txt", b"Rechnung 1")), ("file", ("b.txt", b"Brief 2"))]
    answer = api.post("/documents", files=files, data={"urgent": "true"})
    assert answer.status_code == 202, answer.text
    taken = answer.json()["documents"]
    assert [one["name"] for one in taken] == ["a bill.txt", "b.txt"]
    assert answer.headers["Location"] == f"/documents/{taken[0]['id']}"
    assert all(row.urgent for row in ledger.documents())
    stored = files_below(settings.uploads_dir)
    assert sorted(path.read_bytes() for path in stored) == [b"Brief 2", b"Rechnung 1"]
    assert {path.stat().st_mode & 0o777 for path in stored} == {0o600}
    assert {path.parent.stat().st_mode & 0o777 for path in stored} == {0o700}


def test_no_name_leads_out_of_its_folder(api: TestClient, settings: Settings) -> None:
    before: set[Path] = set()
    for name in HOSTILE_NAMES:
        answer = api.post("/documents", params={"name": name}, content=name.encode())
        assert answer.status_code == 202, (name, answer.text)
        (stored,) = set(files_below(settings.uploads_dir)) - before
        before.add(stored)
        assert stored.parent.parent == settings.uploads_dir
        assert stored.read_bytes() == name.encode()
        assert stored.name.isprintable() and len(os.fsencode(stored.name)) < 256
        assert stored.name[0] not in ".-~" and not stored.name.upper().startswith(("CON", "NUL"))
        document = answer.json()["documents"][0]["id"]
        download = api.get(f"/documents/{document}/original")
        assert download.content == name.encode()
        said = download.headers["content-disposition"]
        assert said.startswith('attachment; filename="') and said.count('"') == 2 and "\r" not in said
        assert download.headers["x-content-type-options"] == "nosniff"


def test_known_content_is_recognised_and_leaves_no_second_file(api: TestClient, settings: Settings) -> None:
    first = api.post("/documents?name=a.txt", content=b"the same").json()["documents"][0]
    again = api.post("/documents?name=b.txt", content=b"the same")
    assert again.status_code == 200
    assert again.json()["documents"][0] == {**first, "name": "b.txt", "new": False}
    assert [path.name for path in files_below(settings.uploads_dir)] == ["a.txt"]


def test_files_never_lie_in_the_temporary_folder(
    api: TestClient, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = tmp_path / "no such folder"
    monkeypatch.setattr(tempfile, "tempdir", str(nowhere))
    big = b"private " * 400_000
    assert api.post("/documents", files={"file": ("big.txt", big)}).status_code == 202
    assert not nowhere.exists()
    assert files_below(settings.uploads_dir)[0].read_bytes() == big


def _pieces(count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield b"x" * 10_000


def test_what_is_too_large_is_refused_and_nothing_of_it_stays(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", max_file_bytes=50_000)
    with api_client(settings) as api:
        announced = api.post("/documents?name=a.txt", content=b"x" * 2_000_000)
        streamed = api.post("/documents?name=a.txt", content=_pieces(8))
        in_form = api.post("/documents", files={"file": ("a.txt", b"x" * 60_000)})
        fits = api.post("/documents?name=a.txt", content=_pieces(5))
    for refused in (announced, streamed, in_form):
        assert refused.status_code == 413, refused.text
        assert "SHOEBOX_MAX_FILE_BYTES" in refused.json()["remedy"]
    assert fits.status_code == 202
    assert len(files_below(settings.uploads_dir)) == 1


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b"no form at all"),
        ("multipart/form-data; boundary=" + "b" * 2000, b"x"),
        ("multipart/form-data; boundary=b", b"--b\r\n\r\nno name\r\n--b--\r\n"),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\ncut o',
        ),
        ("application/x-www-form-urlencoded", b"path=/etc/passwd"),
        ("", b"bytes without a name"),
    ],
)
def test_a_body_that_is_no_form_is_refused_and_leaves_nothing(
    api: TestClient, settings: Settings, kind: str, body: bytes
) -> None:
    answer = api.post("/documents", content=body, headers={"Content-Type": kind} if kind else {})
    assert answer.status_code in {400, 415}, answer.text
    assert answer.json()["remedy"]
    assert not files_below(settings.uploads_dir)


def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind(settings: Settings) -> None:
    app = create_app(settings, TOKEN, needs_token=False)

    async def bodies() -> AsyncIterator[Message]:
        yield {"type": "http.request", "body": b"x" * 3_000_000, "more_body": True}
        assert files_below(settings.uploads_dir)
        yield {"type": "http.disconnect"}

    async def leave() -> list[Message]:
        async with app.router.lifespan_context(app):
            return await asgi_call(app, "POST", "/documents?name=a.txt", {}, bodies())

    assert in_loop(leave) == []
    assert not files_below(settings.uploads_dir)


def test_a_client_that_stops_sending_is_given_up(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.api.gate.SILENCE_SECONDS", 0.05)
    app = create_app(settings, TOKEN, needs_token=False)

    async def bodies() -> AsyncIterator[Message]:
        yield {"type": "http.request", "body": b"x", "more_body": True}
        await asyncio.Event().wait()

    async def stall() -> list[Message]:
        async with app.router.lifespan_context(app):
            return await asgi_call(app, "POST", "/documents?name=a.txt", {}, bodies())

    assert in_loop(stall)[0]["status"] == 408
    assert not files_below(settings.uploads_dir)


def test_a_file_is_named_by_its_path_only_where_that_is_allowed(tmp_path: Path, settings: Settings) -> None:
    file = tmp_path / "here.txt"
    file.write_text("read where it lies")
    closed = settings.model_copy(update={"api_paths": False})
    with api_client(settings) as here, api_client(settings, client=ELSEWHERE) as elsewhere:
        assert elsewhere.post("/documents", json={"path": str(file)}, headers=BEARER).status_code == 403
        answer = here.post("/documents", json={"path": str(file), "urgent": True})
        assert answer.status_code == 202
        assert here.post("/documents", json={"path": str(tmp_path)}).status_code == 422
        assert here.post("/documents", json={"path": "here.txt"}).status_code == 422
        missing = here.post("/documents", json={"path": str(tmp_path / "none")})
        assert missing.status_code == 422 and "does not exist" in missing.json()["detail"]
        removed = here.delete(f"/documents/{answer.json()['documents'][0]['id']}")
    with api_client(closed) as here:
        assert here.post("/documents", json={"path": str(file)}).status_code == 403
    assert removed.status_code == 204
    assert file.exists()
    assert not files_below(settings.uploads_dir)


def test_an_unknown_recipe_is_refused_before_anything_is_taken(api: TestClient, settings: Settings) -> None:
    answer = api.post("/documents?name=a.txt&recipe=nope", content=b"x")
    assert answer.status_code == 422 and "'nope'" in answer.json()["detail"]
    assert str(settings.recipes_path) not in answer.text
    assert not files_below(settings.uploads_dir)


def test_removing_a_document_removes_the_file_that_was_sent(api: TestClient, settings: Settings) -> None:
    document = api.post("/documents?name=a.txt", content=b"secret").json()["documents"][0]["id"]
    assert api.delete(f"/documents/{document}").status_code == 204
    assert api.get(f"/documents/{document}").status_code == 404
    assert not list(settings.uploads_dir.iterdir())
    assert not files_below(settings.spool_dir)


def test_folders_that_no_document_needs_are_tidied_away(settings: Settings, ledger: Ledger) -> None:
    old, new, needed = (settings.uploads_dir / name for name in ("old", "new", "needed"))
    for folder in (old, new, needed):
        folder.mkdir(parents=True)
        (folder / "a.txt").write_text(folder.name)
    take(settings, needed / "a.txt")
    for folder in (old, needed):
        os.utime(folder, (time.time() - 7200,) * 2)
    assert tidy_uploads(settings, ledger) == 1
    assert sorted(path.name for path in settings.uploads_dir.iterdir()) == ["needed", "new"]


def test_the_same_key_gets_the_first_answer_and_no_other_request(api: TestClient) -> None:
    key = {"Idempotency-Key": "k1"}
    first = api.post("/documents", files={"file": ("a.txt", b"one")}, headers=key)
    again = api.post("/documents", files={"file": ("a.txt", b"one")}, headers=key)
    other = api.post("/documents", files={"file": ("a.txt", b"two")}, headers=key)
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json() == first.json()
    assert again.headers["Idempotent-Replayed"] == "true" and "Idempotent-Replayed" not in first.headers
    assert other.status_code == 422 and "another request" in other.json()["detail"]
    assert len(api.get("/documents").json()["documents"]) == 1
    assert api.post("/documents?name=a", content=b"x", headers={"Idempotency-Key": ""}).status_code == 400


def test_of_requests_with_one_key_at_the_same_time_one_is_carried_out(api: TestClient) -> None:
    body = {"texts": [{"text": "Miete Januar"}], "name": "once"}

    def send(_: int) -> tuple[int, str]:
        answer = api.post("/batches", json=body, headers={"Idempotency-Key": "at once"})
        return answer.status_code, answer.json().get("id", "")

    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(send, range(6)))
    assert {status for status, _ in answers} <= {202, 409}
    assert len({identity for status, identity in answers if status == 202}) == 1
    assert len(api.get("/batches").json()["batches"]) == 1


def test_a_request_that_came_to_nothing_may_be_sent_again_with_its_key(
    api: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise ServiceError("The ledger cannot be written: disk is full.", "Free some space.")

    key = {"Idempotency-Key": "k2"}
    with monkeypatch.context() as broken:
        broken.setattr(Home, "add", full)
        assert api.post("/documents?name=a.txt", content=b"x", headers=key).status_code == 503
    assert api.post("/documents?name=a.txt", content=b"x", headers=key).status_code == 202


def test_keys_are_forgotten_after_a_day_and_taken_over_from_the_dead(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    assert answered.claim(ledger, "died", "r") is None
    assert answered.claim(ledger, "old", "r") is None
    answered.keep(ledger, "old", "answer")
    with pytest.raises(answered.UnderWayError):
        answered.claim(ledger, "died", "r")
    monkeypatch.setattr(time, "time", lambda: now + answered.LEASE_SECONDS + 1)
    assert answered.claim(ledger, "died", "r") is None
    assert answered.claim(ledger, "old", "r") == "answer"
    monkeypatch.setattr(time, "time", lambda: now + answered.KEPT_SECONDS + 1)
    assert answered.claim(ledger, "old", "another") is None
