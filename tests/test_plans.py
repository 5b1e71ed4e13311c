"""Plans: dry runs, applying, undoing, and being broken off at every single step."""

import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.plans import spots
from app.plans.carrying_out import Carrier
from app.plans.journal import Action, Journal, Plan, StepState
from app.plans.making import make_plan
from tasks.documents import State
from tasks.errors import ConfigError, ServiceError, ShoeboxError
from tasks.ledger import Ledger
from tasks.settings import Settings
from tests.system import System

Tree = dict[str, tuple[str, int, int] | None]


def tree_of(folder: Path) -> Tree:
    """Every file below a folder with its content, time and rights, and every folder."""
    tree: Tree = {}
    for parent, folders, files in os.walk(folder):
        for name in folders:
            tree[str(Path(parent, name).relative_to(folder))] = None
        for name in files:
            path = Path(parent, name)
            info = path.lstat()
            tree[str(path.relative_to(folder))] = (
                hashlib.sha256(path.read_bytes()).hexdigest(),
                info.st_mtime_ns,
                info.st_mode,
            )
    return tree


@dataclass
class Desk:
    """Papers that were read, and plans for them."""

    papers: Path
    ledger: Ledger
    journal: Journal
    settings: Settings

    @property
    def target(self) -> Path:
        return self.papers / "tidy"

    def paper(self, name: str, content: bytes = b"", **columns: Any) -> Path:
        """A file whose document has been read."""
        path = self.papers / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content = content or name.encode()
        path.write_bytes(content)
        os.utime(path, ns=(10**18, 10**18 + len(name)))
        path.chmod(0o640)
        row = self.ledger.insert_document(
            hashlib.sha256(content).hexdigest(), path.name, path, path.stat(), "builtin", urgent=False
        )
        self.ledger.update_document(row.id, **{"state": State.DONE, "category": "letter", **columns})
        return path

    def plan(self, action: Action = Action.COPY, template: str = "{category}/{name}") -> Plan:
        return make_plan(self.ledger, self.journal, self.settings, self.target, action, template)

    @property
    def carrier(self) -> Carrier:
        return Carrier(self.settings, self.journal, self.ledger, lambda _: None)

    def states(self, plan: Plan) -> list[StepState]:
        return [step.state for step in self.journal.steps(plan.id)]

    def messages(self, plan: Plan) -> list[str]:
        return [step.message for step in self.journal.steps(plan.id)]

    def originals(self) -> set[str]:
        """Where the ledger says that originals are."""
        return {os.fsdecode(document.path) for document in self.ledger.documents()}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    papers = (tmp_path / "papers").resolve()
    papers.mkdir()
    settings = Settings(data_dir=tmp_path / "data")
    with Ledger.open(settings) as ledger, Journal.open(settings) as journal:
        yield Desk(papers, ledger, journal, settings)


ACTIONS = pytest.mark.parametrize("action", list(Action))


def test_a_dry_run_changes_nothing(desk: Desk) -> None:
    desk.paper("a.pdf")
    before = tree_of(desk.papers)
    plan = desk.plan(Action.MOVE)
    assert tree_of(desk.papers) == before
    assert desk.states(plan) == [StepState.PLANNED]


@ACTIONS
def test_a_plan_is_applied_and_undone(desk: Desk, action: Action) -> None:
    originals = {str(desk.paper(name)) for name in ("a.pdf", "sub/b.txt", "sub/c.txt")}
    before = tree_of(desk.papers)
    plan = desk.plan(action)
    desk.carrier.apply(plan)
    assert sorted(path.name for path in (desk.target / "letter").iterdir()) == ["a.pdf", "b.txt", "c.txt"]
    after = tree_of(desk.papers)
    assert after["tidy/letter/a.pdf"] == before["a.pdf"]  # with its time and rights
    assert ("a.pdf" in after) is (action is Action.COPY)
    moved = {str(desk.target / "letter" / Path(path).name) for path in originals}
    assert desk.originals() == (moved if action is Action.MOVE else originals)
    desk.carrier.undo(plan)
    assert tree_of(desk.papers) == before
    assert desk.originals() == originals
    assert set(desk.states(plan)) == {StepState.UNDONE}


def test_names_that_collide_are_numbered_and_nothing_is_replaced(desk: Desk) -> None:
    desk.paper("x/a.txt", b"1")
    desk.paper("y/A.txt", b"2")
    desk.paper("z/a.txt", b"3")
    (desk.target / "letter").mkdir(parents=True)
    (desk.target / "letter" / "a.TXT").write_text("precious")
    desk.carrier.apply(desk.plan())
    found = {path.name: path.read_text() for path in (desk.target / "letter").iterdir()}
    assert found == {"a.TXT": "precious", "a (2).txt": "1", "A (3).txt": "2", "a (4).txt": "3"}


