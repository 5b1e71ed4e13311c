"""Older ledgers are brought up to date after a copy was made; newer and damaged ones are refused."""

import os
import resource
import shutil
import signal
import sqlite3
import sys
from collections import namedtuple
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from app.cli import main, shoebox
from app.plans.journal import Journal as PlanJournal
from app.services import Program, ProgramStatus, down, status, up
from app.tui.app import ShoeboxApp
from app.watch.journal import Journal as WatchJournal
from tasks.celery_tasks import open_ledger
from tasks.errors import ConfigError, ExitCode, ServiceError
from tasks.ledger import Ledger
from tasks.settings import Settings, get_settings
from tasks.upgrading import LATEST, DamagedLedgerError, NewerLedgerError, backups, upgrade
from tests.forking import begin_child, in_child
from tests.old_ledgers import make_old_ledger, structure_of, tables_of

OLDER = range(1, LATEST)


@pytest.fixture
def no_umask() -> Iterator[None]:
    """New files are open to all, as far as nobody takes care."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def open_and_close(settings: Settings) -> None:
    Ledger.open(settings).close()


# ---------------------------------------------------------------- every older version


@pytest.mark.parametrize("schema", OLDER)
def test_every_older_ledger_is_migrated_with_all_its_rows(
    settings: Settings, schema: int, no_umask: None
) -> None:
    path = settings.ledger_path
    make_old_ledger(path, schema)
    before = tables_of(path)
    assert all(before[name] for name in ("documents", "pages", "fields", "units", "results", "meta"))
    open_and_close(settings)

    after = tables_of(path)
    for name, rows in before.items():
        kept = [{column: new[column] for column in old} for old, new in zip(rows, after[name], strict=True)]
        assert kept == rows
    fresh = Settings(data_dir=settings.data_dir / "fresh")
    open_and_close(fresh)
    assert structure_of(path) == structure_of(fresh.ledger_path)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        for word in ("lamplighter", "fruhling", "elektro"):  # of pages, and of what stands about the document
            assert db.execute("SELECT 1 FROM search WHERE search MATCH ?", (word,)).fetchone()

    [copy] = backups(path)
    assert copy.name == f"ledger-schema-{schema}.sqlite3"
    assert tables_of(copy) == before
    assert (mode(copy), mode(copy.parent), mode(path)) == (0o600, 0o700, 0o600)
    assert [entry.name for entry in copy.parent.iterdir()] == [copy.name]


def test_what_was_not_yet_written_back_is_in_the_copy(settings: Settings) -> None:
    """SQLite keeps the last changes in a log beside the file until somebody closes it."""
    make_old_ledger(settings.ledger_path, 3)
    with closing(sqlite3.connect(settings.ledger_path, isolation_level=None)) as other:
        other.execute("INSERT INTO meta VALUES ('late', 'change')")
        open_and_close(settings)
        [copy] = backups(settings.ledger_path)
        assert {"key": "late", "value": "change"} in tables_of(copy)["meta"]


def test_a_new_ledger_needs_no_copy_and_is_private(settings: Settings, no_umask: None) -> None:
    with Ledger.open(settings):
        for path in settings.data_dir.iterdir():
            assert mode(path) == 0o600, path
    assert backups(settings.ledger_path) == []


# ---------------------------------------------------------------- broken off, and at the same time


def _kill_at(path: Path, statement: int) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        seen = 0

        def trace(_: str) -> None:
            nonlocal seen
            seen += 1
            if seen == statement:
                os.kill(os.getpid(), signal.SIGKILL)

        db.set_trace_callback(trace)
        upgrade(db, path)


def test_a_kill_at_any_statement_leaves_what_the_next_start_migrates(settings: Settings) -> None:
    path = settings.ledger_path
    make_old_ledger(path, 2)
    before = tables_of(path)
    statement, kills = 1, 0
    while (status := in_child(partial(_kill_at, path, statement))) != 0:
        assert os.WTERMSIG(status) == signal.SIGKILL
        assert tables_of(path) == before
        kills += 1
        statement += 7
    assert kills > 5
    open_and_close(settings)
    assert [copy.name for copy in backups(path)] == ["ledger-schema-2.sqlite3"]
    assert tables_of(backups(path)[0]) == before


@pytest.mark.parametrize("name", ["fsync", "rename"])
def test_a_kill_while_the_copy_is_made_leaves_nothing_half(settings: Settings, name: str) -> None:
    path = settings.ledger_path
    make_old_ledger(path, 4)

    def work() -> None:
        setattr(os, name, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
        open_and_close(settings)

    assert os.WTERMSIG(in_child(work)) == signal.SIGKILL
    assert backups(path) == []
    open_and_close(settings)
    assert [entry.name for entry in (settings.data_dir / "backups").iterdir()] == ["ledger-schema-4.sqlite3"]


def test_processes_that_open_it_at_the_same_time_migrate_it_once(settings: Settings) -> None:
    make_old_ledger(settings.ledger_path, 1)
    before = tables_of(settings.ledger_path)
    gate, opener = os.pipe()

    def work() -> None:
        os.close(opener)
        os.read(gate, 1)  # until nobody has the other end any more
        open_and_close(settings)

    children = [begin_child(work) for _ in range(6)]
    os.close(gate)
    os.close(opener)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 6
    assert tables_of(settings.ledger_path)["documents"][0]["id"] == "aa"
    [copy] = backups(settings.ledger_path)
    assert tables_of(copy) == before


def test_an_older_copy_is_never_replaced(settings: Settings) -> None:
    """Somebody went back to the copy, changed something with the old version, and upgrades once more."""
    path = settings.ledger_path
    make_old_ledger(path, 5)
    open_and_close(settings)
    [first] = backups(path)
    shutil.copy(first, path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("INSERT INTO meta VALUES ('more', 'since')")
    open_and_close(settings)
    assert sorted(copy.name for copy in backups(path)) == [
        "ledger-schema-5-2.sqlite3",
        "ledger-schema-5.sqlite3",
    ]
    shutil.copy(first, path)  # and back to what is there already
    open_and_close(settings)
    assert len(backups(path)) == 2


# ---------------------------------------------------------------- no room


Usage = namedtuple("Usage", "total used free")


def test_a_disk_without_room_for_the_copy_is_said_before_anything_is_changed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_old_ledger(settings.ledger_path, 3)
    before = settings.ledger_path.read_bytes()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10, 10, 1_000_000))
    with pytest.raises(ServiceError, match=r"1 MB are free.*Free some space.*Nothing was changed"):
        Ledger.open(settings)
    assert settings.ledger_path.read_bytes() == before
    assert backups(settings.ledger_path) == []


def test_a_disk_that_fills_while_the_copy_is_made(settings: Settings) -> None:
    """No process can write more than a limit of the kernel's: the same to SQLite as a disk that is full."""
    make_old_ledger(settings.ledger_path, 3)
    before = settings.ledger_path.read_bytes()

    def work() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, resource.RLIM_INFINITY))
        with pytest.raises(ServiceError, match="no copy of it can be made"):
            Ledger.open(settings)

    assert in_child(work) == 0
    assert settings.ledger_path.read_bytes() == before
    assert list((settings.data_dir / "backups").iterdir()) == []
    open_and_close(settings)


