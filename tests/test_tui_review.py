"""Review in the terminal UI: one key a decision, the doubted value in sight, the next document at once."""

from typing import Any

from textual.pilot import Pilot

from app.requests import Accept
from app.tui.app import ShoeboxApp
from app.tui.screens.document import DocumentScreen
from app.tui.widgets.field_list import FieldList
from app.tui.widgets.path_input import PathInput
from tasks.documents import Field, FieldStatus, Page, State, TextSource
from tasks.ledger import Ledger
from tasks.settings import Settings
from tests.test_tui_intray import asked
from tests.test_tui_store import enter
from tests.tui import drive, screen_text, until

TEXT = "Invoice of 6 March 2026\nTotal 12.50 EUR, due 1 March 2026"
MESSAGES = (
    "The due date 2026-03-01 is before the date 2026-03-06.",
    "The category 'invoice' is uncertain (41%).",
    "Net 1.00 and tax 2.00 make 3.00, not the total of 12.50.",
)


def doubtful(ledger: Ledger) -> list[str]:
    """A document for each reason, the newest with the first, and fine ones in between; their ids."""
    documents = []
    for number, message in reversed(list(enumerate(MESSAGES))):
        document = enter(ledger, f"bill{number}.pdf", state=State.REVIEW, category="invoice", message=message)
        ledger.put_pages(document, [Page(number=1, text=TEXT, source=TextSource.LAYER, score=1.0)])
        ledger.put_fields(document, [field("date", "6 March 2026"), field("due_date", "1 March 2026")])
        enter(ledger, f"fine{number}.pdf", state=State.DONE, category="invoice")
        documents.append(document)
    return documents[::-1]


def field(name: str, quote: str) -> Field:
    start = TEXT.index(quote)
    return Field(
        name=name,
        value=quote,
        quote=quote,
        page=1,
        start=start,
        end=start + len(quote),
        status=FieldStatus.VERIFIED,
    )


def page(app: ShoeboxApp) -> DocumentScreen:
    assert isinstance(app.screen, DocumentScreen)
    return app.screen


async def shows(app: ShoeboxApp, pilot: Pilot[Any], name: str) -> None:
    await until(
        pilot,
        lambda: isinstance(app.screen, DocumentScreen) and app.screen.is_ready and name in screen_text(app),
    )
    await pilot.pause()


def cursor(app: ShoeboxApp) -> str:
    line = app.screen.query_one(FieldList).cursor
    return line.name if line else ""


def test_documents_follow_each_other_with_the_doubted_value_in_sight(
    settings: Settings, ledger: Ledger
) -> None:
    first, second, third = doubtful(ledger)

    async def scenario(app: ShoeboxApp, pilot: Pilot[Any]) -> None:
        await pilot.press("ctrl+r")
        await shows(app, pilot, "bill0.pdf")
        assert cursor(app) == "due_date"
        assert "1 of 3" in screen_text(app)
        await pilot.press("ctrl+k")
        await shows(app, pilot, "bill1.pdf")
        assert cursor(app) == "category"
        await pilot.press("ctrl+k")
        await shows(app, pilot, "bill2.pdf")
        await pilot.press("ctrl+k")
        await until(pilot, lambda: len(asked(app, Accept)) == 3)
        await until(pilot, lambda: "That was the last one." in screen_text(app))

    requests = drive(settings, scenario).requests
    assert [one.documents for one in requests if isinstance(one, Accept)] == [(first,), (second,), (third,)]


def test_a_document_that_a_correction_has_settled_is_followed_by_the_next(
    settings: Settings, ledger: Ledger
) -> None:
    first, *_ = doubtful(ledger)

    async def scenario(app: ShoeboxApp, pilot: Pilot[Any]) -> None:
        await pilot.press("ctrl+r")
        await shows(app, pilot, "bill0.pdf")
        ledger.update_document(first, state=State.DONE, message="")
        app.store.refresh(ledger, [first])
        await pilot.press("ctrl+down")
        await shows(app, pilot, "bill1.pdf")
        await pilot.press("ctrl+up")
        await pilot.pause()
        assert "bill1.pdf" in screen_text(app)  # the one before is not shown any more

    drive(settings, scenario)


def test_with_nothing_to_review_that_is_said(settings: Settings, ledger: Ledger) -> None:
    enter(ledger, "fine.pdf", state=State.DONE)

    async def scenario(app: ShoeboxApp, pilot: Pilot[Any]) -> None:
        await pilot.press("ctrl+r")
        await until(pilot, lambda: "Nothing needs review." in screen_text(app))
        app.screen.query_one(PathInput).focus()

    drive(settings, scenario)
