"""A document's page on a real ledger: what it shows, what it highlights, and how it corrects."""

import gc
from pathlib import Path
from typing import Any

import pytest
from textual.events import Paste
from textual.pilot import Pilot
from textual.widget import Widget
from textual.widgets import Input

from app.requests import Accept, AddFiles, Correct, Export, Remove
from app.tui.app import ShoeboxApp
from app.tui.screens.choose_category import ChooseCategory
from app.tui.screens.confirm import Confirm
from app.tui.screens.document import DocumentScreen
from app.tui.screens.intray import InTray
from app.tui.screens.save_as import SaveAs
from app.tui.widgets.field_list import FieldList
from app.tui.widgets.path_input import PathInput
from app.tui.widgets.text_view import TextView, drawn, wrap
from tasks.documents import Field, FieldStatus, Page, Stage, State, TextSource
from tasks.engines.llm.base import CallTrace
from tasks.events import Event, EventKind
from tasks.ledger import Ledger
from tasks.said import BY_PERSON, EVIDENCE
from tasks.settings import Settings
from tests.test_tui_intray import asked
from tests.test_tui_store import enter
from tests.tui import HOSTILE, drive, screen_text, until

Driver = Pilot[Any]
TEXT = "Bill 書類\x1b[2J for gardening\nTotal due 12,50 EUR by Friday"


def enter_bill(ledger: Ledger, **columns: Any) -> str:
    """A bill of two pages with two fields on the second."""
    values = {"state": State.DONE, "category": "invoice", "confidence": 0.9, "summary": "A bill.", **columns}
    document = enter(ledger, "bill.pdf", **values)
    ledger.put_pages(
        document,
        [
            Page(number=1, text="First page\n" * 80, source=TextSource.LAYER, score=1.0),
            Page(number=2, text=TEXT, source=TextSource.OCR, score=0.91, rotation=90),
        ],
    )
    start = TEXT.index("12,50")
    total = Field(
        name="total",
        value="12.50",
        quote="12,50",
        page=2,
        start=start,
        end=start + 5,
        status=FieldStatus.VERIFIED,
        confidence=0.9,
    )
    ledger.put_fields(document, [total, Field(name="date", value="", status=FieldStatus.MISSING)])
    return document


def highlighted(app: ShoeboxApp) -> str:
    """The text that stands out."""
    view = app.screen.query_one(TextView)
    style = view.get_component_rich_style("text--highlight")
    lines = [view.render_line(y) for y in range(view.size.height)]
    return "".join(segment.text for line in lines for segment in line if segment.style == style)


async def opened(app: ShoeboxApp, pilot: Driver, document: str, **options: bool) -> DocumentScreen:
    """The page of a document, with everything on it."""
    app.open_document(document, **options)
    page: list[DocumentScreen] = []

    def is_open() -> bool:
        page[:] = [one for one in app.screen_stack if isinstance(one, DocumentScreen) and one.is_ready]
        return bool(page) and page[0].query_one(FieldList).cursor is not None

    await until(pilot, is_open)
    await pilot.pause()
    return page[0]


def test_fields_stand_beside_the_text_with_the_quote_highlighted(settings: Settings, ledger: Ledger) -> None:
    document = enter_bill(ledger)

    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        await opened(app, pilot, document)
        text = screen_text(app)
        for words in ("bill.pdf", "done", "1 of 1", "12.50", "verified 90% p. 2", "not found", "First page"):
            assert words in text
        assert "Page 1 of 2   text layer" in text
        assert highlighted(app) == ""
        await pilot.press("down")
        await until(pilot, lambda: highlighted(app) == "12,50")
        text = screen_text(app)
        assert "Page 2 of 2   OCR, score 0.91, turned by 90°" in text
        assert "書類\\x1b[2J for gardening" in text
        await pilot.press("down")
        await until(pilot, lambda: highlighted(app) == "")

    drive(settings, scenario, size=(130, 34))


def test_on_80_columns_there_is_one_view_at_a_time(settings: Settings, ledger: Ledger) -> None:
    document = enter_bill(ledger)

    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        await opened(app, pilot, document)
        assert "12.50" in screen_text(app)
        assert "First page" not in screen_text(app)
        await pilot.press("down", "f6")
        await until(pilot, lambda: highlighted(app) == "12,50")
        assert "verified" not in screen_text(app)
        await pilot.press("right")
        await until(pilot, lambda: "A bill." in screen_text(app))
        await pilot.press("right")
        await until(pilot, lambda: "No language model was asked" in screen_text(app))
        await pilot.press("left", "left", "left")
        await until(pilot, lambda: "verified" in screen_text(app))
        assert app.screen.query_one(PathInput).region.bottom <= 24

    drive(settings, scenario, size=(80, 24))