# ---------------------------------------------------------------- newer


def make_newer(settings: Settings) -> bytes:
    """A ledger that a newer version wrote, in another way of keeping its log; its bytes."""
    open_and_close(settings)
    with closing(sqlite3.connect(settings.ledger_path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
        db.execute(f"PRAGMA user_version = {LATEST + 1}")
    return settings.ledger_path.read_bytes()


def test_a_newer_ledger_is_not_touched(settings: Settings) -> None:
    before = make_newer(settings)
    entries = set(settings.data_dir.iterdir())
    with pytest.raises(NewerLedgerError, match="newer Shoebox"):
        Ledger.open(settings)
    assert settings.ledger_path.read_bytes() == before
    assert set(settings.data_dir.iterdir()) == entries


@pytest.mark.parametrize(
    "arguments",
    [
        ["ls"],
        ["show", "aa"],
        ["search", "lamp"],
        ["review"],
        ["export"],
        ["status"],
        ["tidy", "papers"],
        ["add", "paper.txt"],
        ["cancel", "aa"],
        ["retry", "aa"],
        ["up"],
    ],
    ids=lambda arguments: str(arguments[0]),
)
def test_every_command_refuses_a_newer_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("paper.txt").write_text("paper")
    settings = get_settings()
    before = make_newer(settings)
    with pytest.raises(ConfigError, match="newer Shoebox"):
        shoebox(arguments, standalone_mode=False)
    assert settings.ledger_path.read_bytes() == before


def test_services_leave_a_newer_ledger_alone_and_say_why(settings: Settings) -> None:
    """As after a step back to an older Shoebox: the worker is not started again and again."""
    make_newer(settings)
    command = (sys.executable, "-m", "app")
    redis = Program("redis", (*command, "_serve-redis"))
    home = Program("home", (*command, "worker", "--queues", "home", "--name", "home"), start_seconds=2)

    def home_now() -> ProgramStatus:
        return next(program for program in status(settings).programs if program.name == "home")

    try:
        up(settings, [redis, home])
        while (now := home_now()).state != "EXITED":
            os.sched_yield()  # the test's own time limit ends this
        assert (now.restarts, now.exit_status) == (0, ExitCode.CONFIG)
        assert "newer Shoebox" in now.problem
        assert "Update this Shoebox" in now.problem
    finally:
        down(settings)


def test_a_worker_that_finds_a_newer_ledger_is_told_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its supervisor starts it again, with the Shoebox that is installed now."""
    make_newer(get_settings())
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda *to: told.append(to))
    for mark, expected in (("", []), ("data", [(os.getppid(), signal.SIGTERM)])):
        if mark:
            monkeypatch.setenv("SHOEBOX_SUPERVISED", mark)
        with pytest.raises(NewerLedgerError), open_ledger():
            pass
        assert told == expected


def test_the_ui_refuses_a_newer_ledger(settings: Settings) -> None:
    make_newer(settings)
    with pytest.raises(NewerLedgerError):
        ShoeboxApp(settings)


def test_a_process_that_had_it_open_writes_no_more_once_a_newer_version_has_migrated_it(
    settings: Settings,
) -> None:
    with Ledger.open(settings) as ledger:
        with closing(sqlite3.connect(settings.ledger_path, isolation_level=None)) as newer:
            newer.execute(f"PRAGMA user_version = {LATEST + 1}")
        with pytest.raises(NewerLedgerError), ledger.transaction():
            ledger.set_meta("written", "by the older")
        assert ledger.meta("written") == ""


@pytest.mark.parametrize("opener", [WatchJournal.open, PlanJournal.open])
def test_newer_and_damaged_journals_are_refused(
    settings: Settings, opener: Callable[[Settings], WatchJournal]
) -> None:
    opener(settings).close()
    [path] = settings.data_dir.glob("*.sqlite3")
    assert mode(path) == 0o600
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
        db.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="newer Shoebox"):
        opener(settings)
    assert path.read_bytes() == before
    path.write_bytes(b"not a database, but long enough to be looked at" * 30)
    with pytest.raises(ServiceError, match=r"damaged.*move it away"):
        opener(settings)


# ---------------------------------------------------------------- damaged


def damage(path: Path, page: int) -> None:
    """Overwrite a page of the file."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        size = db.execute("PRAGMA page_size").fetchone()[0]
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xa5" * size)


def test_a_damaged_ledger_is_named_with_its_remedy(settings: Settings) -> None:
    make_old_ledger(settings.ledger_path, 6)
    open_and_close(settings)
    [copy] = backups(settings.ledger_path)
    damage(settings.ledger_path, 1)
    with pytest.raises(DamagedLedgerError, match="damaged") as caught:
        Ledger.open(settings)
    assert str(copy) in caught.value.remedy
    assert "./run.sh down" in caught.value.remedy


def test_a_damaged_older_ledger_is_not_migrated(settings: Settings) -> None:
    make_old_ledger(settings.ledger_path, 4)
    with closing(sqlite3.connect(settings.ledger_path)) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'pages'").fetchone()
    damage(settings.ledger_path, page)
    before = settings.ledger_path.read_bytes()
    with pytest.raises(DamagedLedgerError, match="damaged"):
        Ledger.open(settings)
    assert settings.ledger_path.read_bytes() == before
    assert backups(settings.ledger_path) == []


def test_a_page_that_was_overwritten_is_said_by_commands_without_a_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = get_settings()
    make_old_ledger(settings.ledger_path, 6)
    open_and_close(settings)
    with closing(sqlite3.connect(settings.ledger_path)) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'documents'").fetchone()
    damage(settings.ledger_path, page)
    with pytest.raises(SystemExit) as left, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["shoebox", "ls"])
        main()
    assert left.value.code == ExitCode.SERVICE
    said = capsys.readouterr().err
    assert "is damaged: database disk image is malformed" in said
    assert str(backups(settings.ledger_path)[0]) in said
