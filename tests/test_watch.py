"""Watching folders: when a file is taken, what is refused, moving, notices, switching."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.below import open_below
from app.watch.completeness import missing_end
from app.watch.journal import FileState, Journal, WatchedFile, WatchedFolder, WhenTaken
from app.watch.keeper import Keeper
from app.watch.moving import free_place, move
from app.watch.notices import Notices, network_kind, why_no_notices
from app.watch.sight import Sight
from app.watch.switching import WatchOptions, forget, switch_off, switch_on
from app.watch.tree import WatchedTree
from app.watch.words import file_line, folder_lines
from app.watch.writing import is_being_written
from tasks.errors import ConfigError, NotFoundError, ServiceError
from tasks.home import Home
from tasks.settings import Settings
from tests.scribbler import archive, pdf
from tests.system import System, running

SETTLE = 3.0


class Desk:
    """A watched folder, looked at by a clock that the test sets."""

    def __init__(self, folder: Path, home: Home, journal: Journal, settings: Settings) -> None:
        self.folder = folder
        self.home = home
        self.journal = journal
        self.settings = settings
        self.now = 0.0
        self.options = WatchOptions("builtin")

    def begin(self, options: WatchOptions | None = None) -> None:
        """Switch the folder on, and have a new keeper look after it, as after a restart."""
        if options is not None or not self.journal.folders():
            self.options = options or self.options
            switch_on(self.journal, self.settings, [self.folder], self.options)
        self.keeper = Keeper(self.watched, self.settings, self.journal, self.home, lambda: None)

    @property
    def watched(self) -> WatchedFolder:
        (folder,) = self.journal.folders()
        return folder

    def work(self, seconds: float = 0.0) -> None:
        """Let time pass, then look everywhere and take what has come to rest."""
        self.now += seconds
        self.keeper.look_everywhere(self.now)
        self.keeper.take(self.now)

    def settle(self) -> None:
        """See what is there, and let it come to rest."""
        self.work()
        self.work(SETTLE)

    def put(self, name: str, content: bytes = b"some words of a letter") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    @property
    def states(self) -> dict[str, FileState]:
        """The state of each file, by its path in the folder."""
        return {str(file.path.relative_to(self.folder)): file.state for file in self.journal.files()}

    def file(self, name: str) -> WatchedFile:
        return next(file for file in self.journal.files() if file.path == self.folder / name)

    def names(self) -> list[str]:
        return [document.name for document in self.home.ledger.documents()]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    folder = (tmp_path / "in").resolve()
    folder.mkdir()
    settings = Settings(data_dir=tmp_path / "data", watch_notices="off", watch_max_files=20)
    with Home.open(settings) as home, Journal.open(settings) as journal:
        yield Desk(folder, home, journal, settings)


# Coming to rest


def test_a_file_is_taken_when_it_has_not_changed_for_the_set_time(desk: Desk) -> None:
    desk.begin()
    desk.put("a.txt")
    desk.work()
    desk.work(SETTLE - 0.1)
    assert desk.states == {"a.txt": FileState.WAITING}
    desk.work(0.1)
    assert desk.states == {"a.txt": FileState.TAKEN}
    assert desk.names() == ["a.txt"]
    assert desk.file("a.txt").document == desk.home.ledger.documents()[0].id


def test_each_change_begins_the_wait_anew(desk: Desk) -> None:
    desk.begin()
    path = desk.put("a.txt", b"one")
    desk.work()
    desk.work(2)
    path.write_bytes(b"one and two")
    desk.work(2)
    assert desk.names() == []
    desk.work(SETTLE)
    assert desk.home.ledger.documents()[0].size == 11


def test_a_change_that_keeps_size_and_time_is_seen(desk: Desk) -> None:
    desk.begin()
    path = desk.put("a.txt", b"old")
    desk.settle()
    times = path.stat()
    path.write_bytes(b"new")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    desk.settle()
    assert len(desk.names()) == 2


def test_changed_content_is_a_new_document_and_a_touched_file_is_not(desk: Desk) -> None:
    desk.begin()
    path = desk.put("a.txt", b"one")
    desk.settle()
    path.touch()
    desk.settle()
    assert desk.names() == ["a.txt"]
    assert desk.states == {"a.txt": FileState.TAKEN}
    path.write_bytes(b"two")
    desk.settle()
    assert desk.names() == ["a.txt", "a.txt"]


def test_a_file_that_is_open_for_writing_waits(desk: Desk) -> None:
    desk.begin()
    path = desk.put("a.txt")
    with path.open("ab"):
        desk.settle()
        desk.work(60)
        assert "open for writing" in desk.file("a.txt").reason
        assert desk.names() == []
    desk.work(60)
    assert desk.names() == ["a.txt"]


def test_a_mapped_file_counts_as_being_written(tmp_path: Path) -> None:
    import mmap

    path = tmp_path / "a"
    path.write_bytes(bytes(4096))
    with path.open("r+b") as file:
        memory = mmap.mmap(file.fileno(), 4096)
    with open_below(tmp_path, path) as descriptor:
        assert is_being_written(descriptor)
        memory.close()
        assert not is_being_written(descriptor)


def test_a_writer_in_the_moment_of_a_lease_does_not_end_this_process(tmp_path: Path) -> None:
    script = f"""
