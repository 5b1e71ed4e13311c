"""The clerk: a real process, asked as the terminal UI asks it, interrupted in every way."""

import asyncio
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from app.requests import (
    AddFiles,
    Cancel,
    Correct,
    Export,
    Note,
    Problem,
    Remove,
    Reply,
    Request,
    Retry,
    SetUrgent,
    StartServices,
    StopAdding,
    answer_line,
    clerk_log,
    parse_answer,
    parse_request,
    request_line,
)
from app.tui.clerk import ClerkClient
from tasks.documents import FINAL_STATES, FieldStatus, State
from tasks.ledger import DocumentRow, Ledger
from tasks.pipeline import Pipeline
from tasks.settings import Settings
from tests import samples
from tests.samples.trouble import make_hostile_names
from tests.system import System

MANY = 1_000
"""Files that take a while to be taken in: a second or more."""


def talk(settings: Settings, scenario: Callable[[ClerkClient], Awaitable[None]], **environment: str) -> None:
    """Run a scenario with a clerk of its own, and wait until that has ended."""

    async def run() -> None:
        client = ClerkClient(settings, {**os.environ, **environment})
        try:
            async with asyncio.timeout(120):
                await scenario(client)
        finally:
            pid = client.pid
            await client.close()
            if pid is not None:
                await_gone(pid)

    asyncio.run(run())


def await_gone(pid: int) -> None:
    deadline = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline, f"process {pid} did not end"
        time.sleep(0.02)


class Adding:
    """An `AddFiles` request that is under way."""

    def __init__(self, client: ClerkClient, folder: Path) -> None:
        self._began = asyncio.Event()
        self.notes: list[int] = []
        self.reply = asyncio.create_task(client.ask(AddFiles((str(folder),)), self._take))

    def _take(self, note: Note) -> None:
        self.notes.append(note.done)
        self._began.set()

    async def begun(self) -> None:
        """Wait until the first files are in."""
        await self._began.wait()


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A folder of many small files."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(MANY):
        (folder / f"{number:05}.txt").write_text(f"Note number {number}.\n")
    return folder


def documents(settings: Settings) -> list[DocumentRow]:
    with Ledger.open(settings) as ledger:
        return ledger.documents()


def names(rows: list[DocumentRow]) -> Counter[str]:
    return Counter(row.name for row in rows)


@pytest.mark.parametrize(
    "request_",
    [
        StartServices(),
        AddFiles((os.fsdecode(b"/a/\xff\n\x1b.pdf"), "/ü"), urgent=True),
        StopAdding(),
        Cancel(("a", "b")),
        Retry(("a",)),
        Remove(()),
        SetUrgent(("a",), urgent=False),
        Correct("a", "total", "1,50 €"),
        Export("/x.csv", ("a",), replace=True),
    ],
)
def test_requests_and_answers_survive_their_line(request_: Request) -> None:
    line = request_line(7, request_)
    assert (line.count("\n"), line.isascii()) == (1, True)
    assert parse_request(line) == (7, request_)
    for answer in (
        Note(7, 3),
        Reply(7, ok=True, message="ü\n", documents=("a",), problems=(Problem("\udcff", "\x1b"),)),
    ):
        assert parse_answer(answer_line(answer)) == answer


