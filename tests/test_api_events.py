"""Following documents and answers by server-sent events, over a real Redis."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from redis import Redis

from app.api.questions import question_events
from app.api.sse import all_events, await_document, document_events
from tasks import question_asking
from tasks.asking.answers import Answer, Passage, Sentence, Source
from tasks.documents import Failure, Stage, State
from tasks.events import Event, EventKind, emit, stream_key
from tasks.ledger import Ledger
from tasks.question_asking import Asked
from tasks.question_road import Entry, EntryKind, QuestionPayload, QuestionRoad
from tasks.settings import Settings
from tests.api import api_client, in_loop, parsed_events, running_service, take

SOURCE = Source(document="12345678", name="lease.pdf", page=2, quote="ends in May", start=0, end=11)
GOOD = Sentence(text="It ends in May.", sources=(SOURCE,))
BAD = Sentence(text="It never ends.", problem="not found")


@pytest.fixture
def linked(settings: Settings, redis: Redis, tmp_path: Path) -> Settings:
    """Settings with the test's Redis."""
    redis.ping()
    return Settings(data_dir=settings.data_dir, redis_url=f"unix://{tmp_path}/r.sock")


@pytest.fixture
def document(linked: Settings, tmp_path: Path) -> str:
    file = tmp_path / "a.txt"
    file.write_text("a")
    return take(linked, file)


class Home:
    """What a home worker does to a document, as far as it is told."""

    def __init__(self, ledger: Ledger, redis: Redis, document: str) -> None:
        self.ledger, self.redis, self.document = ledger, redis, document

    def change(self, state: State) -> None:
        self.ledger.update_document(self.document, state=state)
        self.tell(EventKind.DOCUMENT, state)

    def tell(self, kind: EventKind, state: State = State.RUNNING, text: str = "") -> None:
        event = Event(kind=kind, document=self.document, state=state, stage=Stage.ANALYSE, text=text)
        emit(self.redis, self.ledger.home, event)


@pytest.fixture
def home(ledger: Ledger, redis: Redis, document: str) -> Home:
    return Home(ledger, redis, document)


async def until(pieces: AsyncIterator[bytes], name: str) -> str:
    """What comes, up to and including the first event of this name."""
    text = ""
    async for piece in pieces:
        text += piece.decode()
        if f"event: {name}\n" in text:
            return text
    raise AssertionError(f"the stream ended without {name}: {text}")


def test_a_document_is_followed_to_its_end(linked: Settings, home: Home) -> None:
    async def follow() -> str:
        async with running_service(linked) as service:
            while not service.follower.is_up:
                await asyncio.sleep(0)
            stream = document_events(service, home.document)
            text = await until(stream, "document")
            home.tell(EventKind.TEXT, text='{"title": "\x1b[2J')
            home.change(State.RUNNING)
            text += await until(stream, "text") + await until(stream, "document")
            home.change(State.DONE)
            text += await until(stream, "end")
            assert [piece async for piece in stream] == []
            return text

    text = in_loop(follow)
    assert text.startswith("retry: ") and "\x1b" not in text
    events = parsed_events(text)
    assert [(name, data.get("state")) for _, name, data in events] == [
        ("document", "waiting"),
        ("text", None),
        ("document", "running"),
        ("document", "done"),
        ("end", None),
    ]
    assert events[1][2]["text"] == '{"title": "\x1b[2J'
    assert events[-1][2] == {"id": home.document, "reason": "ended"}
    assert all(identity for identity, _, _ in events[1:])