def test_pages_are_turned_by_keys(settings: Settings, ledger: Ledger) -> None:
    document = enter(ledger, "long.pdf", state=State.DONE, category="report")
    ledger.put_pages(
        document,
        [
            Page(number=number, text=f"This is page {number}.", source=TextSource.LAYER, score=1.0)
            for number in range(1, 401)
        ],
    )

    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        await opened(app, pilot, document)
        assert "Page 1 of 400" in screen_text(app)
        await pilot.press("ctrl+right", "pagedown")
        await until(pilot, lambda: "This is page 3." in screen_text(app))
        await pilot.press("ctrl+left")
        await until(pilot, lambda: "This is page 2." in screen_text(app))
        await pilot.press("pageup", "pageup", "pageup")
        await until(pilot, lambda: "This is page 1." in screen_text(app))

    drive(settings, scenario, size=(130, 34))


def test_a_field_is_corrected_in_place(settings: Settings, ledger: Ledger) -> None:
    document = enter_bill(ledger)

    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        screen = await opened(app, pilot, document)
        await pilot.press("down", "f4")
        await until(pilot, lambda: screen.query_one(FieldList).is_editing)
        await pilot.press("end", *["backspace"] * 5, "1", "3")
        ledger.update_document(document, title="Another title")
        app._take_events(
            [Event(kind=EventKind.DOCUMENT, document=document, state=State.DONE, stage=Stage.ANALYSE)]
        )
        await until(pilot, lambda: "Another title" in screen_text(app))
        await pilot.press("full_stop", "0", "0", "enter")
        await until(pilot, lambda: asked(app, Correct))
        assert not screen.query_one(FieldList).is_editing

    assert drive(settings, scenario).requests[-1] == Correct(document, "total", "13.00")


def test_escape_leaves_a_correction_and_only_then_the_page(settings: Settings, ledger: Ledger) -> None:
    document = enter_bill(ledger)

    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        screen = await opened(app, pilot, document)
        await pilot.press("down", "enter")
        await until(pilot, lambda: screen.query_one(FieldList).is_editing)
        await pilot.press("9", "escape")
        await until(pilot, lambda: not screen.query_one(FieldList).is_editing)
        assert app.screen is screen
        assert "12.50" in screen_text(app)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is not screen)

    assert not [one for one in drive(settings, scenario).requests if isinstance(one, Correct)]


def test_the_category_is_chosen_from_those_of_the_recipe(settings: Settings, ledger: Ledger) -> None:
    document = enter_bill(ledger)

    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        await opened(app, pilot, document, correct=True)
        await until(pilot, lambda: isinstance(app.screen, ChooseCategory))
        assert "receipt" in screen_text(app)
        await pilot.press("down", "enter")
        await until(pilot, lambda: asked(app, Correct))

    assert drive(settings, scenario).requests[-1] == Correct(document, "category", "receipt")


def test_a_value_can_be_pasted_and_files_dropped_while_correcting(
    settings: Settings, ledger: Ledger, tmp_path: Path
) -> None:
    document = enter_bill(ledger)
    file = tmp_path / "dropped.txt"
    file.write_text("x")

    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        screen = await opened(app, pilot, document)
        await pilot.press("down", "down", "f4")
        await until(pilot, lambda: screen.query_one(FieldList).is_editing)
        typed = screen.query_one(FieldList).query_one(Input)
        app.post_message(Paste("3 May 2026"))
        await until(pilot, lambda: typed.value == "3 May 2026")
        app.post_message(Paste(str(file)))
        await until(pilot, lambda: asked(app, AddFiles))
        assert typed.value == "3 May 2026"

    drive(settings, scenario)


