"""Answering a question on a worker: a stage of no document. The answer goes to a stream of its own."""

import logging
import time
from contextlib import suppress

from tasks.asking.answering import Again, answer, extract
from tasks.asking.answers import Answer, Sentence
from tasks.asking.reply_reader import Draft
from tasks.documents import Failure
from tasks.engines.llm.base import LlmError, LlmErrorKind
from tasks.engines.llm.calls import Caller
from tasks.engines.llm.tokens import TokenEstimate
from tasks.errors import ShoeboxError
from tasks.metrics.worker import note_calls
from tasks.question_road import Entry, EntryKind, QuestionPayload, QuestionRoad
from tasks.running import LeaseKeeper
from tasks.settings import Settings
from tasks.stages.reading import make_client
from tasks.vram import server_of, vram_lease

log = logging.getLogger("shoebox.ask")

_SEND_SECONDS = 0.15
_LOOK_SECONDS = 0.3


def answer_question(road: QuestionRoad, holder: str, settings: Settings) -> bool:
    """Answer a question from its payload. False if nobody waits for it, or if it was begun before.

    `holder` names this worker. However it ends, the stream says so; without a reply of the model its answer
    is the passages.

    Raises:
        RedisError: Redis is away; the asker notices.
    """
    seconds = settings.lease_seconds
    if not road.take(holder, seconds):
        log.info("%s: dropped: not wanted any more, or taken", road.task_id)
        return False
    with LeaseKeeper(lambda: road.renew(holder, seconds), seconds, road.task_id):
        last = _answered(road, settings)
    road.add(last)
    log.info("%s: %s", road.task_id, last.failure.kind if last.failure else "done")
    return True


def _answered(road: QuestionRoad, settings: Settings) -> Entry:
    """The last entry, whatever happens."""
    payload = road.payload()
    if payload is None:
        return _failed("lost", "What should be read for the question has vanished from Redis.")
    telling = _Telling(road)
    telling.tell(Entry(kind=EntryKind.BEGUN))
    try:
        found = _ask(payload, telling, _Patience(road), settings)
    except ShoeboxError as error:
        kind = "cancelled" if isinstance(error, LlmError) else "error"
        return _failed(kind, error.message, error.remedy)
    except Exception as error:  # the asker must not be left without a word
        log.exception("%s: raised", road.task_id)
        return _failed("error", f"Answering failed ({type(error).__name__}: {error})."[:300])
    return Entry(kind=EntryKind.ANSWER, answer=found)


def _ask(payload: QuestionPayload, telling: "_Telling", patience: "_Patience", settings: Settings) -> Answer:
    """The model's answer; where it gives none, the passages."""
    client = make_client(settings)
    caller = Caller(
        client,
        payload.model,
        payload.num_ctx,
        TokenEstimate(model=payload.model, recent=list(payload.tokens)),
        payload.on_cpu,
        settings.num_thread if payload.on_cpu else None,
        settings.keep_alive,
        lambda _: None,
        patience.is_over,
    )
    try:
        key = bytes.fromhex(payload.fence_key)
        server = None if payload.on_cpu else server_of(client)
        lease = vram_lease(settings.data_dir)
        with lease.model(server, payload.model, payload.num_ctx, caller.calls):
            return answer(caller, payload.question, payload.passages, key, telling.hear)
    except LlmError as error:
        if error.kind is LlmErrorKind.CANCELLED:
            raise
        passages = extract(payload.question, payload.passages, error.message)
        return passages.model_copy(update={"calls": tuple(caller.calls)})
    finally:
        note_calls(payload.model, caller.calls)
        client.close()


def _failed(kind: str, message: str, remedy: str = "") -> Entry:
    return Entry(kind=EntryKind.FAILURE, failure=Failure(kind=kind, message=message, remedy=remedy))


class _Telling:
    """Puts what the model writes on the stream, a few times a second. A lost piece is only that."""

    def __init__(self, road: QuestionRoad) -> None:
        self._road = road
        self._draft = ""
        self._sent_at = 0.0

    def hear(self, news: Draft | Sentence | Again) -> None:
        """Take a piece."""
        match news:
            case Draft(text):
                self._draft += text
                if time.monotonic() - self._sent_at > _SEND_SECONDS:
                    self._send_draft()
            case Sentence():
                self._draft = ""  # it is told whole
                self.tell(Entry(kind=EntryKind.SENTENCE, sentence=news))
            case Again():
                self._draft = ""
                self.tell(Entry(kind=EntryKind.AGAIN))

    def tell(self, entry: Entry) -> None:
        """Put an entry on the stream, if Redis is there."""
        from redis.exceptions import RedisError

        with suppress(RedisError):
            self._road.add(entry)

    def _send_draft(self) -> None:
        self.tell(Entry(kind=EntryKind.DRAFT, text=self._draft))
        self._draft, self._sent_at = "", time.monotonic()


class _Patience:
    """Whether anybody still waits; asked for every token, so it asks Redis only now and then."""

    def __init__(self, road: QuestionRoad) -> None:
        self._road = road
        self._looked_at = 0.0
        self._is_over = False

    def is_over(self) -> bool:
        """Whether to stop. With Redis away the work goes on."""
        from redis.exceptions import RedisError

        if not self._is_over and time.monotonic() - self._looked_at > _LOOK_SECONDS:
            with suppress(RedisError):
                self._is_over = not self._road.is_wanted()
            self._looked_at = time.monotonic()
        return self._is_over