def test_what_happens_while_redis_is_away_is_found_in_the_ledger(
    settings: Settings, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.api.sse.LOST_SECONDS", 0.05)
    file = tmp_path / "a.txt"
    file.write_text("a")
    document = take(settings, file)

    async def follow() -> str:
        async with running_service(settings) as service:
            stream = document_events(service, document)
            await until(stream, "document")
            ledger.update_document(document, state=State.FAILED)
            text = await until(stream, "document")
            ledger.delete_document(ledger.documents()[0])
            return text + await until(stream, "end")

    assert [name for _, name, _ in parsed_events(in_loop(follow))] == ["document", "end"]


def test_one_who_comes_back_gets_what_was_missed(linked: Settings, home: Home) -> None:
    async def follow() -> tuple[str, str, str]:
        async with running_service(linked) as service:
            while not service.follower.is_up:
                await asyncio.sleep(0)
            first = all_events(service, None)
            begun = await until(first, "counts")
            home.change(State.RUNNING)
            seen = parsed_events(await until(first, "document"))
            await first.aclose()
            home.change(State.REVIEW)
            with service.follower.following() as known:
                while known.since == seen[-1][0] and not await known.take(5):
                    pass
            second = all_events(service, seen[-1][0])
            came = await until(second, "document")
            await second.aclose()
            lost = await until(all_events(service, "1-1"), "counts")
            return begun, came, lost

    begun, came, lost = in_loop(follow)
    assert parsed_events(begun)[0][1:] == ("counts", {"states": {"waiting": 1}})
    assert [(name, data.get("state")) for _, name, data in parsed_events(came)] == [
        ("counts", None),
        ("document", "review"),
    ]
    assert [name for _, name, _ in parsed_events(lost)] == ["reset", "counts"]


def test_one_who_does_not_read_is_told_so_and_holds_up_nobody(
    linked: Settings, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.api.following._MOST_WAITING", 5)

    async def follow() -> tuple[str, int]:
        async with running_service(linked) as service:
            while not service.follower.is_up:
                await asyncio.sleep(0)
            slow = all_events(service, None)
            await until(slow, "counts")
            with service.follower.following() as quick:
                count = 0
                for told in range(1, 13):
                    home.tell(EventKind.DOCUMENT)
                    while count < told:
                        count += len(await quick.take(60))
            return await until(slow, "reset"), count

    text, count = in_loop(follow)
    assert parsed_events(text)[0][1] == "reset" and count == 12


def test_who_waits_for_a_text_holds_no_thread(linked: Settings, home: Home) -> None:
    async def wait() -> list[State | None]:
        async with running_service(linked) as service:
            while not service.follower.is_up:
                await asyncio.sleep(0)
            waiting = [
                asyncio.create_task(
                    await_document(service, home.document, 60, lambda row: row.state is State.DONE)
                )
                for _ in range(50)
            ]
            while len(service.follower._of_document.get(home.document, ())) < 50:
                await asyncio.sleep(0)
            assert await service.readers.run(lambda ledger: len(ledger.documents())) == 1
            home.change(State.DONE)
            return [row.state if row else None for row in await asyncio.gather(*waiting)]

    assert in_loop(wait) == [State.DONE] * 50


def test_all_who_follow_come_to_an_end_when_the_service_does(linked: Settings, home: Home) -> None:
    async def follow() -> list[list[bytes]]:
        async with running_service(linked) as service:
            streams = [document_events(service, home.document), all_events(service, None)]
            readers = [asyncio.create_task(_all(stream)) for stream in streams]
            while not (service.follower._all and service.follower._of_document):
                await asyncio.sleep(0)
            service.drain()
            return await asyncio.gather(*readers)

    assert all(pieces for pieces in in_loop(follow))


async def _all(stream: AsyncIterator[bytes]) -> list[bytes]:
    return [piece async for piece in stream]


def test_events_of_other_versions_and_a_wiped_redis_end_nothing(
    linked: Settings, home: Home, redis: Redis
) -> None:
    async def follow() -> str:
        async with running_service(linked) as service:
            while not service.follower.is_up:
                await asyncio.sleep(0)
            stream = document_events(service, home.document)
            await until(stream, "document")
            redis.flushall()
            redis.xadd(stream_key(home.ledger.home), {"event": "{}"})
            redis.xadd(stream_key(home.ledger.home), {"other": "x"})
            home.change(State.DONE)
            return await until(stream, "end")

    assert [name for _, name, _ in parsed_events(in_loop(follow))] == ["document", "end"]


@pytest.fixture
def asked(linked: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Questions reach the road but no queue; the ids of those that did."""
    passage = Passage(number=1, document="12345678", name="lease.pdf", page=2, start=0, text="ends in May")
    payload = QuestionPayload(
        question="When?", passages=(passage,), model="m", num_ctx=2048, on_cpu=True, fence_key="00"
    )
    handed_over: list[str] = []

    def hand_over(road: QuestionRoad, asked: Asked, _: Settings) -> None:
        road.put(asked.payload)
        handed_over.append(road.question)

    monkeypatch.setattr(question_asking, "prepare", lambda *_: Asked(payload, "cpu"))
    monkeypatch.setattr(question_asking, "hand_over", hand_over)
    yield handed_over


def test_a_question_is_answered_sentence_by_sentence(
    linked: Settings, ledger: Ledger, redis: Redis, asked: list[str]
) -> None:
    begun, home = threading.Event(), ledger.home

    def work(question: str) -> None:
        road = QuestionRoad(redis, home, question)
        for sentence in (GOOD, BAD):
            road.add(Entry(kind=EntryKind.SENTENCE, sentence=sentence))
        begun.wait(30)
        road.add(Entry(kind=EntryKind.AGAIN))
        answer = Answer(question="When?", sentences=(GOOD, BAD), model="m")
        road.add(Entry(kind=EntryKind.ANSWER, answer=answer))

    with api_client(linked) as api, ThreadPoolExecutor(1) as worker:
        answer = api.post("/ask", json={"question": "When?"})
        assert (answer.status_code, answer.json()["state"]) == (202, "open")
        assert answer.headers["Retry-After"] == "1"
        place = answer.headers["Location"]
        job = worker.submit(work, answer.json()["id"])
        while not api.get(place).json()["sentences"]:
            assert not job.done()
        begun.set()
        whole = api.get(place, headers={"Prefer": "wait=60"})
        job.result()
        events = parsed_events(api.get(f"{place}/events").text)
        known = api.get(f"{place}/events", headers={"Last-Event-ID": "1"})
    assert whole.status_code == 200 and asked == [answer.json()["id"]]
    found = whole.json()
    assert (found["state"], found["left_out"], found["model"]) == ("answered", 1, "m")
    [sentence] = found["sentences"]
    assert (sentence["text"], sentence["sources"][0]["quote"]) == ("It ends in May.", "ends in May")
    assert [name for _, name, _ in events] == ["sentence", "end"]
    assert [name for _, name, _ in parsed_events(known.text)] == ["end"]


def test_a_question_without_an_answer_says_why(
    linked: Settings, ledger: Ledger, redis: Redis, asked: list[str]
) -> None:
    with api_client(linked) as api:
        identity = api.post("/ask", json={"question": "When?"}).json()["id"]
        failure = Failure(kind="error", message="The model ran out of memory.", remedy="Free some.")
        QuestionRoad(redis, ledger.home, identity).add(Entry(kind=EntryKind.FAILURE, failure=failure))
        found = api.get(f"/ask/{identity}", headers={"Prefer": "wait=60"}).json()
    assert (found["state"], found["note"], found["remedy"]) == (
        "failed",
        "The model ran out of memory.",
        "Free some.",
    )


def test_a_question_can_be_taken_back_and_few_are_open_at_once(
    linked: Settings, ledger: Ledger, redis: Redis, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.api.questions.AT_ONCE", 1)
    with api_client(linked) as api:
        first = api.post("/ask", json={"question": "When?"}).json()["id"]
        refused = api.post("/ask", json={"question": "When?"})
        assert refused.status_code == 429 and refused.headers["Retry-After"]
        while not asked:
            api.get("/health")
        assert QuestionRoad(redis, ledger.home, first).is_wanted()
        assert api.delete(f"/ask/{first}").status_code == 204
        assert api.get(f"/ask/{first}").json()["state"] == "cancelled"
        while api.post("/ask", json={"question": "When?"}).status_code == 429:  # its thread is leaving
            pass
        assert not QuestionRoad(redis, ledger.home, first).is_wanted()


def test_how_an_answer_that_begins_anew_is_told() -> None:
    from app.api.questions import Asking

    async def follow() -> list[str]:
        asking = Asking("When?")
        stream = question_events(asking, 0)
        asking.hear(GOOD)
        text = [(await anext(stream)).decode()]
        asking.sentences.clear()
        asking.hear(BAD)
        asking.changed()
        pending = asyncio.create_task(_all(stream))
        asking.enter(Answer(question="When?", sentences=(GOOD,), model="m"))
        return text + [piece.decode() for piece in await pending]

    names = [name for _, name, _ in parsed_events("".join(in_loop(follow)))]
    assert names == ["sentence", "end"]