import fcntl, os, signal, subprocess, sys
from app.watch.writing import survive_broken_leases
survive_broken_leases()
path = {str(tmp_path / "a")!r}
open(path, "w").close()
descriptor = os.open(path, os.O_RDONLY)
fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
try:
    os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
except BlockingIOError:
    print("alive")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "alive\n"


@pytest.mark.parametrize(
    ("content", "cut"),
    [
        (pdf(b"x" * 5000), 4000),
        (archive(b"x" * 3000), 4000),
        (archive(b"x" * 3000), -5),
        (b"\x89PNG\r\n\x1a\n" + b"x" * 90 + b"IEND\xae\x42\x60\x82", 60),
        (b"II*\0" + (100).to_bytes(4, "little") + bytes(200), 90),
        (b"MM\0*" + (100).to_bytes(4, "big") + bytes(200), 90),
    ],
)
def test_the_end_is_missed_where_the_kind_tells(tmp_path: Path, content: bytes, cut: int) -> None:
    path = tmp_path / "a"
    for wanted, kept in ((False, content), (True, content[:cut])):
        path.write_bytes(kept)
        with open_below(tmp_path, path) as descriptor:
            assert bool(missing_end(descriptor, len(kept))) is wanted


def test_a_pdf_without_its_end_is_incomplete_until_it_comes(desk: Desk) -> None:
    desk.begin()
    whole = pdf(b"x" * 3000)
    path = desk.put("a.pdf", whole[:1000])
    desk.settle()
    desk.work(600)
    assert desk.states == {"a.pdf": FileState.INCOMPLETE}
    assert "./run.sh add" in desk.file("a.pdf").reason
    with path.open("ab") as file:
        file.write(whole[1000:])
    desk.settle()
    assert desk.states == {"a.pdf": FileState.TAKEN}


# What is not taken


def test_what_can_never_be_taken_says_why(desk: Desk, tmp_path: Path) -> None:
    outside = tmp_path / "secret.txt"
    outside.write_text("secret")
    desk.begin()
    desk.put(".hidden")
    desk.put("~$letter.docx")
    desk.put("b.pdf.part")
    desk.put("empty.txt", b"")
    (desk.folder / "link.txt").symlink_to(outside)
    (desk.folder / "linked").symlink_to(tmp_path)
    os.mkfifo(desk.folder / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(desk.folder / "socket"))
        desk.settle()
    assert desk.names() == []
    reasons = {file.path.name: (file.state, file.reason) for file in desk.journal.files()}
    ignored = FileState.IGNORED
    assert reasons == {
        ".hidden": (ignored, "hidden or a system file"),
        "~$letter.docx": (ignored, "hidden or a system file"),
        "b.pdf.part": (ignored, "a temporary file"),
        "empty.txt": (FileState.REFUSED, "is empty"),
        "link.txt": (ignored, "a symbolic link"),
        "linked": (ignored, "a symbolic link"),
        "pipe": (ignored, "not a regular file"),
        "socket": (ignored, "not a regular file"),
    }


