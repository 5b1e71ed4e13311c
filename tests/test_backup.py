"""Backup and restore: whole or not at all, while everything goes on; nothing in an archive is believed."""

import io
import json
import os
import random
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
import threading
from collections import namedtuple
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from app.backup import check_backup, make_backup, restore_backup, snapshot
from app.backup.archive import MANIFEST
from app.backup.contents import DATABASES, FILES, FOLDERS, left_out, spooled
from app.cli import shoebox
from app.watch.journal import Journal, WhenTaken
from tasks import spool
from tasks.content import hash_of
from tasks.documents import State
from tasks.errors import ConfigError, FileError, NotFoundError, ServiceError, ShoeboxError
from tasks.ledger import DocumentRow, Ledger
from tasks.lifeline import SUPERVISED
from tasks.pipeline import Pipeline
from tasks.settings import Settings, get_settings
from tasks.upgrading import LATEST, backups
from tests.forking import in_child
from tests.old_ledgers import make_old_ledger, tables_of
from tests.system import ROOT

Usage = namedtuple("Usage", "total used free")


def take(settings: Settings, path: Path, content: str) -> DocumentRow:
    """Take a file in, as `add` does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    with Ledger.open(settings) as ledger:
        return Pipeline(ledger, settings).submit(path, "builtin", urgent=False).document


def end(settings: Settings, document: DocumentRow, state: State = State.DONE) -> None:
    """Have it read, as far as the ledger and the spool are concerned."""
    with Ledger.open(settings) as ledger:
        with ledger.transaction():
            ledger.db.execute(
                "UPDATE documents SET state = ?, finished_at = 1 WHERE id = ?", (state.value, document.id)
            )
            ledger.db.execute("UPDATE units SET state = 'done' WHERE document = ?", (document.id,))
        if state is State.DONE:
            spool.drop(settings, document)


@pytest.fixture
def home(settings: Settings, tmp_path: Path) -> Settings:
    """A home with documents in several states, one that came by the API, and a watched folder."""
    return furnished(settings, tmp_path)


def furnished(settings: Settings, tmp_path: Path) -> Settings:
    """Make that home in an empty data directory."""
    take(settings, tmp_path / "papers" / "waiting.txt", "waiting")
    end(settings, take(settings, tmp_path / "papers" / "done.txt", "done"))
    end(settings, take(settings, tmp_path / "papers" / "failed.txt", "failed"), State.FAILED)
    end(
        settings,
        take(settings, settings.uploads_dir.absolute() / "0a1b2c" / "Sent Ä\u00a0\u3000.txt", "sent"),
    )
    (settings.uploads_dir / "ffff").mkdir()
    (settings.uploads_dir / "ffff" / "half.txt").write_text("is still being received")
    (settings.spool_dir / "taking-1").write_text("is still being copied")
    with Journal.open(settings) as journal:
        journal.put_folder(tmp_path / "papers", "builtin", WhenTaken.MOVE, only_new=True)
    for name in ("logs", "redis", "models", "workers"):
        (settings.data_dir / name).mkdir()
        (settings.data_dir / name / "x").write_text("not to be kept")
    (settings.data_dir / "ui.json").write_text("{}")
    (settings.data_dir / "digests").mkdir()
    (settings.data_dir / "digests" / "2026-01-02.md").write_text("# A day")
    return settings


@pytest.fixture(scope="module")
def one_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of a home like that, never to be changed."""
    folder = tmp_path_factory.mktemp("backed up")
    return make_backup(furnished(at(folder / "data"), folder), folder / "b.tar").path


@pytest.fixture
def archive(one_archive: Path, tmp_path: Path) -> Path:
    """The same, of this test's own."""
    return Path(shutil.copy(one_archive, tmp_path / "b.tar"))


def at(folder: Path) -> Settings:
    return Settings(data_dir=folder)


def names_of(path: Path) -> list[str]:
    with tarfile.open(path) as tar:
        return tar.getnames()


