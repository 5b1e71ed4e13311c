"""The In-tray on a real ledger: what it shows, and what its keys do."""

from typing import Any

import pytest
from textual.pilot import Pilot

from app.requests import Cancel, Remove, Request, Retry, SetUrgent, StartServices
from app.tui.app import ShoeboxApp
from app.tui.store import Filter, Sort
from app.tui.widgets.document_list import DocumentList
from app.tui.widgets.path_input import PathInput
from tasks.documents import Field, FieldStatus, Stage, State
from tasks.events import Event, EventKind
from tasks.ledger import Ledger
from tasks.settings import Settings
from tests.test_tui_store import enter
from tests.tui import HOSTILE, RecordingClerk, drive, screen_text, until

Driver = Pilot[Any]


def cursor(app: ShoeboxApp) -> str | None:
    """The name of the document under the cursor."""
    document = app.screen.query_one(DocumentList).cursor
    row = app.store.get(document or "")
    return None if row is None else row.name


def asked(app: ShoeboxApp, kind: type[Request]) -> list[Request]:
    """What the clerk was asked, of one kind."""
    assert isinstance(app.clerk, RecordingClerk)
    return [request for request in app.clerk.requests if isinstance(request, kind)]


def test_rows_show_state_name_stage_category_party_amount_and_date(
    settings: Settings, ledger: Ledger
) -> None:
    enter(
        ledger,
        "bill.pdf",
        state=State.DONE,
        category="invoice",
        confidence=0.97,
        party="Acme",
        amount="12.50",
        currency="EUR",
        date="2026-03-04",
        page_count=3,
    )

    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        text = screen_text(app)
        for words in ("done", "bill.pdf", "3 p", "invoice 97%", "Acme", "12.50 EUR", "2026-03-04", "[All 1]"):
            assert words in text

    drive(settings, scenario, size=(200, 30))


@pytest.mark.parametrize("size", [(80, 24), (60, 15), (124, 30), (250, 60)])
def test_it_fits_every_terminal(settings: Settings, ledger: Ledger, size: tuple[int, int]) -> None:
    enter(ledger, "bill.pdf", state=State.REVIEW, category="invoice", confidence=0.4)

    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        text = screen_text(app)
        assert "bill.pdf" in text
        assert "review" in text
        assert app.screen.query_one(PathInput).region.bottom <= size[1]
        assert all(len(line) <= size[0] for line in text.split("\n"))

    drive(settings, scenario, size=size)


def test_the_preview_shows_summary_and_fields_where_there_is_room(settings: Settings, ledger: Ledger) -> None:
    document = enter(ledger, "bill.pdf", state=State.DONE, summary="Bill for gardening.", title="Garden")
    field = Field(name="total", value="12.50", quote="12,50", page=2, status=FieldStatus.VERIFIED)
    ledger.put_fields(document, [field, Field(name="due", value="", status=FieldStatus.MISSING)])

    async def wide(app: ShoeboxApp, pilot: Driver) -> None:
        text = screen_text(app)
        for words in ("Bill for gardening.", "total: 12.50", "p. 2", "verified", "due: not found"):
            assert words in text

    async def narrow(app: ShoeboxApp, pilot: Driver) -> None:
        assert "gardening" not in screen_text(app)

    drive(settings, wide, size=(140, 30))
    drive(settings, narrow, size=(80, 24))


def test_live_tokens_are_shown_until_the_document_has_ended(settings: Settings, ledger: Ledger) -> None:
    document = enter(ledger, "bill.pdf", state=State.RUNNING, stage=Stage.ANALYSE)

    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        for words in ("It is a [bold]bill", " over\x1b[31m 12 EUR"):
            app._take_events(
                [
                    Event(
                        kind=EventKind.TEXT,
                        document=document,
                        state=State.RUNNING,
                        stage=Stage.ANALYSE,
                        text=words,
                    )
                ]
            )
        await until(pilot, lambda: "It is a [bold]bill over\\x1b[31m 12 EUR" in screen_text(app))
        ledger.update_document(document, state=State.DONE, summary="A bill.")
        ended = Event(kind=EventKind.DOCUMENT, document=document, state=State.DONE, stage=Stage.ANALYSE)
        app._take_events([ended])
        await until(pilot, lambda: "A bill." in screen_text(app))
        assert "[bold]" not in screen_text(app)

    drive(settings, scenario, size=(160, 30))


