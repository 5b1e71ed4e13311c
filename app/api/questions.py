"""Questions that are being answered. They live in this process for an hour.

A thread follows each answer. There are few such threads: a model answers
few questions at a time anyway, and more are refused, not queued.
"""

import asyncio
import logging
import threading
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Literal

from app.api.finding_models import Question, SentenceOut, SourceOut
from app.api.problems import ApiError
from app.api.sse import HEARTBEAT_SECONDS, sent
from tasks.asking.answers import NOT_SAID, Answer, Sentence, Source
from tasks.errors import ShoeboxError

if TYPE_CHECKING:
    from app.api.service import Service
    from tasks.question_asking import Asked

log = logging.getLogger("shoebox.api")

AT_ONCE = 8
KEPT_SECONDS = 3600.0
KEPT = 500
"""Questions that have ended are forgotten beyond these, the oldest first."""
QuestionState = Literal["open", "answered", "unanswered", "failed", "cancelled"]


class Asking:
    """One question. Its state changes in the event loop only."""

    def __init__(self, question: str) -> None:
        self.id = uuid.uuid4().hex
        self.question = question
        self.state: QuestionState = "open"
        self.asked_at = time.monotonic()
        self.sentences: list[Sentence] = []
        self.answer: Answer | None = None
        self.note = ""
        self.remedy = ""
        self.should_stop = threading.Event()
        self._news = asyncio.Event()

    def changed(self) -> None:
        """Wake all who wait."""
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def wait(self, seconds: float) -> bool:
        """Wait for a change; False if there was none."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                return await self._news.wait()
        return False

    def end(self, state: QuestionState, note: str = "", remedy: str = "") -> None:
        """The question is settled. Only the first time counts."""
        if self.state == "open":
            self.state, self.note, self.remedy = state, note, remedy
        self.changed()

    def enter(self, answer: Answer) -> None:
        """The answer is whole."""
        if self.state == "open":
            self.answer = answer
            self.sentences = list(answer.supported)
        note = answer.note or ("" if answer.supported else NOT_SAID)
        self.end("answered" if answer.supported else "unanswered", note)

    def hear(self, sentence: Sentence) -> None:
        """A sentence is whole. One whose citation was not found does not count."""
        if self.state == "open" and not sentence.problem and sentence not in self.sentences:
            self.sentences.append(sentence)
            self.changed()

    def shown(self) -> Question:
        """How it stands."""
        answer = self.answer
        return Question(
            id=self.id,
            question=self.question,
            state=self.state,
            sentences=[_sentence(one) for one in self.sentences],
            passages=[_source(one) for one in answer.passages] if answer else [],
            left_out=len(answer.unsupported) if answer else 0,
            model=answer.model if answer else "",
            note=self.note,
            remedy=self.remedy,
        )


def _sentence(one: Sentence) -> SentenceOut:
    return SentenceOut(text=one.text, sources=[_source(source) for source in one.sources])


def _source(one: Source) -> SourceOut:
    return SourceOut(**one.model_dump())


class Questions:
    """All questions of this process."""

    def __init__(self, service: "Service") -> None:
        self._service = service
        self._all: dict[str, Asking] = {}
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="api-ask")
        self._following: set[asyncio.Task[None]] = set()

    def find(self, identity: str) -> Asking:
        """The question with this id.

        Raises:
            ApiError: 404.
        """
        if found := self._all.get(identity):
            return found
        raise ApiError(
            404,
            f"There is no question {identity[:64]!r}.",
            "Questions are kept for an hour, and not over a restart of the API: ask again.",
        )

    async def ask(self, question: str, documents: Sequence[str]) -> Asking:
        """Begin a question.

        Raises:
            ApiError: 429: too many are open; 422: it is none.
            NotFoundError: there are no documents to read.
            ServiceError: Redis is away.
        """
        self._forget_old()
        if len(self._following) >= AT_ONCE:
            raise ApiError(
                429, f"{AT_ONCE} questions are being answered.", "Ask again later.", {"Retry-After": "10"}
            )
        from tasks.question_asking import prepare

        if not any(character.isalnum() for character in question):
            raise ApiError(422, "There is no question.", "Write one, such as: When does the lease end?")
        asking = Asking(question)
        settings = self._service.settings
        prepared = await self._service.slow.run(
            lambda home: prepare(home.ledger, settings, question, documents)
        )
        self._all[asking.id] = asking
        if isinstance(prepared, Answer):
            asking.enter(prepared)
        else:
            following = asyncio.create_task(self._follow(asking, prepared))
            self._following.add(following)
            following.add_done_callback(self._following.discard)
        return asking

    async def _follow(self, asking: Asking, asked: "Asked") -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._threads, self._hear, asking, asked, loop)
        except ShoeboxError as error:
            asking.end("failed", error.message, error.remedy)
        except Exception:
            log.exception("a question failed")
            asking.end("failed", "Something went wrong in Shoebox.", "Its log says what.")
        asking.end("cancelled", "The question was taken back.")

    def _hear(self, asking: Asking, asked: "Asked", loop: asyncio.AbstractEventLoop) -> None:
        """Hand the question to a worker and follow its answer. In a thread of its own."""
        from tasks.broker_url import redis_url
        from tasks.exchange import connect
        from tasks.ledger import Ledger
        from tasks.question_asking import hand_over
        from tasks.question_following import follow
        from tasks.question_road import EntryKind, QuestionRoad

        settings = self._service.settings
        with Ledger.open(settings) as ledger:
            home = ledger.home
        redis = connect(redis_url(settings))
        try:
            road = QuestionRoad(redis, home, asking.id)
            with closing(follow(road, asking.should_stop.is_set)) as entries:
                hand_over(road, asked, settings)
                for entry in entries:
                    if entry.answer is not None:
                        loop.call_soon_threadsafe(asking.enter, entry.answer)
                    elif entry.sentence is not None:
                        loop.call_soon_threadsafe(asking.hear, entry.sentence)
                    elif entry.kind is EntryKind.AGAIN:
                        loop.call_soon_threadsafe(asking.sentences.clear)
        finally:
            redis.close()

    def cancel(self, asking: Asking) -> None:
        """Take a question back; its worker stops."""
        asking.should_stop.set()
        asking.end("cancelled", "The question was taken back.")

    def cancel_all(self) -> None:
        """Take all back that are open."""
        for asking in self._all.values():
            if asking.state == "open":
                self.cancel(asking)

    def _forget_old(self) -> None:
        now = time.monotonic()
        ended = [one for one in self._all.values() if one.state != "open"]
        too_many = len(ended) - KEPT
        for place, one in enumerate(ended):
            if place <= too_many or now - one.asked_at > KEPT_SECONDS:
                del self._all[one.id]

    async def settled(self) -> None:
        """Wait for those that were taken back."""
        await asyncio.gather(*self._following)

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown()


async def question_events(asking: Asking, told: int) -> AsyncIterator[bytes]:
    """The sentences of an answer as they come, then how the question ended. `told` of them are known."""
    while True:
        if told > len(asking.sentences):  # the model began anew
            told = 0
            yield sent("again", {"reason": "The model began anew: what came before does not count."})
        for sentence in asking.sentences[told:]:
            told += 1
            yield sent("sentence", _sentence(sentence).model_dump(mode="json"), str(told))
        if asking.state != "open":
            yield sent("end", asking.shown().model_dump(mode="json"), str(told))
            return
        if not await asking.wait(HEARTBEAT_SECONDS):
            yield b": still here\n\n"