def documents_of(settings: Settings) -> dict[str, DocumentRow]:
    with Ledger.open(settings) as ledger:
        return {document.name: document for document in ledger.documents()}


def assert_whole(data: Path) -> None:
    """SQLite finds nothing wrong, and every file that is still to be read is there as it was taken."""
    settings = at(data)
    with closing(sqlite3.connect(settings.ledger_path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
    for document in documents_of(settings).values():
        if document.finished_at is None:
            with spool.spool_path(settings, document.sha256).open("rb") as copy:
                assert hash_of(copy.fileno()) == document.sha256


class KillsItself:
    """Progress that ends its own process by SIGKILL after so many bytes."""

    def __init__(self, after: int) -> None:
        self._left = after

    def __call__(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            os.kill(os.getpid(), signal.SIGKILL)


# ---------------------------------------------------------------- there and back


def test_what_was_backed_up_comes_back(home: Settings, tmp_path: Path) -> None:
    archive = make_backup(home, tmp_path / "b.tar").path
    before = {name: tables_of(home.data_dir / name) for name in ("ledger.sqlite3", "watch.sqlite3")}
    assert archive.stat().st_mode & 0o777 == 0o600
    shutil.rmtree(tmp_path / "papers")
    restored = restore_backup(home, archive, tmp_path / "new" / "place")

    data = tmp_path / "new" / "place"
    assert (restored.documents, restored.missing, restored.is_data_dir) == (4, 3, False)
    assert_whole(data)
    for path in (data, *data.rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
    assert sorted(entry.name for entry in data.iterdir()) == sorted(
        ("ledger.sqlite3", "watch.sqlite3", "ui.json", "spool", "uploads", "digests")
    )
    after = {name: tables_of(data / name) for name in before}
    [old], [new] = (
        [row for row in tables["ledger.sqlite3"]["documents"] if row["name"] == "Sent Ä\u00a0\u3000.txt"]
        for tables in (before, after)
    )
    assert bytes(new["path"]) == os.fsencode(data / "uploads" / "0a1b2c" / "Sent Ä\u00a0\u3000.txt")
    new["path"] = old["path"]
    assert after == before

    documents = documents_of(at(data))
    assert Path(os.fsdecode(documents["Sent Ä\u00a0\u3000.txt"].path)).stat().st_mtime_ns == old["mtime_ns"]
    assert spool.ensure(at(data), documents["waiting.txt"]).read_text() == "waiting"
    assert spool.ensure(at(data), documents["failed.txt"]).read_text() == "failed"
    assert not (data / "uploads" / "ffff").exists()
    assert not spool.spool_path(at(data), documents["done.txt"].sha256).exists()
    with Journal.open(at(data)) as journal:
        [folder] = journal.folders()
    assert (folder.path, folder.when_taken, folder.is_on) == (tmp_path / "papers", WhenTaken.MOVE, True)


def test_both_commands_say_what_they_did(
    home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home.data_dir / "strange\x1b.txt").write_text("who knows")
    monkeypatch.setenv("SHOEBOX_DATA_DIR", str(home.data_dir))

    def run(*arguments: object) -> Any:
        get_settings.cache_clear()
        return CliRunner().invoke(shoebox, list(map(str, arguments)))

    file = tmp_path / "b.tar"
    made = run("backup", file)
    assert made.exit_code == 0
    assert f"{file} is whole: 7 files" in made.output
    assert "what Redis holds" in made.output
    assert "what Shoebox does not know: strange\\x1b.txt" in made.output
    assert isinstance(run("backup", file).exception, FileError)
    assert run("backup", file, "--replace").exit_code == 0
    assert "is whole: 7 files" in run("restore", file, "--check").output
    assert isinstance(run("restore", file).exception, ConfigError)
    monkeypatch.setenv("SHOEBOX_DATA_DIR", str(tmp_path / "other"))
    assert "4 documents.\nBegin with: ./run.sh up" in run("restore", file).output
    assert len(documents_of(at(tmp_path / "other"))) == 4


def test_every_file_of_the_data_directory_is_known() -> None:
    """A new one must be backed up, or left out for a reason."""
    named = {
        found
        for folder in ("app", "tasks")
        for path in (ROOT / folder).rglob("*.py")
        for found in re.findall(r'data_dir(?:\.absolute\(\))? / "([^"]+)"', path.read_text())
    }
    assert {"ledger.sqlite3", "spool", "uploads", "run", "workers"} <= named

    class Folder:
        data_dir = type("Listed", (), {"iterdir": lambda self: map(Path, named)})()

    unknown = [words for words in left_out(Folder()) if "does not know" in words]  # type: ignore[arg-type]
    assert not unknown, "say in app/backup/contents.py whether it is backed up"
    assert {*DATABASES, *FILES, *FOLDERS} - named == {"digests"} - named


# ---------------------------------------------------------------- while everything goes on


def test_it_is_of_one_moment_whatever_happens_while_it_is_written(home: Settings, tmp_path: Path) -> None:
    """A document that ends drops the copy of its file, and one that came later is in no part of it."""
    waiting = documents_of(home)["waiting.txt"]
    happened: list[bool] = []

    def meanwhile(_: int) -> None:
        if not happened:
            happened.append(True)
            end(home, waiting)
            assert not spool.spool_path(home, waiting.sha256).exists()
            take(home, tmp_path / "papers" / "late.txt", "late")

    made = make_backup(home, tmp_path / "b.tar", progress=meanwhile)
    assert happened
    restore_backup(home, made.path, tmp_path / "new")
    assert_whole(tmp_path / "new")
    found = documents_of(at(tmp_path / "new"))
    assert found["waiting.txt"].state is State.WAITING
    assert "late.txt" not in found
    assert documents_of(home)["waiting.txt"].state is State.DONE
    assert not (home.data_dir / "backing-up").exists()


def test_backups_made_while_somebody_writes_are_consistent(home: Settings, tmp_path: Path) -> None:
    stop = threading.Event()
    taken: list[DocumentRow] = []

    def write() -> None:
        while not stop.is_set():
            document = take(home, tmp_path / "papers" / f"{len(taken)}.txt", f"content {len(taken)}")
            taken.append(document)
            if len(taken) > 3:
                end(home, taken[-3])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(4):
            reached = len(taken) + 4
            while len(taken) < reached and writer.is_alive():
                os.sched_yield()
            made = make_backup(home, tmp_path / f"{number}.tar")
            restore_backup(home, made.path, tmp_path / f"new {number}")
            assert_whole(tmp_path / f"new {number}")
            assert len(documents_of(at(tmp_path / f"new {number}"))) >= reached
    finally:
        stop.set()
        writer.join()


def test_one_backup_at_a_time(home: Settings, tmp_path: Path) -> None:
    def second(_: int) -> None:
        with pytest.raises(ServiceError, match="Another backup"):
            make_backup(home, tmp_path / "second.tar")

    make_backup(home, tmp_path / "first.tar", progress=second)
    assert not (tmp_path / "second.tar").exists()


def test_a_copy_that_is_dropped_in_that_very_moment_is_not_missed(
    home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A document that had ended drops its own without the lock."""
    gone = spool.spool_path(home, "ab" * 32)
    monkeypatch.setattr(snapshot, "spooled", lambda _: [(f"spool/ab/{gone.name}", gone), *spooled(home)])
    made = make_backup(home, tmp_path / "b.tar")
    assert f"spool/ab/{gone.name}" not in names_of(made.path)
    restore_backup(home, made.path, tmp_path / "new")
    assert_whole(tmp_path / "new")


def test_uploads_are_found_by_whatever_name_the_data_directory_has(home: Settings, tmp_path: Path) -> None:
    """Documents name them by a link to the folder; from the backup of a restored one they come back again."""
    (tmp_path / "link").symlink_to(home.data_dir)
    first = make_backup(at(tmp_path / "link"), tmp_path / "1.tar")
    (tmp_path / "linked").symlink_to(tmp_path)
    restore_backup(home, first.path, tmp_path / "linked" / "real")
    second = make_backup(at(tmp_path / "real"), tmp_path / "2.tar")
    third = make_backup(at(tmp_path / "linked" / "real"), tmp_path / "3.tar")
    for made in (first, second, third):
        assert "uploads/0a1b2c/Sent Ä\u00a0\u3000.txt" in names_of(made.path)
    restored = restore_backup(home, third.path, tmp_path / "last")
    original = documents_of(at(tmp_path / "last"))["Sent Ä\u00a0\u3000.txt"].path
    assert os.fsdecode(original) == str(tmp_path / "last" / "uploads" / "0a1b2c" / "Sent Ä\u00a0\u3000.txt")
    assert restored.missing == 0


def test_without_hard_links_the_files_are_copied(
    home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    made = make_backup(home, tmp_path / "b.tar")
    restore_backup(home, made.path, tmp_path / "new")
    assert_whole(tmp_path / "new")


# ---------------------------------------------------------------- killed, full, in the way


@pytest.mark.parametrize("after", [0, 20_000, 250_000])
def test_a_killed_backup_leaves_nothing_that_looks_like_one(
    home: Settings, tmp_path: Path, after: int
) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    spare = home.uploads_dir.absolute() / "9" / "large.txt"
    end(home, take(home, spare, "x" * 300_000))
    killed = in_child(lambda: make_backup(home, folder / "b.tar", progress=KillsItself(after)))
    assert killed == signal.SIGKILL
    assert not (folder / "b.tar").exists()
    assert [entry.name.startswith(".shoebox-unfinished-") for entry in folder.iterdir()] == [True]
    make_backup(home, folder / "other.tar")
    assert [entry.name for entry in folder.iterdir()] == ["other.tar"]
    assert not (home.data_dir / "backing-up").exists()


@pytest.mark.parametrize("after", [0, 150_000])
def test_a_killed_restore_leaves_nothing_in_place(
    settings: Settings, archive: Path, tmp_path: Path, after: int
) -> None:
    place = tmp_path / "there" / "data"
    killed = in_child(lambda: restore_backup(settings, archive, place, progress=KillsItself(after)))
    assert killed == signal.SIGKILL
    assert not place.exists()
    assert len(list(place.parent.iterdir())) == 1
    restore_backup(settings, archive, place)
    assert [entry.name for entry in place.parent.iterdir()] == ["data"]
    assert_whole(place)


def test_a_failed_write_leaves_nothing(home: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    end(home, take(home, home.uploads_dir.absolute() / "9" / "large.txt", "x" * 600_000))

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))
        with pytest.raises(FileError, match="cannot be written"):
            make_backup(home, folder / "b.tar")

    assert in_child(limited) == 0
    assert list(folder.iterdir()) == []


def test_a_full_disk_is_refused_before_anything_is_written(
    home: Settings, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10, 10, 1_000_000))
    with pytest.raises(FileError, match=r"takes \d+ MB .* 1 MB are free"):
        make_backup(home, tmp_path / "c.tar")
    with pytest.raises(FileError, match=r"needs \d+ MB .* 1 MB are free"):
        restore_backup(home, archive, tmp_path / "new")
    assert not (tmp_path / "c.tar").exists()
    assert not (tmp_path / "new").exists()


def test_a_backup_replaces_nothing_and_goes_to_no_foolish_place(home: Settings, tmp_path: Path) -> None:
    (tmp_path / "b.tar").write_text("precious")
    for target, words in (
        (tmp_path / "b.tar", "there already"),
        (tmp_path / "no" / "b.tar", "no folder"),
        (home.data_dir / "b.tar", "data directory itself"),
    ):
        with pytest.raises(FileError, match=words):
            make_backup(home, target)
    assert (tmp_path / "b.tar").read_text() == "precious"
    assert re.fullmatch(r"shoebox-\d{8}-\d{6}\.tar", make_backup(home, tmp_path).path.name)


def test_without_a_ledger_there_is_nothing_to_back_up(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        make_backup(settings, tmp_path / "b.tar")
    assert not settings.data_dir.exists()


def test_a_restore_overwrites_nothing(
    home: Settings, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(path.name for path in home.data_dir.iterdir())
    dangling = tmp_path / "dangling"
    dangling.symlink_to(tmp_path / "b.tar")
    for place in (None, dangling, archive):
        with pytest.raises(ConfigError, match="never overwrites"):
            restore_backup(home, archive, place)
    assert sorted(path.name for path in home.data_dir.iterdir()) == before
    empty = tmp_path / "empty"
    empty.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "is_mount", lambda _: True)
        with pytest.raises(ConfigError, match="a disk of its own"):
            restore_backup(home, archive, empty)
    restore_backup(home, archive, empty)
    assert_whole(empty)


def test_nothing_is_restored_under_running_services(
    settings: Settings, archive: Path, tmp_path: Path
) -> None:
    place = tmp_path / "new"
    service = subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); input()"],
        env={**os.environ, SUPERVISED: str(place)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert service.stdout is not None
        service.stdout.readline()
        with pytest.raises(ConfigError, match="are running"):
            restore_backup(settings, archive, place)
    finally:
        service.kill()
        service.communicate()
    assert not place.exists()


# ---------------------------------------------------------------- other versions


def test_an_older_backup_is_migrated_as_an_older_ledger_is(settings: Settings, tmp_path: Path) -> None:
    settings.data_dir.mkdir()
    make_old_ledger(settings.ledger_path, 2)
    made = make_backup(settings, tmp_path / "b.tar")
    assert tables_of(settings.ledger_path)["meta"]
    assert backups(settings.ledger_path) == []  # it was not migrated by being looked at
    restore_backup(settings, made.path, tmp_path / "new")
    assert len(documents_of(at(tmp_path / "new"))) == 2
    assert [path.name for path in backups(at(tmp_path / "new").ledger_path)] == ["ledger-schema-2.sqlite3"]


def test_a_newer_ledger_is_not_backed_up(home: Settings, tmp_path: Path) -> None:
    with closing(sqlite3.connect(home.ledger_path)) as db:
        db.execute(f"PRAGMA user_version = {LATEST + 1}")
    with pytest.raises(ConfigError, match="newer Shoebox"):
        make_backup(home, tmp_path / "b.tar")


# ---------------------------------------------------------------- nothing in an archive is believed


def members(path: Path) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(path) as tar:
        for header in tar:
            content = tar.extractfile(header)
            assert content is not None
            yield header, content.read()


def rewrite(
    path: Path, change: Callable[[dict[str, Any]], None], *, extra: tuple[tarfile.TarInfo, ...] = ()
) -> None:
    """Write an archive again with another manifest and further members before it."""
    old = list(members(path))
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for header, content in old:
            if header.name == MANIFEST:
                for more in extra:
                    tar.addfile(more, io.BytesIO(b"x" * more.size) if more.isreg() else None)
                facts = json.loads(content)
                change(facts)
                header.size = len(text := json.dumps(facts).encode())
                tar.addfile(header, io.BytesIO(text))
            else:
                tar.addfile(header, io.BytesIO(content))


def unchanged(_: dict[str, Any]) -> None:
    """The manifest stays."""


def member(
    name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, link: str = "", pax: dict[str, str] | None = None
) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.type, header.size, header.linkname, header.pax_headers = kind, size, link, pax or {}
    return header


@pytest.mark.parametrize(
    "extra",
    [
        member("/etc/owned"),
        member("../owned"),
        member("uploads/../../owned"),
        member("uploads/a/../owned"),
        member("./ui.json"),
        member("spool//x"),
        member("spool/ab/short"),
        member("uploads/a"),
        member("uploads/a/b/c"),
        member("digests/two\nlines"),
        member("classifiers/evil.pt"),
        member("vectors.sqlite3"),
        member("ledger.sqlite3-wal"),
        member("config.toml"),
        member("ui.json"),
        member("uploads", tarfile.SYMTYPE, link="/etc"),
        member("uploads/a/b", tarfile.SYMTYPE, link="/etc/passwd"),
        member("uploads/a/b", tarfile.LNKTYPE, link="ledger.sqlite3"),
        member("uploads/a/b", tarfile.CHRTYPE),
        member("uploads/a/b", tarfile.BLKTYPE),
        member("uploads/a/b", tarfile.FIFOTYPE),
        member("uploads/a", tarfile.DIRTYPE),
        member("uploads/a/b", tarfile.GNUTYPE_SPARSE),
        member("uploads/a/b", pax={"GNU.sparse.map": "0,1", "GNU.sparse.size": "1000000000000"}),
        member("uploads/a/b", pax={"comment": "x" * 5_000_000}),
        member("uploads/a/not-in-the-manifest", size=10),
    ],
    ids=lambda header: f"{header.name[:30]!a}-{header.type.decode()}",
)
def test_a_hostile_archive_is_refused_and_writes_nothing(
    settings: Settings, archive: Path, tmp_path: Path, extra: tarfile.TarInfo
) -> None:
    rewrite(archive, unchanged, extra=(extra,))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(FileError, match="no whole backup"):
        restore_backup(settings, archive, tmp_path / "new")
    with pytest.raises(FileError, match="no whole backup"):
        check_backup(archive)
    assert sorted(tmp_path.rglob("*")) == before


def _say(**facts: object) -> Callable[[dict[str, Any]], None]:
    return lambda manifest: manifest.update(facts)


def _other_hash(manifest: dict[str, Any]) -> None:
    manifest["files"]["ui.json"]["sha256"] = "0" * 64


def _one_less(manifest: dict[str, Any]) -> None:
    del manifest["files"]["ui.json"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_other_hash, "changed or is damaged: 'ui.json'"),
        (_one_less, "does not hold the files"),
        (_say(schema_number=LATEST + 1), "newer Shoebox"),
        (_say(format=2), "newer Shoebox"),
        (_say(schema_number=LATEST - 1), "not of the schema"),
        (_say(schema_number=0), "manifest cannot be read"),
        (_say(files=[]), "manifest cannot be read"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(
    settings: Settings, archive: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None], words: str
) -> None:
    rewrite(archive, change)
    with pytest.raises(ShoeboxError, match=words):
        restore_backup(settings, archive, tmp_path / "new")
    assert not list(tmp_path.glob("*new*"))


def test_an_archive_that_was_cut_off_anywhere_is_refused(
    settings: Settings, archive: Path, tmp_path: Path
) -> None:
    whole = archive.read_bytes()
    end_of_manifest = whole.rindex(b"}") + 1
    cuts = {0, 1, 511, 512, 513, end_of_manifest - 1, *range(1024, end_of_manifest, 16384)}
    for cut in sorted(cuts):
        archive.write_bytes(whole[:cut])
        with pytest.raises(FileError):
            check_backup(archive)
    with pytest.raises(FileError):
        restore_backup(settings, archive, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_flipped_bit_is_found_wherever_it_means_anything(archive: Path) -> None:
    whole = archive.read_bytes()
    expected = check_backup(archive).manifest
    chance = random.Random(7)
    found = 0
    for _ in range(60):
        flipped = bytearray(whole)
        flipped[chance.randrange(whole.rindex(b"}"))] ^= 1 << chance.randrange(8)
        archive.write_bytes(flipped)
        try:
            assert check_backup(archive).manifest.files == expected.files  # it fell on filling
        except ShoeboxError:
            found += 1
    assert found > 40


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b\x08\x00", b"\0" * 2048])
def test_what_is_no_backup_is_refused(settings: Settings, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "b.tar").write_bytes(content)
    with pytest.raises(FileError, match="no whole backup"):
        restore_backup(settings, tmp_path / "b.tar", tmp_path / "new")
    with pytest.raises(NotFoundError):
        restore_backup(settings, tmp_path / "none.tar", tmp_path / "new")
    with pytest.raises(FileError, match="no file"):
        check_backup(tmp_path)