def test_the_keys_move_a_cursor_that_stays_on_its_document(settings: Settings, ledger: Ledger) -> None:
    for number in range(100):
        enter(ledger, f"{number:03}.pdf")

    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        assert cursor(app) == "099.pdf"
        await pilot.press("down", "down")
        assert cursor(app) == "097.pdf"
        await pilot.press("end")
        assert cursor(app) == "000.pdf"
        assert "000.pdf" in screen_text(app)
        await pilot.press("home", "pagedown")
        far = cursor(app)
        assert far not in {"099.pdf", "000.pdf"}
        new = enter(ledger, "100.pdf")
        app._take_events(
            [Event(kind=EventKind.DOCUMENT, document=new, state=State.WAITING, stage=Stage.EXTRACT)]
        )
        await until(pilot, lambda: len(app.store) == 101)
        assert cursor(app) == far
        assert app.screen.query_one(PathInput).has_focus

    drive(settings, scenario, size=(100, 24))


def test_filters_and_orders_are_chosen_by_key_and_by_mouse(settings: Settings, ledger: Ledger) -> None:
    enter(ledger, "a-done.pdf", state=State.DONE)
    enter(ledger, "b-failed.pdf", state=State.FAILED)

    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        await pilot.press("f6")
        assert app.store.filter is Filter.REVIEW
        assert "No document is in this state" in screen_text(app)
        await pilot.press("left")
        assert app.store.filter is Filter.ALL
        await pilot.click("FilterBar", offset=(screen_text(app).split("\n")[0].index("Failed") + 1, 0))
        assert app.store.filter is Filter.FAILED
        assert "a-done.pdf" not in screen_text(app)
        await pilot.press("right")
        assert app.store.filter is Filter.ALL
        title = screen_text(app).split("\n")[1].index("name")
        await pilot.click("ListHeader", offset=(title, 0))
        assert (app.store.sort, app.store.descending) == (Sort.NAME, False)
        assert next(line for line in screen_text(app).split("\n") if ".pdf" in line).count("a-done") == 1
        await pilot.click("ListHeader", offset=(title, 0))
        assert app.store.descending
        await pilot.press("f7")
        assert app.store.sort is Sort.CATEGORY

    drive(settings, scenario, size=(100, 24))


def test_actions_are_for_the_marked_documents_else_for_the_one_under_the_cursor(
    settings: Settings, ledger: Ledger
) -> None:
    old = enter(ledger, "old.pdf")
    new = enter(ledger, "new.pdf")

    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        await pilot.press("f2")
        await pilot.press("space", "space")
        assert "2 marked" in screen_text(app)
        await pilot.press("f2")
        await pilot.press("escape")
        assert not app.store.marked
        await until(pilot, lambda: len(asked(app, SetUrgent)) == 2)

    clerk = drive(settings, scenario)
    assert [one for one in clerk.requests if isinstance(one, SetUrgent)] == [
        SetUrgent((new,)),
        SetUrgent((new, old)),
    ]
    assert isinstance(clerk.requests[0], StartServices)


def test_cancel_of_one_is_done_and_of_several_asked_about(settings: Settings, ledger: Ledger) -> None:
    old = enter(ledger, "old.pdf")
    new = enter(ledger, "new.pdf")

    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        await pilot.press("f8")
        await pilot.press("ctrl+@", "f8")
        await until(pilot, lambda: "2" in screen_text(app) and len(app.screen_stack) > 2)
        await pilot.press("enter")  # the safe button has the focus
        await until(pilot, lambda: len(app.screen_stack) == 2)
        await pilot.press("f8")
        await until(pilot, lambda: len(app.screen_stack) > 2)
        await pilot.press("tab", "enter")
        await until(pilot, lambda: len(app.screen_stack) == 2)

    clerk = drive(settings, scenario)
    assert [set(one.documents) for one in clerk.requests if isinstance(one, Cancel)] == [{new}, {new, old}]


def test_forget_always_asks(settings: Settings, ledger: Ledger) -> None:
    document = enter(ledger, "a.pdf", state=State.DONE)

    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        await pilot.press("delete")
        await until(pilot, lambda: len(app.screen_stack) > 2)
        assert "a.pdf" in screen_text(app)
        await pilot.press("escape")
        await until(pilot, lambda: len(app.screen_stack) == 2)
        await pilot.press("delete")
        await until(pilot, lambda: len(app.screen_stack) > 2)
        await pilot.press("tab", "enter")
        await until(pilot, lambda: len(app.screen_stack) == 2)

    clerk = drive(settings, scenario)
    assert [one for one in clerk.requests if isinstance(one, Remove)] == [Remove((document,))]