def test_what_the_model_writes_is_shown_while_it_writes(settings: Settings, ledger: Ledger) -> None:
    document = enter(ledger, "new.pdf", state=State.RUNNING, stage=Stage.ANALYSE, category="letter")

    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        await opened(app, pilot, document)
        written = Event(
            kind=EventKind.TEXT,
            document=document,
            state=State.RUNNING,
            stage=Stage.ANALYSE,
            text='{"summary": "A [red]letter',
        )
        app._take_events([written])
        await until(pilot, lambda: '{"summary": "A [red]letter' in screen_text(app))
        for number in range(90):
            app._take_events([written.model_copy(update={"text": f"\nline {number}"})])
            await pilot.pause()
        await until(pilot, lambda: "line 89" in screen_text(app))
        ledger.update_document(document, state=State.DONE, summary="A short letter.")
        app._take_events(
            [Event(kind=EventKind.DOCUMENT, document=document, state=State.DONE, stage=Stage.ANALYSE)]
        )
        await until(pilot, lambda: "A short letter." in screen_text(app))

    drive(settings, scenario, size=(130, 34))


def test_the_trace_shows_every_call(settings: Settings, ledger: Ledger) -> None:
    document = enter_bill(ledger)
    call = CallTrace(
        engine="ollama", model="m\x1b[1m", purpose="fields", prompt_sha256="ab", prompt="[/] Read:\nthis",
        reply='{"total": "[bold]12"}', prompt_tokens=100, reply_tokens=7, seconds=1.5, done_reason="stop",
    )  # fmt: skip
    ledger.put_call(document, Stage.ANALYSE, 1, call)

    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        await opened(app, pilot, document)
        await pilot.press("f6", "f6")
        await until(pilot, lambda: "call 1: fields" in screen_text(app))
        text = screen_text(app)
        for words in ("by m\\x1b[1m", "100 tokens read", "7 written", "[/] Read:", '{"total": "[bold]12"}'):
            assert words in text

    drive(settings, scenario, size=(150, 40))


def test_a_document_that_is_forgotten_closes_its_page(settings: Settings, ledger: Ledger) -> None:
    document = enter_bill(ledger)

    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        screen = await opened(app, pilot, document)
        row = ledger.document(document)
        assert row is not None
        ledger.delete_document(row)
        app._take_events(
            [Event(kind=EventKind.DOCUMENT, document=document, state=State.DONE, stage=Stage.ANALYSE)]
        )
        await until(pilot, lambda: app.screen is not screen)
        assert app.is_running

    drive(settings, scenario)


def test_forget_and_export_from_the_page(settings: Settings, ledger: Ledger, tmp_path: Path) -> None:
    document = enter_bill(ledger)
    target = tmp_path / "out.jsonl"
    target.write_text("old")

    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        screen = await opened(app, pilot, document)
        await pilot.press("f9")
        await until(pilot, lambda: isinstance(app.screen, SaveAs))
        app.screen.query_one("#path", Input).value = str(tmp_path / "out.txt")
        await pilot.press("enter")
        await until(pilot, lambda: "must end in one of" in screen_text(app))
        app.screen.query_one("#path", Input).value = str(target)
        await pilot.press("enter")
        await until(pilot, lambda: "Replace out.jsonl?" in screen_text(app))
        await pilot.press("tab", "enter")
        await until(pilot, lambda: asked(app, Export))
        await pilot.press("delete")
        await until(pilot, lambda: "Forget this document?" in screen_text(app))
        await pilot.press("tab", "enter")
        await until(pilot, lambda: asked(app, Remove))
        assert app.screen is screen

    clerk = drive(settings, scenario)
    assert [one for one in clerk.requests if isinstance(one, Export)] == [
        Export(str(target), (document,), replace=True)
    ]
    assert target.read_text() == "old", "it is the clerk that writes"


def test_keys_move_over_the_fields_after_a_click_and_after_a_correction(
    settings: Settings, ledger: Ledger
) -> None:
    document = enter_bill(ledger)

    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        fields = (await opened(app, pilot, document)).query_one(FieldList)

        def is_on(name: str) -> bool:
            return fields.cursor is not None and fields.cursor.name == name

        await pilot.click(FieldList, offset=(3, 1))
        await until(pilot, lambda: is_on("total"))
        assert highlighted(app) == "12,50"
        await pilot.press("down")
        await until(pilot, lambda: is_on("date"))
        await pilot.click(TextView, offset=(3, 1))
        await pilot.press("up", "f4")
        await until(pilot, lambda: fields.is_editing)
        assert is_on("total")
        await pilot.press("escape", "down")
        await until(pilot, lambda: is_on("date"))
        assert app.screen.query_one(PathInput).has_focus

    drive(settings, scenario, size=(130, 34))


