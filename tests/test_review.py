"""Going through what needs review, on a terminal and in a pipe."""

import sys
from pathlib import Path

import pytest

from tasks.documents import Field, FieldStatus, Page, State, TextSource
from tasks.ledger import Ledger
from tasks.said import corrections
from tests.system import System
from tests.terminal import Terminal
from tests.test_tui_store import enter


@pytest.fixture
def system(tmp_path: Path) -> System:
    """Three documents that need review, the first with a hostile name, and one that does not."""
    system = System(tmp_path)
    with Ledger.open(system.settings) as ledger:
        for name in ("first\x1b[31m.pdf", "second.pdf", "third.pdf"):
            document = enter(
                ledger, name, state=State.REVIEW, category="invoice", message="Net and tax do not agree."
            )
            ledger.put_pages(document, [Page(number=1, text="text", source=TextSource.LAYER, score=1.0)])
            ledger.put_fields(document, [Field(name="number", value="1", status=FieldStatus.VERIFIED)])
        enter(ledger, "done.pdf", state=State.DONE)
    return system


def test_a_pipe_gets_documents_and_reasons(system: System) -> None:
    lines = system.run("review").stdout.splitlines()
    assert [line.split("\t")[1:] for line in lines] == [
        ["first\\x1b[31m.pdf", "Net and tax do not agree."],
        ["second.pdf", "Net and tax do not agree."],
        ["third.pdf", "Net and tax do not agree."],
    ]


def test_one_key_a_decision(system: System) -> None:
    terminal = Terminal([sys.executable, "-m", "app", "review"], system.environment)
    try:
        terminal.await_text("1 of 3")
        terminal.await_text("[q]uit")
        assert b"\x1b[31m" not in terminal.output
        terminal.forget()
        terminal.send("a")
        terminal.await_text("2 of 3")
        terminal.await_text("[q]uit")
        terminal.forget()
        terminal.send("c")
        terminal.await_text("Field")
        terminal.send("nonsense\r")
        terminal.await_text("What is right")
        terminal.send("x\r")
        terminal.await_text("has no field 'nonsense'")
        terminal.await_text("[q]uit")
        terminal.forget()
        terminal.send("c")
        terminal.await_text("Field")
        terminal.send("number\r")
        terminal.await_text("What is right")
        terminal.send("4711\r")
        terminal.await_text("4711  (corrected")
        terminal.await_text("[q]uit")
        terminal.forget()
        terminal.send("\x1b[A" + "nq")  # an arrow key is no Escape; what is typed ahead counts
        terminal.await_text("3 of 3")
        assert terminal.await_end() == 0
    finally:
        terminal.close()
    with Ledger.open(system.settings) as ledger:
        first, second, third, _ = ledger.documents()
        assert first.state is State.DONE
        assert corrections(ledger, first.id)[-1].field == "*"
        assert [one.new for one in corrections(ledger, second.id)] == ["4711"]
        assert third.state is State.REVIEW
    assert "accepted as it is" in system.run("show", first.id).stdout