@ACTIONS
def test_a_name_that_is_taken_meanwhile_is_not_replaced(desk: Desk, action: Action) -> None:
    desk.paper("a.txt", b"ours")
    plan = desk.plan(action)
    (desk.target / "letter").mkdir(parents=True)
    (desk.target / "letter" / "a.txt").write_text("precious")
    before = tree_of(desk.papers)
    desk.carrier.apply(plan)
    assert tree_of(desk.papers) == before
    assert desk.messages(plan) == ["something called a.txt is there"]


@ACTIONS
def test_a_file_that_changed_is_left_alone(desk: Desk, action: Action) -> None:
    path = desk.paper("a.txt", b"old")
    plan = desk.plan(action)
    path.write_bytes(b"new")
    desk.carrier.apply(plan)
    assert desk.states(plan) == [StepState.SKIPPED]
    assert desk.messages(plan) == ["has changed since"]
    assert path.read_bytes() == b"new"
    assert not (desk.target / "letter" / "a.txt").exists()


@ACTIONS
def test_what_was_changed_after_it_was_applied_is_not_undone_until_it_is_as_it_was(
    desk: Desk, action: Action
) -> None:
    desk.paper("a.txt", b"old")
    desk.paper("b.txt")
    before = tree_of(desk.papers)
    plan = desk.plan(action)
    desk.carrier.apply(plan)
    tidied = desk.target / "letter" / "a.txt"
    info = tidied.stat()
    tidied.write_bytes(b"a person's work")
    desk.carrier.undo(plan)
    assert desk.states(plan) == [StepState.DONE, StepState.UNDONE]
    assert desk.messages(plan)[0] == "not undone: has changed since"
    assert tidied.read_bytes() == b"a person's work"
    tidied.write_bytes(b"old")
    os.utime(tidied, ns=(info.st_atime_ns, info.st_mtime_ns))
    desk.carrier.undo(plan)
    assert tree_of(desk.papers) == before


def test_a_move_is_not_undone_over_a_new_file(desk: Desk) -> None:
    path = desk.paper("a.txt", b"old")
    plan = desk.plan(Action.MOVE)
    desk.carrier.apply(plan)
    path.write_bytes(b"new")
    desk.carrier.undo(plan)
    assert path.read_bytes() == b"new"
    assert (desk.target / "letter" / "a.txt").read_bytes() == b"old"
    assert desk.messages(plan) == ["not undone: something called a.txt is there"]


def test_folders_that_hold_something_else_stay(desk: Desk) -> None:
    desk.paper("a.txt")
    plan = desk.plan()
    desk.carrier.apply(plan)
    (desk.target / "letter" / "mine.txt").write_text("mine")
    desk.carrier.undo(plan)
    assert list(tree_of(desk.target)) == ["letter", "letter/mine.txt"]


