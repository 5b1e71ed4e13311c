"""The Ask screen: the answer comes sentence by sentence, its sources open at their page, leaving stops it."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, OptionList, Static

from app.requests import AskQuestion, Reply
from app.tui.app import ShoeboxApp
from app.tui.screens import ask as ask_module
from app.tui.screens.ask import AskScreen
from app.tui.screens.document import DocumentScreen
from tasks.asking.answers import Answer, Sentence, Source
from tasks.errors import ServiceError
from tasks.ledger import Ledger
from tasks.question_road import Entry, EntryKind
from tasks.settings import Settings
from tests.test_search import put
from tests.test_tui_system import _FORBIDDEN
from tests.tui import HOSTILE, RecordingClerk, drive, screen_text, until


class Feed:
    """Stands in for the stream: a test says what comes."""

    def __init__(self) -> None:
        self.come: asyncio.Queue[Entry | Exception] = asyncio.Queue()
        self.followed: list[str] = []
        self.left: list[str] = []

    async def follow(self, settings: Settings, home: str, question_id: str) -> AsyncGenerator[Entry, None]:
        self.followed.append(question_id)
        try:
            while True:
                news = await self.come.get()
                if isinstance(news, Exception):
                    raise news
                yield news
                if news.is_last:
                    return
        finally:
            self.left.append(question_id)


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch) -> Feed:
    made = Feed()
    monkeypatch.setattr(ask_module, "follow_answer", made.follow)
    return made


def source(document: str, name: str = "lease.pdf", page: int = 2, quote: str = "The deposit is 7.") -> Source:
    return Source(document=document, name=name, page=page, quote=quote, start=0, end=len(quote))


async def asked(app: ShoeboxApp, pilot: Pilot[Any], feed: Feed, question: str) -> None:
    """Type a question and press Enter."""
    count = len(feed.followed)
    app.screen.query_one("#question", Input).value = question
    await pilot.press("enter")
    await until(pilot, lambda: len(feed.followed) > count)


def answer_text(app: ShoeboxApp) -> str:
    return str(app.screen.query_one("#answer", Static).visual)


async def shown(app: ShoeboxApp, pilot: Pilot[Any], words: str) -> None:
    """Wait until the answer has these words."""
    await until(pilot, lambda: words in answer_text(app))


def requests(app: ShoeboxApp) -> list[AskQuestion]:
    assert isinstance(app.clerk, RecordingClerk)
    return [request for request in app.clerk.requests if isinstance(request, AskQuestion)]


def test_an_answer_appears_while_it_is_written_and_its_source_opens(
    settings: Settings, ledger: Ledger, feed: Feed
) -> None:
    document = put(ledger, "lease.pdf", "first page", "The deposit is 7.")
    good = Sentence(text="It is 7 pounds.", sources=(source(document),))
    bad = Sentence(text="It is waived.", problem="the words it cites are not in lease.pdf, page 2")

    async def scenario(app: ShoeboxApp, pilot: Pilot[Any]) -> None:
        await pilot.press("ctrl+s")
        assert isinstance(app.screen, AskScreen)
        await pilot.press(*"dep")  # letters go to the question
        assert app.screen.query_one("#question", Input).value == "dep"
        assert "Of the one document there is." in screen_text(app)
        await asked(app, pilot, feed, "What is the deposit?")
        [request] = requests(app)
        assert (request.question, request.documents) == ("What is the deposit?", ())
        assert feed.followed == [request.question_id]
        await shown(app, pilot, "Waiting for the language model.")
        feed.come.put_nowait(Entry(kind=EntryKind.BEGUN))
        await shown(app, pilot, "The model is reading.")
        feed.come.put_nowait(Entry(kind=EntryKind.DRAFT, text="It is 7"))
        await shown(app, pilot, "It is 7")
        feed.come.put_nowait(Entry(kind=EntryKind.SENTENCE, sentence=good))
        await shown(app, pilot, "It is 7 pounds. [1]")
        feed.come.put_nowait(Entry(kind=EntryKind.SENTENCE, sentence=bad))
        answer = Answer(
            question="?", sentences=(good, bad), model="reader:8b", passages_read=3, documents_read=1
        )
        feed.come.put_nowait(Entry(kind=EntryKind.ANSWER, answer=answer))
        await shown(app, pilot, "reader:8b read 3 passages of 1 document.")
        text = answer_text(app)
        assert text.index("It is 7 pounds.") < text.index("Unsupported") < text.index("It is waived.")
        assert "[1] lease.pdf  page 2" in screen_text(app)
        assert app.screen.active_bindings["down"].binding.id == "ask.sources"  # so that help names it
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(app.screen, DocumentScreen))
        await until(pilot, lambda: "The deposit is 7." in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, AskScreen))
        assert "It is 7 pounds." in answer_text(app)

    drive(settings, scenario)


def test_the_marked_documents_are_asked_if_there_are_any(
    settings: Settings, ledger: Ledger, feed: Feed
) -> None:
    put(ledger, "other.txt", "text")
    document = put(ledger, "marked.pdf", "text")

    async def scenario(app: ShoeboxApp, pilot: Pilot[Any]) -> None:
        app.store.marked.add(document)
        await pilot.press("ctrl+s")
        await pilot.pause()
        assert "Of 1 marked document: marked.pdf" in screen_text(app)
        await asked(app, pilot, feed, "What?")
        assert requests(app)[0].documents == (document,)

    drive(settings, scenario)


def test_that_the_documents_do_not_say_is_said(settings: Settings, feed: Feed) -> None:
    async def scenario(app: ShoeboxApp, pilot: Pilot[Any]) -> None:
        await pilot.press("ctrl+s")
        await asked(app, pilot, feed, "What?")
        feed.come.put_nowait(Entry(kind=EntryKind.ANSWER, answer=Answer(question="What?", model="m")))
        await shown(app, pilot, "The documents do not say.")

    drive(settings, scenario)


def test_without_a_model_the_passages_are_shown_as_what_they_are(settings: Settings, feed: Feed) -> None:
    found = Answer(question="?", passages=(source("aaaa"),), note="Ollama is away.")

    async def scenario(app: ShoeboxApp, pilot: Pilot[Any]) -> None:
        await pilot.press("ctrl+s")
        await asked(app, pilot, feed, "What?")
        feed.come.put_nowait(Entry(kind=EntryKind.ANSWER, answer=found))
        await shown(app, pilot, "No language model: these passages say most about it.")
        assert "Ollama is away." in answer_text(app)
        assert "do not say" not in answer_text(app)
        assert app.screen.query_one(OptionList).option_count == 1

    drive(settings, scenario)


@pytest.mark.parametrize("keys", ["escape", "f8"])
def test_leaving_and_stopping_leave_the_question(settings: Settings, feed: Feed, keys: str) -> None:
    async def scenario(app: ShoeboxApp, pilot: Pilot[Any]) -> None:
        await pilot.press("ctrl+s")
        await asked(app, pilot, feed, "What?")
        feed.come.put_nowait(Entry(kind=EntryKind.DRAFT, text="It is"))
        await shown(app, pilot, "It is")
        assert feed.left == []
        await pilot.press(keys)
        await until(pilot, lambda: feed.left == feed.followed)
        assert isinstance(app.screen, AskScreen) == (keys == "f8")
        if keys == "f8":
            assert "Stopped." in answer_text(app)

    drive(settings, scenario)


def test_another_question_ends_the_one_before(settings: Settings, feed: Feed) -> None:
    async def scenario(app: ShoeboxApp, pilot: Pilot[Any]) -> None:
        await pilot.press("ctrl+s")
        await asked(app, pilot, feed, "First?")
        feed.come.put_nowait(Entry(kind=EntryKind.DRAFT, text="old words"))
        await shown(app, pilot, "old words")
        await asked(app, pilot, feed, "Second?")
        assert feed.left == feed.followed[:1]
        assert "old words" not in answer_text(app)

    drive(settings, scenario)


def test_what_goes_wrong_is_said(settings: Settings, feed: Feed) -> None:
    async def scenario(app: ShoeboxApp, pilot: Pilot[Any]) -> None:
        await pilot.press("ctrl+s")
        await asked(app, pilot, feed, "What?")
        feed.come.put_nowait(ServiceError("The worker that was answering died.", "Ask again."))
        await shown(app, pilot, "The worker that was answering died.\nAsk again.")
        assert isinstance(app.clerk, RecordingClerk)
        app.clerk.reply = Reply(number=0, ok=False, message="There are no documents yet.", remedy="Add some.")
        await pilot.press("enter")
        await shown(app, pilot, "There are no documents yet.")
        assert len(feed.followed) == 1

    drive(settings, scenario)


def test_what_a_model_or_a_document_writes_is_plain_text(settings: Settings, feed: Feed) -> None:
    async def scenario(app: ShoeboxApp, pilot: Pilot[Any]) -> None:
        await pilot.press("ctrl+s")
        for number, hostile in enumerate(HOSTILE):
            note = f"This was answer {number}."
            await asked(app, pilot, feed, "What?")
            for entry in entries(hostile, note):
                feed.come.put_nowait(entry)
            await shown(app, pilot, note)
            await until(pilot, lambda: app.screen.query_one(OptionList).option_count == 1)
            await pilot.pause()
            everything = answer_text(app) + screen_text(app)
            assert not any(character in everything for character in "\x1b\u202e\x9b\x07")
            for piece in app.screen._compositor.render_strips():
                assert all(not (segment.style and segment.style.meta.get("@click")) for segment in piece)

    def entries(hostile: str, note: str) -> list[Entry]:
        one = source("aaaa", name=hostile, quote=hostile)
        whole = Answer(
            question=hostile,
            sentences=(Sentence(text=hostile, sources=(one,)),),
            model=hostile,
            note=f"{note} {hostile}",
        )
        return [
            Entry(kind=EntryKind.DRAFT, text=hostile),
            Entry(kind=EntryKind.SENTENCE, sentence=Sentence(text=hostile, problem=hostile)),
            Entry(kind=EntryKind.ANSWER, answer=whole),
        ]

    drive(settings, scenario)


def test_an_empty_question_is_not_asked(settings: Settings, feed: Feed) -> None:
    async def scenario(app: ShoeboxApp, pilot: Pilot[Any]) -> None:
        await pilot.press("ctrl+s")
        app.screen.query_one("#question", Input).value = "   "
        await pilot.press("enter")
        await pilot.pause()
        assert requests(app) == []

    drive(settings, scenario)


_IMPORTS = """
import json, sys
import app.cli
import app.tui.app, app.tui.screens.ask, tasks.exchange, tasks.question_following, redis
print(json.dumps(sorted(sys.modules)))
"""


def test_the_screen_and_its_feed_import_no_engine_and_no_celery() -> None:
    done = subprocess.run([sys.executable, "-c", _IMPORTS], capture_output=True, text=True, check=True)
    loaded = json.loads(done.stdout)
    assert "tasks.question_road" in loaded
    unwanted = [name for name in loaded if any(f"{name}.".startswith(f"{one}.") for one in _FORBIDDEN)]
    assert unwanted == []
    engines = [name for name in loaded if name.startswith("tasks.engines.")]
    assert set(engines) <= {"tasks.engines.llm", "tasks.engines.llm.base"}
