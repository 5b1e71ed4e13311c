"""The clerk and whole folders: plans are made, applied and undone, folders watched and no longer."""

import os
from pathlib import Path

from app.requests import ApplyPlan, MakePlan, UndoPlan, UnwatchFolder, WatchFolder
from app.tui.clerk import ClerkClient
from app.watch.journal import Journal
from tasks.documents import State
from tasks.ledger import Ledger
from tasks.pipeline import Pipeline
from tasks.settings import Settings
from tests.system import running
from tests.test_clerk import talk
from tests.test_plans import tree_of


def test_plans(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    papers = tmp_path / "papers"
    papers.mkdir()
    for name in ("a.txt", "b.txt"):
        (papers / name).write_text(name)
    with Ledger.open(settings) as ledger:
        for name in ("a.txt", "b.txt"):
            document = Pipeline(ledger, settings).submit(papers / name, "builtin", urgent=False).document
            ledger.update_document(document.id, state=State.DONE, title=name[0], category="letter")
    before = tree_of(papers)

    async def scenario(client: ClerkClient) -> None:
        made = await client.ask(MakePlan(str(papers / "tidy"), move=True))
        assert made.message.endswith("2 planned.")
        assert tree_of(papers) == before
        (papers / "b.txt").write_text("changed")
        applied = await client.ask(ApplyPlan(1))
        assert [(problem.name, problem.reason) for problem in applied.problems] == [
            ("b.txt", "has changed since")
        ]
        assert (papers / "tidy" / "letter" / "undated_a.txt").exists()
        undone = await client.ask(UndoPlan(1))
        assert "1 skipped, 1 undone" in undone.message
        assert tree_of(papers)["a.txt"] == before["a.txt"]
        assert not (papers / "tidy").exists()
        refused = await client.ask(ApplyPlan(7))
        assert not refused.ok
        assert "There is no plan p7" in refused.message

    talk(settings, scenario)


def test_watching(tmp_path: Path) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    with running(tmp_path / "home") as system:
        environment = {name: value for name, value in system.environment.items() if name not in os.environ}

        async def scenario(client: ClerkClient) -> None:
            assert (await client.ask(WatchFolder(str(folder), move_taken=True))).ok
            with Journal.open(system.settings) as journal:
                assert [(one.path, one.is_on, one.moves_taken) for one in journal.folders()] == [
                    (folder.resolve(), True, True)
                ]
            refused = await client.ask(WatchFolder(str(folder / "none")))
            assert not refused.ok
            assert "does not exist" in refused.message
            assert (await client.ask(UnwatchFolder(str(folder)))).ok
            with Journal.open(system.settings) as journal:
                assert not journal.folders()[0].is_on

        talk(system.settings, scenario, **environment)