def test_a_double_click_corrects(settings: Settings, ledger: Ledger) -> None:
    document = enter_bill(ledger)

    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        screen = await opened(app, pilot, document)
        await pilot.click(FieldList, offset=(20, 2), times=2)
        await until(pilot, lambda: screen.query_one(FieldList).is_editing)
        assert screen.query_one(FieldList).query_one(Input).placeholder == "empty: the document does not say"

    drive(settings, scenario, size=(130, 34))


def test_what_is_typed_goes_to_the_field_it_was_typed_for(settings: Settings, ledger: Ledger) -> None:
    document = enter_bill(ledger)

    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        fields = (await opened(app, pilot, document)).query_one(FieldList)
        await pilot.press("down", "f4")
        await until(pilot, lambda: fields.is_editing)
        await pilot.press("9")
        await pilot.click(FieldList, offset=(3, 2))
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: isinstance(app.focused, Input) and app.focused.value == "12.509")
        assert "12.509" in screen_text(app)
        ledger.put_fields(document, [Field(name="new", value="x"), Field(name="total", value="12.50")])
        ledger.update_document(document, title="Fields were read anew")
        app._take_events(
            [Event(kind=EventKind.DOCUMENT, document=document, state=State.DONE, stage=Stage.ANALYSE)]
        )
        await until(pilot, lambda: "Fields were read anew" in screen_text(app))
        await until(pilot, lambda: isinstance(app.focused, Input) and app.focused.value == "12.509")
        await pilot.press("end", "8", "enter")
        await until(pilot, lambda: asked(app, Correct))

    assert drive(settings, scenario, size=(130, 34)).requests[-1] == Correct(document, "total", "12.5098")


def test_a_field_that_is_gone_takes_its_correction_with_it(settings: Settings, ledger: Ledger) -> None:
    document = enter_bill(ledger)

    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        fields = (await opened(app, pilot, document)).query_one(FieldList)
        await pilot.press("down", "f4")
        await until(pilot, lambda: fields.is_editing)
        ledger.put_fields(document, [])
        ledger.update_document(document, title="No fields")
        app._take_events(
            [Event(kind=EventKind.DOCUMENT, document=document, state=State.DONE, stage=Stage.ANALYSE)]
        )
        await until(pilot, lambda: "No fields" in screen_text(app))
        await until(pilot, lambda: app.screen.query_one(PathInput).has_focus)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ChooseCategory))

    assert not [one for one in drive(settings, scenario).requests if isinstance(one, Correct)]


@pytest.mark.parametrize("view", ["Text", "Trace"])
def test_the_place_in_a_text_is_kept_when_the_document_changes(
    settings: Settings, ledger: Ledger, view: str
) -> None:
    document = enter_bill(ledger)
    long = TEXT + "\nmore" * 300
    ledger.put_pages(document, [Page(number=2, text=long, source=TextSource.OCR, score=0.9)])
    call = CallTrace(engine="ollama", model="m", purpose="fields", prompt_sha256="ab", prompt=long)
    ledger.put_call(document, Stage.ANALYSE, 1, call)

    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        text = (await opened(app, pilot, document)).query_one(TextView)
        await pilot.press("down")
        await until(pilot, lambda: highlighted(app) == "12,50")
        if view == "Trace":
            await pilot.press("f6", "f6")
            await until(pilot, lambda: "call 1" in text.text)
        await pilot.press("pagedown", "pagedown")
        await until(pilot, lambda: text.scroll_offset.y > 40)
        place = text.scroll_offset.y
        ledger.put_call(document, Stage.ANALYSE, 2, call)
        ledger.update_document(document, title="Changed meanwhile")
        app._take_events(
            [Event(kind=EventKind.DOCUMENT, document=document, state=State.DONE, stage=Stage.ANALYSE)]
        )
        await until(pilot, lambda: "Changed meanwhile" in screen_text(app))
        await until(pilot, lambda: view == "Text" or "call 2" in text.text)
        await pilot.pause()
        assert text.scroll_offset.y == place
        await pilot.press("home")
        await until(pilot, lambda: text.scroll_offset.y == 0)
        await pilot.press("end")
        await until(pilot, lambda: text.scroll_offset.y == text.max_scroll_y)

    drive(settings, scenario, size=(130, 34))