def test_a_folder_that_is_swapped_for_a_link_leads_nowhere(desk: Desk, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    desk.begin()
    path = desk.put("sub/a.txt")
    desk.work()
    path.rename(outside / "a.txt")  # the very file that was seen
    (desk.folder / "sub").rmdir()
    (desk.folder / "sub").symlink_to(outside)
    desk.now += SETTLE
    desk.keeper.take(desk.now)  # no look before it: the swap is made in between
    assert desk.names() == []


def test_a_refused_file_is_tried_again_when_it_changes(desk: Desk) -> None:
    desk.begin()
    path = desk.put("a.txt", b"")
    desk.settle()
    assert desk.states == {"a.txt": FileState.REFUSED}
    path.write_bytes(b"words")
    desk.settle()
    assert desk.states == {"a.txt": FileState.TAKEN}


def test_a_file_over_the_limit_is_refused_with_the_remedy(desk: Desk) -> None:
    desk.home.pipeline.settings = desk.settings.model_copy(update={"max_file_bytes": 10})
    desk.begin()
    desk.put("large.txt", b"x" * 11)
    desk.put("small.txt", b"x" * 10)
    desk.settle()
    assert desk.states == {"large.txt": FileState.REFUSED, "small.txt": FileState.TAKEN}
    assert "SHOEBOX_MAX_FILE_BYTES" in desk.file("large.txt").reason


def test_a_folder_with_too_many_files_is_left_alone_and_says_so(desk: Desk) -> None:
    for number in range(21):
        desk.put(f"{number}.txt", str(number).encode())
    desk.begin()
    desk.settle()
    assert desk.names() == []
    assert "SHOEBOX_WATCH_MAX_FILES" in desk.watched.problem
    (desk.folder / "0.txt").unlink()
    desk.settle()
    assert len(desk.names()) == 20
    assert desk.watched.problem == ""


def test_the_same_content_again_is_known(desk: Desk) -> None:
    desk.begin()
    desk.put("a.txt")
    desk.put("b.txt")
    desk.settle()
    assert desk.states == {"a.txt": FileState.TAKEN, "b.txt": FileState.KNOWN}
    assert desk.file("a.txt").document == desk.file("b.txt").document


# Coming and going


def test_a_file_that_is_removed_before_it_was_taken_is_gone(desk: Desk) -> None:
    desk.begin()
    path = desk.put("a.txt")
    desk.work()
    path.unlink()
    desk.work(SETTLE)
    assert desk.states == {"a.txt": FileState.GONE}
    desk.put("a.txt")
    desk.settle()
    assert desk.states == {"a.txt": FileState.TAKEN}


def test_a_renamed_file_is_known_and_the_document_follows_it(desk: Desk) -> None:
    desk.begin()
    path = desk.put("a.txt")
    desk.settle()
    path.rename(desk.folder / "b.txt")
    desk.settle()
    assert desk.names() == ["b.txt"]


def test_what_came_while_nobody_watched_is_caught_up(desk: Desk) -> None:
    desk.begin()
    desk.put("a.txt", b"a")
    desk.settle()
    desk.put("b.txt", b"b")
    desk.begin()
    desk.settle()
    assert desk.names() == ["a.txt", "b.txt"]


def test_only_new_files_are_taken_where_that_was_asked_for(desk: Desk) -> None:
    old = desk.put("old.txt", b"old")
    desk.begin(WatchOptions("builtin", only_new=True))
    desk.settle()
    desk.put("new.txt", b"new")
    desk.begin()  # also after a restart
    desk.settle()
    assert desk.states == {"old.txt": FileState.PASSED, "new.txt": FileState.TAKEN}
    old.write_bytes(b"changed")
    desk.settle()
    assert desk.names() == ["new.txt", "old.txt"]


def test_a_folder_that_vanishes_is_said_and_nothing_is_forgotten(desk: Desk) -> None:
    desk.begin()
    desk.put("a.txt", b"a")
    desk.settle()
    desk.put("b.txt", b"b")
    desk.work()
    desk.folder.rename(desk.folder.with_name("away"))
    desk.work(60)
    assert "is not there" in desk.watched.problem
    assert desk.states == {"a.txt": FileState.TAKEN, "b.txt": FileState.WAITING}
    desk.folder.with_name("away").rename(desk.folder)
    desk.settle()
    assert desk.names() == ["a.txt", "b.txt"]
    assert desk.watched.problem == ""


@pytest.mark.skipif(os.geteuid() == 0, reason="root opens every folder")
def test_a_folder_that_cannot_be_opened_is_said_and_the_rest_goes_on(desk: Desk) -> None:
    desk.begin()
    desk.put("sub/a.txt", b"a")
    desk.put("b.txt", b"b")
    (desk.folder / "sub").chmod(0)
    desk.settle()
    assert desk.names() == ["b.txt"]
    assert "sub cannot be opened" in desk.watched.problem
    (desk.folder / "sub").chmod(0o700)
    desk.settle()
    assert desk.names() == ["b.txt", "a.txt"]
    assert desk.watched.problem == ""


def test_notices_begin_anew_when_the_folder_is_another_one(desk: Desk) -> None:
    desk.settings = desk.settings.model_copy(update={"watch_notices": "auto"})
    desk.begin()
    desk.work()
    desk.folder.rename(desk.folder.with_name("away"))
    desk.folder.mkdir()
    desk.work()
    desk.keeper._look_now.clear()  # it may have been set by the notices of the old folder
    assert desk.keeper._look_now.wait(20)
    path = desk.put("a.txt")
    assert path in desk.keeper._noticed.get(timeout=20)
    desk.keeper.stop()


def test_what_a_person_has_forgotten_is_not_taken_again(desk: Desk) -> None:
    desk.begin()
    desk.put("a.txt")
    desk.settle()
    desk.home.remove(desk.home.ledger.documents()[0])
    desk.begin()
    desk.settle()
    assert desk.names() == []


def test_trouble_with_the_ledger_is_said_and_tried_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise ServiceError("No space left.", "Free some space.")

    desk.begin()
    desk.put("a.txt")
    with monkeypatch.context() as patch:
        patch.setattr(desk.home, "add", full)
        desk.settle()
        assert desk.watched.problem == "No space left. Free some space."
    desk.work(60)
    assert desk.names() == ["a.txt"]
    assert desk.watched.problem == ""


# Moving what was taken


def test_taken_files_are_moved_with_their_folders_and_replace_nothing(desk: Desk) -> None:
    desk.begin(WatchOptions("builtin", WhenTaken.MOVE))
    desk.put("Taken/sub/a.txt", b"somebody's own")
    desk.put("sub/a.txt", b"a")
    desk.settle()
    assert (desk.folder / "Taken/sub/a.txt").read_bytes() == b"somebody's own"
    assert (desk.folder / "Taken/sub/a (2).txt").read_bytes() == b"a"
    assert not (desk.folder / "sub/a.txt").exists()
    (document,) = desk.home.ledger.documents()
    assert Path(os.fsdecode(document.path)) == desk.folder / "Taken/sub/a (2).txt"
    desk.put("sub/a.txt", b"a")  # the same again
    desk.settle()
    assert (desk.folder / "Taken/sub/a (3).txt").read_bytes() == b"a"
    assert desk.names() == ["a.txt"]


def test_a_file_of_the_same_name_as_one_that_was_moved_is_taken(desk: Desk) -> None:
    desk.begin(WatchOptions("builtin", WhenTaken.MOVE))
    for number in range(3):
        desk.put("scan.txt", str(number).encode())
        desk.settle()
    assert len(desk.names()) == 3
    assert sorted(path.name for path in (desk.folder / "Taken").iterdir()) == [
        "scan (2).txt",
        "scan (3).txt",
        "scan.txt",
    ]


def interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("step", ["free_place", "move", "_follow_document", "end_move"])
def test_a_move_that_was_broken_off_is_finished(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    desk.begin(WatchOptions("builtin", WhenTaken.MOVE))
    desk.put("a.txt", b"a")
    desk.work()
    place: object = {"_follow_document": Keeper, "end_move": WatchedTree}.get(step, "app.watch.keeper")
    with monkeypatch.context() as patch:
        target = f"{place}.{step}" if isinstance(place, str) else None
        if target:
            patch.setattr(target, interrupted)
        else:
            patch.setattr(place, step, interrupted)
        with pytest.raises(KeyboardInterrupt):
            desk.work(SETTLE)
    desk.begin()
    desk.settle()
    assert [path.name for path in (desk.folder / "Taken").iterdir()] == ["a.txt"]
    assert not (desk.folder / "a.txt").exists()
    (document,) = desk.home.ledger.documents()
    assert Path(os.fsdecode(document.path)) == desk.folder / "Taken/a.txt"
    assert desk.file("a.txt").moving_to is None


def test_a_place_holder_that_was_left_is_not_kept(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.begin(WatchOptions("builtin", WhenTaken.MOVE))
    desk.put("a.txt", b"a")
    desk.work()
    with monkeypatch.context() as patch:
        patch.setattr("app.watch.moving.os.rename", interrupted)
        with pytest.raises(KeyboardInterrupt):
            desk.work(SETTLE)
    assert (desk.folder / "Taken/a.txt").stat().st_size == 0
    desk.begin()
    desk.settle()
    assert {path.name: path.read_bytes() for path in (desk.folder / "Taken").iterdir()} == {"a.txt": b"a"}


def test_what_is_put_there_while_a_file_is_moved_is_moved_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"taken")
    sight = Sight.of(path.lstat())
    target = free_place(tmp_path, path, "Taken")
    rename = os.rename

    def swap_then_rename(*arguments: str, **folders: int) -> None:
        new = tmp_path / "new"
        new.write_bytes(b"precious")
        new.replace(path)
        rename(*arguments, **folders)

    monkeypatch.setattr("app.watch.moving.os.rename", swap_then_rename)
    assert move(tmp_path, path, target, sight) is False
    assert path.read_bytes() == b"precious"
    assert list((tmp_path / "Taken").iterdir()) == []


def test_a_move_through_a_link_is_refused(desk: Desk, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (desk.folder / "Taken").symlink_to(outside)
    desk.begin(WatchOptions("builtin", WhenTaken.MOVE))
    desk.put("a.txt")
    desk.settle()
    assert list(outside.iterdir()) == []
    assert (desk.folder / "a.txt").exists()
    assert "could not be moved" in desk.file("a.txt").reason


# Notices


class Noticed:
    """Waits for notices, without a pause."""

    def __init__(self) -> None:
        self.paths: set[Path] = set()
        self.ready = threading.Event()
        self._came = threading.Condition()

    def take(self, paths: set[Path]) -> None:
        with self._came:
            self.paths |= paths
            self._came.notify_all()

    def wait_for(self, path: Path) -> bool:
        with self._came:
            return self._came.wait_for(lambda: path in self.paths, timeout=20)


def test_notices_come_and_do_not_follow_links(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "in"
    outside.mkdir()
    folder.mkdir()
    (folder / "link").symlink_to(outside)
    noticed = Noticed()
    notices = Notices([folder], noticed.take, noticed.ready.set)
    try:
        assert noticed.ready.wait(20)
        (outside / "far.txt").touch()
        (folder / "near.txt").touch()
        assert noticed.wait_for(folder / "near.txt")
        assert folder / "link" / "far.txt" not in noticed.paths
    finally:
        notices.stop()


def test_the_self_test_leaves_nothing_behind(tmp_path: Path) -> None:
    assert why_no_notices(tmp_path) == ""
    assert list(tmp_path.iterdir()) == []


def test_the_self_test_says_that_no_notice_came(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.watch.notices._SELF_TEST_SECONDS", 0.2)
    monkeypatch.setattr("watchfiles.watch", lambda *_, **__: iter(()))
    assert why_no_notices(tmp_path) == "no notice of a test file came"


def test_network_shares_are_known_by_their_mount(tmp_path: Path) -> None:
    share = tmp_path / "my share"
    share.mkdir()
    mounts = tmp_path / "mountinfo"
    place = str(share.resolve()).replace(" ", "\\040")
    mounts.write_text(
        "1 0 8:1 / / rw - ext4 /dev/sda rw\n"
        f"2 1 0:5 / {place} rw shared:1 - cifs //server/share rw\n"
        f"3 1 0:6 / {place}x rw - nfs4 server:/ rw\n"
    )
    assert network_kind(share, mounts) == "cifs"
    assert network_kind(share / "below", mounts) == "cifs"
    assert network_kind(tmp_path, mounts) == ""


# Switching


@pytest.mark.parametrize("place", ["data", "data/sub", "."])
def test_its_own_data_are_not_watched(desk: Desk, tmp_path: Path, place: str) -> None:
    (tmp_path / place).mkdir(exist_ok=True)
    with pytest.raises(ConfigError, match="lie in one another"):
        switch_on(desk.journal, desk.settings, [tmp_path / place], desk.options)


def test_folders_in_watched_folders_and_files_are_refused(desk: Desk) -> None:
    desk.begin()
    below = desk.folder / "sub"
    below.mkdir()
    with pytest.raises(ConfigError, match="which is watched"):
        switch_on(desk.journal, desk.settings, [below], desk.options)
    with pytest.raises(ConfigError, match="is a file"):
        switch_on(desk.journal, desk.settings, [desk.put("a.txt")], desk.options)
    with pytest.raises(NotFoundError):
        switch_on(desk.journal, desk.settings, [desk.folder / "none"], desk.options)
    assert len(desk.journal.folders()) == 1


def test_switching_off_keeps_what_is_known_and_forgetting_does_not(desk: Desk) -> None:
    desk.begin()
    desk.put("a.txt")
    desk.settle()
    assert switch_off(desk.journal, []) == [desk.folder]
    assert switch_off(desk.journal, []) == []
    assert desk.states == {"a.txt": FileState.TAKEN}
    assert forget(desk.journal, [desk.folder]) == [desk.folder]
    assert desk.states == {}
    assert desk.names() == ["a.txt"]
    with pytest.raises(NotFoundError):
        switch_off(desk.journal, [desk.folder])


def test_words_act_on_nothing(desk: Desk) -> None:
    desk.begin()
    desk.put("a\x1b[31m\u202e.txt")
    desk.settle()
    lines = [
        *map(file_line, desk.journal.files()),
        *folder_lines(desk.watched, True, desk.journal.counts(desk.watched.id)),
    ]
    assert not any("\x1b" in line or "\u202e" in line for line in lines)
    assert "1 taken" in "\n".join(lines)


# The whole


def await_taken(system: System, name: str) -> None:
    def is_taken() -> bool:
        with Journal.open(system.settings) as journal:  # to start the command again and again is costly
            return any(file.path.name == name and file.state is FileState.TAKEN for file in journal.files())

    system.await_true(is_taken, 60, f"{name} is taken")


@pytest.fixture(scope="module", params=["auto", "off"])
def watching(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A running system that watches by notices, and one that looks again and again."""
    settings = {"SHOEBOX_WATCH_NOTICES": request.param, "SHOEBOX_WATCH_SETTLE_SECONDS": "0.5"}
    with running(tmp_path_factory.mktemp("home"), **settings) as system:
        yield system


def test_a_watched_folder_of_a_running_system(watching: System, tmp_path: Path) -> None:
    system, has_notices = watching, watching.environment["SHOEBOX_WATCH_NOTICES"] == "auto"
    folder = tmp_path / "my scans"
    folder.mkdir()
    (folder / "before.txt").write_text("A letter that was there before.")
    names = {"before.txt", "meanwhile.txt"}
    assert "No folder is watched" in system.run("watch").stdout
    system.run("watch", folder, "--background")
    await_taken(system, "before.txt")
    system.kill(system.program_pid("watch"))
    (folder / "meanwhile.txt").write_text("Put there while the watcher was dead.")
    await_taken(system, "meanwhile.txt")
    if has_notices:  # a start looks at everything, whether notices come later or not
        system.run("down")
        (folder / "later.txt").write_text("Put there while nothing ran.")
        names.add("later.txt")
        system.run("up")
        await_taken(system, "later.txt")
    assert {document.name for document in system.await_ended()} == names
    files = json.loads(system.run("watch", "--all", "--json").stdout)["files"]
    assert {(Path(file["path"]).name, file["state"]) for file in files} == {(n, "taken") for n in names}
    listed = system.run("watch").stdout
    assert ("notices of the system" in listed) is has_notices
    system.run("watch", "--off")
    assert "not watched" in system.run("watch").stdout


def test_following_prints_what_is_taken_until_it_is_interrupted(watching: System, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    following = subprocess.Popen(
        [sys.executable, "-m", "app", "watch", str(folder)],
        env=watching.environment | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    (folder / "a.txt").write_text("A letter.")
    assert following.stdout is not None
    assert following.stderr is not None
    while not (line := following.stdout.readline()).startswith("taken"):
        assert line, "it ended"
    assert line.split()[1] == str(folder / "a.txt")
    following.send_signal(signal.SIGINT)
    assert "Still watching" in following.stderr.read()
    assert following.wait() == 0
    following.stdout.close()
    following.stderr.close()


def test_a_folder_that_cannot_even_be_asked_for_is_said_to_be_away(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A share whose server is gone: asking for it is an error, and the other folders are to be watched on."""
    stat = os.stat

    def refused(path: object, *arguments: object, **given: object) -> os.stat_result:
        if path in {str(desk.folder), desk.folder}:
            raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")
        return stat(path, *arguments, **given)  # type: ignore[arg-type]

    desk.begin()
    with monkeypatch.context() as patch:
        patch.setattr("os.stat", refused)
        desk.begin()
        desk.work()
    assert "not there" in desk.keeper._problem
    desk.put("a.txt")
    desk.settle()
    assert len(desk.home.ledger.documents()) == 1


def test_names_with_endless_endings_are_numbered_too(tmp_path: Path) -> None:
    path = tmp_path / ("1." + "e" * 252)
    path.write_bytes(b"one")
    places = []
    for _ in range(2):
        places.append(free_place(tmp_path, path, "Taken"))
        places[-1].write_bytes(b"")
    assert places[0] != places[1]
    assert len(places[1].name) <= 255


def test_a_folder_whose_names_cannot_be_synced_holds_a_moved_file_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shared folders of VirtualBox have no fsync for folders."""

    def refused(_: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    path = tmp_path / "a.txt"
    path.write_bytes(b"a")
    sight = Sight.of(path.lstat())
    monkeypatch.setattr("os.fsync", refused)
    assert move(tmp_path, path, free_place(tmp_path, path, "Taken"), sight)
