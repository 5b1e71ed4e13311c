"""What a correction would change in similar documents, as the command line and the terminal UI offer it."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from app.requests import (
    Correct,
    CorrectSimilar,
    Reply,
    answer_line,
    parse_answer,
    parse_request,
    request_line,
)
from app.tui.app import ShoeboxApp
from app.tui.screens.confirm import Confirm
from tasks.examples import Change
from tasks.ledger import Ledger
from tasks.settings import Settings
from tests.samples.senders import invoices_by_sender
from tests.system import System
from tests.terminal import Terminal
from tests.test_corrections import Desk
from tests.test_learning import CLUB, corrected_club
from tests.tui import RecordingClerk, drive, screen_text, until

HOSTILE_CHANGE = Change("aaaa", "[red]x\x1b[31m.pdf", "seller", "[/]", "Acme\nLtd")


@pytest.fixture
def club(tmp_path: Path) -> tuple[System, list[str]]:
    """Three invoices of one sender in a home of their own, all called invoices by a person."""
    system = System(tmp_path)
    with Ledger.open(system.settings) as ledger:
        desk = Desk(ledger, system.settings, tmp_path)
        documents = corrected_club(desk, 3)
        for document in documents[1:]:
            desk.correct(document, "category", "invoice")
            desk.read_on(document)
    return system, documents


def numbers(system: System, documents: list[str]) -> list[str]:
    with Ledger.open(system.settings) as ledger:
        fields = [ledger.fields(document) for document in documents]
    return [next(field.value for field in own if field.name == "number") for own in fields]


RIGHT = [sample.truth["number"] for sample in CLUB]


def test_a_pipe_is_told_and_changes_nothing_until_it_says_so(club: tuple[System, list[str]]) -> None:
    system, documents = club
    said = system.run("correct", documents[0], "number", RIGHT[0])
    assert "Remembered. 2 similar documents would change:" in said.stderr
    assert f"number - -> {RIGHT[1]}" in said.stderr and "--similar` applies it" in said.stderr
    assert numbers(system, documents) == [RIGHT[0], "", ""]
    system.run("correct", documents[0], "number", RIGHT[0], "--similar")
    assert numbers(system, documents) == RIGHT


def test_show_says_what_was_learned_from_where(club: tuple[System, list[str]]) -> None:
    system, documents = club
    with Ledger.open(system.settings) as ledger:
        desk = Desk(ledger, system.settings, system.folder)
        desk.correct(documents[0], "number", RIGHT[0])
        fourth = desk.read(invoices_by_sender(4)[-3].text)
    assert f"learned from {documents[0]}" in system.run("show", fourth).stdout


def test_only_this_asks_nothing(club: tuple[System, list[str]]) -> None:
    system, documents = club
    said = system.run("correct", documents[0], "number", RIGHT[0], "--only-this")
    assert "Remembered" not in said.stderr
    assert numbers(system, documents) == [RIGHT[0], "", ""]


def test_a_person_is_asked(club: tuple[System, list[str]]) -> None:
    system, documents = club
    command = [sys.executable, "-m", "app", "correct", documents[0], "number", RIGHT[0]]
    terminal = Terminal(command, system.environment)
    try:
        terminal.await_text("2 similar documents would change")
        terminal.await_text("Apply?")
        terminal.send("y\r")
        assert terminal.await_end() == 0
    finally:
        terminal.close()
    assert numbers(system, documents) == RIGHT


@pytest.mark.parametrize(("keys", "is_applied"), [(("right", "enter"), True), (("enter",), False)])
def test_the_ui_asks_and_applies_only_what_was_agreed(
    settings: Settings, keys: tuple[str, ...], is_applied: bool
) -> None:
    async def scenario(app: ShoeboxApp, pilot: Pilot[Any]) -> None:
        assert isinstance(app.clerk, RecordingClerk)
        reply = app.clerk.reply
        app.clerk.reply = replace(reply, changes=(HOSTILE_CHANGE,))
        app.ask(Correct("bbbb", "seller", "Acme Ltd"))
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.pause()
        text = screen_text(app)
        assert "1 similar document would change. Apply?" in text
        assert "[red]x\\x1b[31m.pdf: seller [/] → Acme" in text
        app.clerk.reply = reply
        await pilot.press(*keys)
        await until(pilot, lambda: not isinstance(app.screen, Confirm))
        await pilot.pause()

    requests = drive(settings, scenario).requests
    assert (requests[-1] == CorrectSimilar((HOSTILE_CHANGE,))) is is_applied


def test_changes_survive_the_way_to_the_clerk_and_back() -> None:
    request = CorrectSimilar((HOSTILE_CHANGE,))
    assert parse_request(request_line(3, request)) == (3, request)
    reply = Reply(number=3, ok=True, message="done", changes=(HOSTILE_CHANGE,))
    assert parse_answer(answer_line(reply)) == reply