@pytest.mark.parametrize(
    "before", ["", "書類 👩 e\u0301\t\x1b[2J\u202e\x00 " * 40, "x" * 90_000 + "\n" * 70, "word " * 60_000]
)
@pytest.mark.parametrize("size", [(130, 34), (80, 24)])
def test_the_quote_is_highlighted_to_the_character_and_in_sight(
    settings: Settings, ledger: Ledger, before: str, size: tuple[int, int]
) -> None:
    document = enter_bill(ledger)
    quote = "Summe\t12,50\x9b類 EUR"
    text = before + quote + " after" * 2_000
    ledger.put_pages(document, [Page(number=2, text=text, source=TextSource.LAYER, score=1.0)])
    start, end = len(before), len(before) + len(quote)
    ledger.put_fields(document, [Field(name="total", value="1", quote=quote, page=2, start=start, end=end)])

    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        await opened(app, pilot, document)
        await pilot.press("down")
        if size[0] == 80:
            await pilot.press("f6")
        await until(pilot, lambda: highlighted(app).replace(" ", "") == drawn(quote).replace(" ", ""))

    drive(settings, scenario, size=size)


def test_what_a_person_said_is_said_to_be_theirs(settings: Settings, ledger: Ledger) -> None:
    document = enter_bill(
        ledger, engine=BY_PERSON, evidence=EVIDENCE, confidence=1.0, read_share=0.4, provisional=True
    )
    said = Field(name="total", value="13.00", status=FieldStatus.CORRECTED)
    ledger.put_fields(document, [said])

    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        await opened(app, pilot, document)
        category, total = (
            line for line in screen_text(app).split("\n") if line.startswith((" category", " total"))
        )
        assert "invoice" in category
        assert "corrected" in category
        assert "corrected" in total
        assert "100%" not in screen_text(app)
        assert "engine" not in screen_text(app).split("\n")[1]
        assert "40% of the text was read" in screen_text(app)

    drive(settings, scenario)


def test_a_document_without_a_category_can_be_given_one(settings: Settings, ledger: Ledger) -> None:
    document = enter(ledger, "form.pdf", state=State.REVIEW, message="No text was found on its page.")

    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        await opened(app, pilot, document, correct=True)
        await until(pilot, lambda: isinstance(app.screen, ChooseCategory))
        await pilot.press("enter")
        await until(pilot, lambda: asked(app, Correct))

    assert drive(settings, scenario).requests[-1] == Correct(document, "category", "invoice")


def test_a_document_forgotten_under_a_dialog_closes_after_the_answer(
    settings: Settings, ledger: Ledger
) -> None:
    document = enter_bill(ledger)

    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        await opened(app, pilot, document)
        await pilot.press("delete")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        row = ledger.document(document)
        assert row is not None
        ledger.delete_document(row)
        app._take_events(
            [Event(kind=EventKind.DOCUMENT, document=document, state=State.DONE, stage=Stage.ANALYSE)]
        )
        await until(pilot, lambda: app.store.get(document) is None)
        await until(
            pilot,
            lambda: not [one for one in app.workers if one.group == "reload-document" and one.is_running],
        )
        assert isinstance(app.screen, Confirm)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, InTray))

    drive(settings, scenario)


def test_news_while_another_screen_was_in_front_is_shown_afterwards(
    settings: Settings, ledger: Ledger
) -> None:
    document = enter_bill(ledger)

    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        screen = await opened(app, pilot, document)
        await pilot.press("f3")
        await until(pilot, lambda: app.screen is not screen)
        ledger.update_document(document, title="Changed meanwhile")
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is screen and "Changed meanwhile" in screen_text(app))

    drive(settings, scenario)


def test_the_next_document_of_the_in_tray(settings: Settings, ledger: Ledger) -> None:
    enter(ledger, "older.pdf", state=State.DONE, category="letter")
    document = enter_bill(ledger)

    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        await opened(app, pilot, document)
        await pilot.press("ctrl+down")
        await until(pilot, lambda: "older.pdf" in screen_text(app))
        await pilot.press("ctrl+down", "ctrl+up")
        await until(pilot, lambda: "bill.pdf" in screen_text(app))

    drive(settings, scenario)