def test_no_letter_is_a_command_whatever_has_the_focus(settings: Settings, ledger: Ledger) -> None:
    enter(ledger, "a.pdf", state=State.FAILED)

    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        app.screen.query_one(DocumentList).focus()
        await pilot.pause()
        typed = "/home/qxdyn?!'.pdf"
        for character in typed:
            await pilot.press(
                {
                    "/": "slash",
                    "?": "question_mark",
                    "!": "exclamation_mark",
                    "'": "apostrophe",
                    ".": "full_stop",
                }.get(character, character)
            )
        assert app.screen.query_one(PathInput).value == typed
        assert len(app.screen_stack) == 2

    clerk = drive(settings, scenario)
    assert not [one for one in clerk.requests if isinstance(one, Cancel | Retry | Remove)]


def test_hostile_names_and_texts_are_only_ever_text(settings: Settings, ledger: Ledger) -> None:
    for number, text in enumerate(HOSTILE):
        document = enter(
            ledger,
            f"{number}{text}",
            state=State.REVIEW,
            title=text,
            summary=text,
            party=text,
            amount=text,
            date=text,
            category=text,
            message=text,
            remedy=text,
        )
        ledger.put_fields(document, [Field(name="total", value=text, quote=text, page=1)])

    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        for _ in HOSTILE:
            text = screen_text(app)
            assert not {character for character in text if ord(character) < 32 and character != "\n"}
            assert "\u202e" not in text
            app.say(app.store.get(app.screen.query_one(DocumentList).cursor or "").title)  # type: ignore[union-attr]
            await pilot.press("down")
            await pilot.pause()
            await pilot.click("Preview", offset=(5, 3))
        seen = screen_text(app)
        assert "[red]red[/red].pdf" in seen
        assert "[@click=app.quit]click[/].pdf" in seen
        assert "\\x1b[2J" in seen
        assert "\\u202e" in seen
        assert app.is_running

    drive(settings, scenario, size=(170, 40))


def test_the_choice_of_theme_filter_and_order_is_remembered(settings: Settings, ledger: Ledger) -> None:
    async def choose(app: ShoeboxApp, pilot: Driver) -> None:
        app.theme = "nord"
        await pilot.press("f6", "f7")

    async def look(app: ShoeboxApp, pilot: Driver) -> None:
        assert (app.theme, app.store.filter, app.store.sort) == ("nord", Filter.REVIEW, Sort.STATE)

    drive(settings, choose)
    drive(settings, look)
    (settings.data_dir / "ui.json").write_text("{broken")

    async def look_again(app: ShoeboxApp, pilot: Driver) -> None:
        assert app.store.filter is Filter.ALL

    drive(settings, look_again)


def test_help_and_palette_know_every_action(settings: Settings, ledger: Ledger) -> None:
    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        await pilot.press("f1")
        text = screen_text(app)
        assert "In-tray" in text
        for words in ("Drop files", "Open the document under the cursor."):
            assert words in text
        await pilot.press("escape", "ctrl+p")
        await until(pilot, lambda: "Open" in screen_text(app))
        await pilot.press(*"read it again")
        await until(pilot, lambda: "Retry" in screen_text(app))

    drive(settings, scenario, size=(120, 50))


def test_keys_can_be_changed_in_the_settings(settings: Settings, ledger: Ledger) -> None:
    document = enter(ledger, "a.pdf")
    changed = settings.model_copy(update={"keys": {"intray.urgent": "ctrl+u"}})

    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        await pilot.press("f2")
        await pilot.press("f2")
        app.screen.query_one(DocumentList).focus()
        await pilot.press("ctrl+u")
        await until(pilot, lambda: asked(app, SetUrgent))

    clerk = drive(changed, scenario)
    assert [one for one in clerk.requests if isinstance(one, SetUrgent)] == [SetUrgent((document,))]


def test_a_key_that_cannot_work_is_said(settings: Settings, ledger: Ledger) -> None:
    changed = settings.model_copy(update={"keys": {"intray.rety": "ctrl+r", "intray.retry": "r"}})

    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        await until(pilot, lambda: "There is no action 'intray.rety'" in screen_text(app))
        await until(pilot, lambda: "intray.retry cannot be on 'r'" in screen_text(app))

    drive(changed, scenario)


def test_what_there_is_nothing_for_changes_nothing_and_asks_nothing(
    settings: Settings, ledger: Ledger
) -> None:
    """Review with nothing to review, and Export of a filter that shows nothing: no ids would mean all."""
    enter(ledger, "bill.pdf", state=State.DONE)

    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        await pilot.press("ctrl+r")
        await pilot.pause()
        assert app.store.filter is Filter.ALL
        assert "bill.pdf" in screen_text(app)
        app.store.show(Filter.REVIEW)
        screen = app.screen
        await pilot.press("f9")
        await pilot.pause()
        assert app.screen is screen

    drive(settings, scenario)