def test_a_folder_is_taken_and_what_is_not_is_said(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "papers"
    hostile = make_hostile_names(folder)
    (folder / "big.txt").write_text("x" * 5_000)
    os.mkfifo(folder / "pipe\n\x1b[31m")
    again = tmp_path / "again.txt"
    again.write_text(hostile[0].read_text())

    async def scenario(client: ClerkClient) -> None:
        reply = await client.ask(AddFiles((str(folder), str(again), "/no\udcff where", "/nul\0")))
        assert reply.ok
        assert reply.message == f"{len(hostile)} taken, 1 known already, 4 not taken."
        reasons = {os.path.basename(problem.name): problem.reason for problem in reply.problems}  # noqa: PTH119
        assert "limit" in reasons.pop("big.txt")
        assert reasons == {
            "pipe\n\x1b[31m": "not a regular file",
            "no\udcff where": "does not exist",
            "nul\0": "does not exist",
        }
        assert set(reply.documents) == {row.id for row in documents(settings)}

    talk(settings, scenario, SHOEBOX_MAX_FILE_BYTES="4000")
    assert {os.fsdecode(row.path) for row in documents(settings)} == set(map(str, hostile))


def test_ten_thousand_paths_in_one_request(settings: Settings) -> None:
    async def scenario(client: ClerkClient) -> None:
        reply = await client.ask(AddFiles(tuple(f"/nowhere/{'x' * 50}/{n}" for n in range(10_000))))
        assert reply.message == "0 taken, 10,000 not taken."
        assert len(reply.problems) == 201
        assert reply.problems[-1].name == "9800 more"

    talk(settings, scenario)


def test_a_cancel_does_not_wait_behind_many_files(settings: Settings, many: Path) -> None:
    async def scenario(client: ClerkClient) -> None:
        adding = Adding(client, many)
        await adding.begun()
        first = documents(settings)[0].id
        reply = await client.ask(Cancel((first, "gone")))
        assert not adding.reply.done()
        assert (reply.ok, reply.message, reply.documents) == (True, "1 document cancelled.", (first,))
        assert reply.problems == (Problem("gone", "is no longer there"),)
        again = await client.ask(Cancel((first,)))
        assert (again.ok, again.message) == (False, "No documents cancelled.")
        assert again.problems == (Problem("00000.txt", "is cancelled already"),)
        assert (await adding.reply).message == f"{MANY:,} taken."
        assert adding.notes == sorted(adding.notes)

    talk(settings, scenario)
    assert documents(settings)[0].state is State.CANCELLED


def test_adding_stops_at_once_when_asked(settings: Settings, many: Path) -> None:
    async def scenario(client: ClerkClient) -> None:
        assert (await client.ask(StopAdding())).message == "Nothing is being added."
        adding = Adding(client, many)
        behind = asyncio.create_task(client.ask(AddFiles((str(many),))))
        await adding.begun()
        assert (await client.ask(StopAdding())).ok
        reply = await adding.reply
        assert reply.message.endswith("Adding was stopped.")
        assert len(reply.documents) == len(documents(settings)) < MANY
        assert (await behind).message == "0 taken. Adding was stopped."
        one = await client.ask(AddFiles((str(many / f"{MANY - 1:05}.txt"),)))
        assert one.message == "1 taken."

    talk(settings, scenario)


def test_a_ui_that_leaves_stops_nothing(settings: Settings, many: Path) -> None:
    async def scenario(client: ClerkClient) -> None:
        adding = Adding(client, many)
        await adding.begun()
        for harmless in (signal.SIGHUP, signal.SIGINT):
            assert client.pid is not None
            os.kill(client.pid, harmless)
        pid = client.pid
        await client.close()
        assert "nobody waits" in (await adding.reply).message
        assert pid is not None
        await_gone(pid)

    talk(settings, scenario)
    assert len(documents(settings)) == MANY
    assert not clerk_log(settings).read_text().count("Traceback")


def test_what_a_killed_clerk_left_is_done_by_the_next_and_once(settings: Settings, many: Path) -> None:
    async def scenario(client: ClerkClient) -> None:
        adding = Adding(client, many)
        await adding.begun()
        killed = client.pid
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        reply = await adding.reply
        assert client.pid != killed
        assert reply.ok
        assert len(reply.documents) == MANY

    talk(settings, scenario)
    assert set(names(documents(settings)).values()) == {1}
    assert len(documents(settings)) == MANY


def test_sigterm_ends_it_after_the_present_file(settings: Settings, many: Path) -> None:
    async def scenario(client: ClerkClient) -> None:
        adding = Adding(client, many)
        await adding.begun()
        behind = asyncio.create_task(client.ask(AddFiles((str(many),))))
        await client.ask(Cancel(()))  # answered, so the clerk has read what was asked before it
        pid = client.pid
        assert pid is not None
        os.kill(pid, signal.SIGTERM)
        reply = await adding.reply
        assert reply.message.endswith("Adding was stopped.")
        assert len(reply.documents) == len(documents(settings)) < MANY
        assert not (await behind).ok
        await_gone(pid)
        assert (await client.ask(AddFiles((str(many),)))).ok

    talk(settings, scenario)
    assert len(documents(settings)) == MANY


def test_a_clerk_that_cannot_run_is_an_answer(settings: Settings) -> None:
    async def scenario(client: ClerkClient) -> None:
        reply = await client.ask(Cancel(("a",)))
        assert not reply.ok
        assert "again and again" in reply.message
        assert str(clerk_log(settings)) in reply.remedy

    talk(settings, scenario, SHOEBOX_RENDER_DPI="7")
    assert clerk_log(settings).read_text().count("render_dpi") == 6  # three starts, message and remedy


def test_what_nobody_foresaw_is_an_answer_and_the_clerk_goes_on(settings: Settings, tmp_path: Path) -> None:
    async def scenario(client: ClerkClient) -> None:
        reply = await client.ask(AddFiles((5,)))  # type: ignore[arg-type]
        assert not reply.ok
        assert "TypeError" in reply.message
        assert str(clerk_log(settings)) in reply.remedy
        assert (await client.ask(Cancel(()))).ok

    talk(settings, scenario)
    log = clerk_log(settings).read_text()
    assert '"error": "TypeError", "traceback": [' in log


def test_exports_take_no_name_from_another_file(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("a")
    with Ledger.open(settings) as ledger:
        document = Pipeline(ledger, settings).submit(path, "builtin", urgent=False).document
    target = tmp_path / "out" / "table.csv"
    target.parent.mkdir()

    async def scenario(client: ClerkClient) -> None:
        reply = await client.ask(Export(str(target), (document.id, "gone")))
        assert (reply.ok, reply.problems) == (True, (Problem("gone", "is no longer there"),))
        assert document.id in target.read_text()
        target.write_text("mine")
        refused = await client.ask(Export(str(target)))
        assert not refused.ok
        assert "is there already" in refused.message
        assert target.read_text() == "mine"
        assert (await client.ask(Export(str(target), replace=True))).ok
        assert document.id in target.read_text()
        assert (await client.ask(Export(str(target.with_suffix(".jsonl"))))).ok
        assert json.loads(target.with_suffix(".jsonl").read_text())["id"] == document.id
        assert ".csv, .jsonl, .md" in (await client.ask(Export(str(target.with_suffix(".xls"))))).remedy
        assert "table.md" in (await client.ask(Export(str(tmp_path / "no" / "table.md")))).message

    talk(settings, scenario)
    assert sorted(file.name for file in target.parent.iterdir()) == ["table.csv", "table.jsonl"]


def test_corrections_outlive_a_retry_on_a_running_system(own_system: Callable[..., System]) -> None:
    system = own_system(SHOEBOX_ENGINE="offline")
    papers = system.folder / "papers"
    papers.mkdir()
    path = samples.make("invoice-en.pdf", papers)

    async def ended() -> DocumentRow:
        while (row := documents(system.settings)[0]).state not in FINAL_STATES:
            await asyncio.sleep(0.05)
        return row

    async def scenario(client: ClerkClient) -> None:
        assert (await client.ask(StartServices())).message == "Already up."
        [document] = (await client.ask(AddFiles((str(path),)))).documents
        assert (await ended()).category == "invoice"
        total = await client.ask(Correct(document, "total", "1.234,50"))
        assert (total.ok, total.message) == (True, "total of invoice-en.pdf is '1234.50' now.")
        category = await client.ask(Correct(document, "category", "receipt"))
        assert category.message.endswith("is 'receipt' now, and its fields are read.")
        assert (await ended()).category == "receipt"
        confirmed = await client.ask(Correct(document, "category", "receipt"))
        assert confirmed.message == "category of invoice-en.pdf is 'receipt': confirmed."
        refused = await client.ask(Correct(document, "date", "soon"))
        assert (refused.ok, "3.2.2026" in refused.remedy) == (False, True)
        assert (await client.ask(SetUrgent((document,)))).problems[0].name == "invoice-en.pdf"
        assert (await client.ask(Retry((document,)))).message == "1 document begun again."
        row = await ended()
        assert (row.category, row.amount, row.confidence) == ("receipt", "1234.50", 1.0)
        with Ledger.open(system.settings) as ledger:
            status = {field.name: field.status for field in ledger.fields(document)}
        assert status["total"] is FieldStatus.CORRECTED
        assert (await client.ask(Remove((document,)))).message == "1 document forgotten."
        assert documents(system.settings) == []

    talk(system.settings, scenario, **system.environment)