def test_hostile_texts_are_only_ever_text(settings: Settings, ledger: Ledger) -> None:
    documents = []
    for number, text in enumerate(HOSTILE):
        document = enter(
            ledger, f"{number}{text}", state=State.REVIEW, category=text, title=text, summary=text,
            message=text, remedy=text, engine=text,
        )  # fmt: skip
        ledger.put_pages(
            document, [Page(number=1, text=text * 2, source=TextSource.NONE, score=0.0, error=text)]
        )
        ledger.put_fields(
            document, [Field(name=text[:80] or "x", value=text, quote=text, page=1, start=1, end=len(text))]
        )
        call = CallTrace(
            engine=text, model=text, purpose=text, prompt_sha256="", prompt=text, reply=text, error=text
        )
        ledger.put_call(document, Stage.ANALYSE, 1, call)
        documents.append(document)

    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        for document in documents:
            screen = await opened(app, pilot, document)
            for key in ("down", "f6", "f6", "f6", "f4"):
                await pilot.press(key)
                await pilot.pause()
                text = screen_text(app)
                assert not {character for character in text if ord(character) < 32 and character != "\n"}
                assert "\u202e" not in text
                assert "\x9b" not in text
            await pilot.click(FieldList, offset=(20, 1))
            await pilot.press("escape")
            await pilot.press("escape")
            await until(pilot, lambda screen=screen: app.screen is not screen)  # type: ignore[misc]
        assert app.is_running

    drive(settings, scenario, size=(130, 34))


@pytest.mark.parametrize("width", [1, 2, 7, 40])
@pytest.mark.parametrize(
    "text", ["hello wide 書類 world " * 9, "x" * 300, "a\tb\x1b\u202e c" * 20, "", "\n \n\na\n"]
)
def test_wrapping_loses_nothing(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert "".join(text[start:end] for start, end in lines) == text.replace("\n", "")
    assert len(lines) >= text.count("\n") + 1


def test_words_are_kept_whole_where_they_fit() -> None:
    text = "one two three four"
    assert [drawn(text[start:end]).rstrip() for start, end in wrap(text, 9)] == ["one two", "three", "four"]


def test_pages_that_were_closed_leave_nothing_behind(settings: Settings, ledger: Ledger) -> None:
    document = enter_bill(ledger)

    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        async def look() -> int:
            await opened(app, pilot, document)
            await pilot.press("escape")
            await until(pilot, lambda: isinstance(app.screen, InTray))
            await pilot.pause()
            gc.collect()
            return sum(isinstance(one, Widget) for one in gc.get_objects())

        first = [await look() for _ in range(3)]
        later = [await look() for _ in range(6)]
        assert min(later) <= max(first)

    drive(settings, scenario, size=(130, 34))


@pytest.mark.parametrize("words", [2_000, 60_000])
def test_each_text_comes_back_to_the_line_that_was_at_the_top(
    settings: Settings, ledger: Ledger, words: int
) -> None:
    numbered = " ".join(f"word{number}" for number in range(words))
    document = enter_bill(ledger, summary=numbered)

    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        text = (await opened(app, pilot, document)).query_one(TextView)

        def first_word() -> str:
            return text.render_line(0).text.split(" ")[0]

        await pilot.press("f6")
        await until(pilot, lambda: first_word() == "word0")
        await pilot.press("pagedown", "pagedown")
        await until(pilot, lambda: first_word() not in {"", "word0"})
        place = first_word()
        await pilot.press("f6", "left")
        await until(pilot, lambda: first_word() == place)
        await pilot.resize_terminal(190, 34)
        await until(pilot, lambda: text.size.width > 90 and text.virtual_size.width > 90)
        assert place in text.render_line(0).text.split(" ")

    drive(settings, scenario, size=(130, 34))


def test_accepting_goes_on_to_the_next_document(settings: Settings, ledger: Ledger) -> None:
    first = enter(ledger, "first.pdf", state=State.REVIEW, category="letter")
    second = enter(ledger, "second.pdf", state=State.REVIEW, category="letter")

    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        newest, other = app.store.view[0], app.store.view[1]
        assert {newest, other} == {first, second}
        page = await opened(app, pilot, newest)
        await pilot.press("ctrl+k")
        await until(pilot, lambda: page.chosen == [other])
        await pilot.press("ctrl+k")
        await pilot.pause()
        assert page.chosen == [other]  # the last one stays

    requests = drive(settings, scenario).requests
    assert {one.documents for one in requests if isinstance(one, Accept)} == {(first,), (second,)}