@ACTIONS
def test_links_below_the_target_lead_nowhere(desk: Desk, action: Action, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    desk.paper("a.txt")
    plan = desk.plan(action)
    desk.target.mkdir()
    (desk.target / "letter").symlink_to(outside)
    desk.carrier.apply(plan)
    assert list(outside.iterdir()) == []
    assert desk.messages(plan) == ["a symbolic link or a file stands in the way of a folder"]
    assert (desk.papers / "a.txt").exists()


@ACTIONS
def test_an_original_that_becomes_a_link_is_left_alone(desk: Desk, action: Action, tmp_path: Path) -> None:
    path = desk.paper("a.txt")
    plan = desk.plan(action)
    secret = tmp_path / "secret"
    secret.write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(secret)
    desk.carrier.apply(plan)
    assert desk.messages(plan) == ["is a symbolic link now"]


def test_what_cannot_be_planned_says_why(desk: Desk) -> None:
    desk.paper("gone.txt").unlink()
    desk.paper("changed.txt").write_text("other, longer")
    swapped = desk.paper("same-size.txt")
    swapped.write_bytes(bytes(len("same-size.txt")))
    desk.paper("touched.txt").touch()
    desk.paper("tidy/letter/there.txt")
    desk.paper("unread.txt", state=State.RUNNING)
    plan = desk.plan()
    by_name = {step.source.name: (step.state, step.message) for step in desk.journal.steps(plan.id)}
    left_out = StepState.LEFT_OUT
    assert by_name == {
        "gone.txt": (left_out, "the original cannot be found: No such file or directory"),
        "changed.txt": (left_out, "the original has changed since it was read"),
        "same-size.txt": (left_out, "the original has changed since it was read"),
        "touched.txt": (StepState.PLANNED, ""),
        "there.txt": (left_out, "lies there already"),
    }


def test_tidying_again_finds_that_all_is_there(desk: Desk) -> None:
    desk.paper("a.txt")
    desk.carrier.apply(desk.plan())
    again = desk.plan()
    assert desk.messages(again) == ["lies there already"]


def test_targets_that_are_refused(desk: Desk) -> None:
    (desk.papers / "file").write_text("x")
    for target in (desk.papers / "file", desk.settings.data_dir / "x", desk.papers.parent):
        with pytest.raises(ConfigError):
            make_plan(desk.ledger, desk.journal, desk.settings, target, Action.COPY, "{name}")


def test_an_undone_plan_is_not_applied_again(desk: Desk) -> None:
    desk.paper("a.txt")
    plan = desk.plan()
    desk.carrier.apply(plan)
    desk.carrier.undo(plan)
    with pytest.raises(ShoeboxError, match="was undone"):
        desk.carrier.apply(plan)


def test_one_plan_at_a_time(desk: Desk) -> None:
    desk.paper("a.txt")
    plan = desk.plan()
    refused = []

    def try_another(_: object) -> None:
        with pytest.raises(ShoeboxError, match="already"):
            desk.carrier.undo(plan)
        refused.append(True)

    Carrier(desk.settings, desk.journal, desk.ledger, try_another).apply(plan)
    assert refused == [True]


@ACTIONS
def test_a_full_disk_is_said_and_the_plan_goes_on_later(
    desk: Desk, action: Action, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.paper("a.txt")
    desk.paper("b.txt")
    before = tree_of(desk.papers)
    plan = desk.plan(action)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.link", full)
        with pytest.raises(ServiceError, match="is full"):
            desk.carrier.apply(plan)
    desk.carrier.apply(plan)
    assert desk.states(plan) == [StepState.DONE, StepState.DONE]
    desk.carrier.undo(plan)
    assert tree_of(desk.papers) == before


def test_without_hard_links_nothing_is_replaced_either(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.paper("a.txt")
    desk.paper("b.txt")
    before = tree_of(desk.papers)
    plan = desk.plan(Action.MOVE)
    (desk.target / "letter").mkdir(parents=True)
    (desk.target / "letter" / "b.txt").write_text("precious")
    without_links(monkeypatch)
    desk.carrier.apply(plan)
    assert desk.states(plan) == [StepState.DONE, StepState.SKIPPED]
    assert (desk.target / "letter" / "b.txt").read_text() == "precious"
    desk.carrier.undo(plan)
    (desk.target / "letter" / "b.txt").unlink()
    (desk.target / "letter").rmdir()
    desk.target.rmdir()
    assert tree_of(desk.papers) == before


def test_an_undone_copy_stays_where_it_is_the_only_one(desk: Desk) -> None:
    path = desk.paper("a.txt", b"mine")
    plan = desk.plan()
    desk.carrier.apply(plan)
    path.unlink()
    desk.carrier.undo(plan)
    assert (desk.target / "letter" / "a.txt").read_bytes() == b"mine"
    assert "only copy" in desk.messages(plan)[0]
    path.write_bytes(b"mine")
    desk.carrier.undo(plan)
    assert not desk.target.exists()


@pytest.mark.parametrize("mode", ["copy", "move across"])
def test_a_full_disk_does_not_keep_from_undoing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    for name in ("a.txt", "b.txt"):
        desk.paper(name)
    before = tree_of(desk.papers)
    plan = desk.plan(Action.COPY if mode == "copy" else Action.MOVE)
    write = os.write
    written: list[int] = []

    def write_once(descriptor: int, content: bytes) -> int:
        if written:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(descriptor)
        return write(descriptor, content)

    if mode != "copy":
        across(monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write_once)
        with pytest.raises(ServiceError, match="is full"):
            desk.carrier.apply(plan)
        written.clear()  # room for one file: the one that goes back
        desk.carrier.undo(plan)
    assert tree_of(desk.papers) == before


def test_a_hard_link_of_the_users_own_at_the_new_place_stays(desk: Desk) -> None:
    path = desk.paper("a.txt")
    plan = desk.plan(Action.MOVE)
    (desk.target / "letter").mkdir(parents=True)
    (desk.target / "letter" / "a.txt").hardlink_to(path)
    before = tree_of(desk.papers)
    desk.carrier.apply(plan)
    assert desk.messages(plan) == ["something called a.txt is there"]
    desk.carrier.undo(plan)
    assert tree_of(desk.papers) == before


def test_folders_that_two_plans_use_go_with_the_last(desk: Desk) -> None:
    desk.paper("a.txt")
    first = desk.plan()
    desk.carrier.apply(first)
    desk.paper("b.txt")
    second = desk.plan()
    desk.carrier.apply(second)
    desk.carrier.undo(first)
    assert [path.name for path in (desk.target / "letter").iterdir()] == ["b.txt"]
    desk.carrier.undo(second)
    assert not desk.target.exists()


def test_what_another_home_is_copying_is_left_alone(desk: Desk, tmp_path: Path) -> None:
    """Two homes may tidy into one folder, and each has a plan p1."""
    used: list[set[str]] = []
    for home in ("one", "two"):
        settings = Settings(data_dir=tmp_path / home)
        with Ledger.open(settings) as ledger, Journal.open(settings) as journal:
            other = Desk(desk.papers, ledger, journal, settings)
            other.paper(f"{home}.txt")
            names: set[str] = set()
            with pytest.MonkeyPatch.context() as patch:

                def linked(
                    name: str, *rest: Any, into: set[str] = names, link: Any = os.link, **options: Any
                ) -> None:
                    into.add(name)
                    link(name, *rest, **options)

                patch.setattr(os, "link", linked)
                other.carrier.apply(other.plan())
            used.append(names)
    assert [len(names) for names in used] == [1, 1]
    assert used[0].isdisjoint(used[1])


def test_a_thousand_documents_that_are_called_alike_get_numbers(desk: Desk) -> None:
    with desk.ledger.transaction():
        for number in range(1000):
            desk.paper(f"{number}.txt")
    plan = desk.plan(template="{category}/{date}")
    targets = {str(step.target) for step in desk.journal.steps(plan.id)}
    assert targets == {"letter/undated.txt", *(f"letter/undated ({n}).txt" for n in range(2, 1001))}


# Ended at every instruction


class Killed(BaseException):
    """The process has ended: nothing more is done, not even in `finally`."""


class Death:
    """Ends the process before or after the n-th thing that it does to the disk."""

    def __init__(self, patch: pytest.MonkeyPatch, at: int) -> None:
        self.left = at
        for name in ("rename", "link", "unlink", "mkdir", "rmdir", "open", "utime", "fsync"):
            patch.setattr(os, name, self._wrapped(getattr(os, name)))
        patch.setattr("app.plans.spots.rename_to_free_name", self._wrapped(spots.rename_to_free_name))
        patch.setattr(Journal, "put", self._wrapped(Journal.put))
        patch.setattr(Journal, "note_folder", self._wrapped(Journal.note_folder))
        patch.setattr(Ledger, "update_document", self._wrapped(Ledger.update_document))

    def _wrapped(self, do: Callable[..., Any]) -> Callable[..., Any]:
        def act(*arguments: Any, **options: Any) -> Any:
            self._tick()
            result = do(*arguments, **options)
            self._tick()
            return result

        return act

    def _tick(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Killed


def without_links(patch: pytest.MonkeyPatch) -> None:
    """Make the file system one without hard links, such as FAT."""

    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    patch.setattr(os, "link", refused)


def across(patch: pytest.MonkeyPatch) -> None:
    """Make folders look like different file systems."""
    rename = os.rename

    def rename_within(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        if os.fstat(src_dir_fd).st_ino != os.fstat(dst_dir_fd).st_ino:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        rename(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    patch.setattr(os, "rename", rename_within)


MODES = pytest.mark.parametrize("mode", ["copy", "move", "move across"])
LINKS = pytest.mark.parametrize("has_links", [True, False], ids=["links", "no links"])


@MODES
@LINKS
@pytest.mark.parametrize("then", ["undo", "apply and undo"])
def test_a_plan_that_is_broken_off_anywhere_can_be_undone(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, mode: str, has_links: bool, then: str
) -> None:
    originals = {str(desk.paper("a.txt")), str(desk.paper("b.txt"))}
    before = tree_of(desk.papers)
    at = 0
    has_ended = False
    while not has_ended:
        plan = desk.plan(Action.COPY if mode == "copy" else Action.MOVE)
        with monkeypatch.context() as patch:
            if mode == "move across":
                across(patch)
            if not has_links:
                without_links(patch)
            with patch.context() as killing:
                Death(killing, at)
                try:
                    desk.carrier.apply(plan)
                    has_ended = True
                except Killed:
                    pass
            if then != "undo":
                desk.carrier.apply(plan)
                assert set(desk.states(plan)) == {StepState.DONE}, at
                assert set(tree_of(desk.target)) == {"letter", "letter/a.txt", "letter/b.txt"}, at
            desk.carrier.undo(plan)
        assert tree_of(desk.papers) == before, at
        assert desk.originals() == originals, at
        at += 1
    assert at > 20


@MODES
@LINKS
def test_undoing_that_is_broken_off_anywhere_can_be_gone_on_with(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, mode: str, has_links: bool
) -> None:
    originals = {str(desk.paper("a.txt")), str(desk.paper("b.txt"))}
    before = tree_of(desk.papers)
    at = 0
    has_ended = False
    while not has_ended:
        plan = desk.plan(Action.COPY if mode == "copy" else Action.MOVE)
        with monkeypatch.context() as patch:
            if mode == "move across":
                across(patch)
            if not has_links:
                without_links(patch)
            desk.carrier.apply(plan)
            with patch.context() as killing:
                Death(killing, at)
                try:
                    desk.carrier.undo(plan)
                    has_ended = True
                except Killed:
                    pass
            desk.carrier.undo(plan)
        assert tree_of(desk.papers) == before, at
        assert desk.originals() == originals, at
        assert set(desk.states(plan)) == {StepState.UNDONE}, at
        at += 1
    assert at > 20


# The commands


def test_the_commands(tmp_path: Path) -> None:
    system = System(tmp_path / "home")
    papers = tmp_path / "papers"
    papers.mkdir()
    with Ledger.open(system.settings) as ledger, Journal.open(system.settings) as journal:
        desk = Desk(papers.resolve(), ledger, journal, system.settings)
        desk.paper("a\x1b[31m.txt")
        desk.paper("gone.txt").unlink()
    before = tree_of(papers)
    dry = system.run("tidy", papers / "tidy", "--template", "{category}/{name}", "--move")
    assert "\x1b" not in dry.stdout
    assert "Nothing was changed" in dry.stderr
    assert tree_of(papers) == before
    refused = system.run("plans", "apply", "p1", check=False)
    assert refused.returncode == 1
    assert "--yes" in refused.stderr
    system.run("plans", "apply", "p1", "--yes")
    assert [path.name for path in (papers / "tidy" / "letter").iterdir()] == ["a[31m.txt"]
    facts = json.loads(system.run("plans", "show", "p1", "--json").stdout)
    assert {step["state"] for step in facts["steps"]} == {"done", "left out"}
    assert "p1  move to" in system.run("plans").stdout
    system.run("undo", "--yes")
    assert tree_of(papers) == before
    assert system.run("undo", check=False).returncode == 3
    for number in ("p9", "p" + "9" * 30):
        assert system.run("plans", "show", number, check=False).returncode == 3
    assert system.run("tidy", "x" * 300, check=False).returncode == 5
    wrong = system.run("tidy", papers / "tidy", "--template", "{nothing}", check=False)
    assert wrong.returncode == 5
    assert "{party}" in wrong.stderr


def test_a_target_that_became_a_link_is_not_followed(desk: Desk, tmp_path: Path) -> None:
    """Neither by what is applied nor by what is undone: it is not the folder that a person agreed to."""
    desk.paper("a.pdf")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    plan = desk.plan(Action.COPY)
    desk.target.symlink_to(elsewhere)
    with pytest.raises(ServiceError, match="leads elsewhere now"):
        desk.carrier.apply(plan)
    assert list(elsewhere.iterdir()) == []
    desk.target.unlink()
    desk.carrier.apply(plan)
    desk.target.rename(elsewhere / "moved")
    desk.target.symlink_to(elsewhere / "moved")
    before = tree_of(elsewhere)
    with pytest.raises(ServiceError, match="leads elsewhere now"):
        desk.carrier.undo(plan)
    assert tree_of(elsewhere) == before


def test_a_copy_is_not_left_where_the_original_cannot_be_removed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a read-only disk: nothing was done then, and nothing is left to be undone."""
    original = desk.paper("a.txt")
    plan = desk.plan(Action.MOVE)

    def refused(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patch:
        across(patch)
        patch.setattr("app.plans.placing.remove_copy", refused)
        desk.carrier.apply(plan)
    assert set(desk.states(plan)) == {StepState.SKIPPED}
    assert [path for path in desk.papers.rglob("*") if path.is_file()] == [original]
