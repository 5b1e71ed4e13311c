"""Asking a question at home: finding what to read, and handing it to a worker that has the model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.asking.answering import extract
from tasks.asking.answers import QUESTION_CHARS, Answer
from tasks.asking.retrieval import NearPart, RankedPage, passages
from tasks.capability import queue_with
from tasks.circuit import load_circuit
from tasks.documents import Stage
from tasks.errors import NotFoundError, ServiceError, ShoeboxError
from tasks.exchange import Exchange
from tasks.ledger import Ledger
from tasks.meaning.asking import query_vector
from tasks.meaning.hybrid import pages_by_meaning
from tasks.question_road import Entry, EntryKind, QuestionPayload, QuestionRoad
from tasks.read_planning import load_estimate
from tasks.redis_words import redis_words
from tasks.settings import Settings

if TYPE_CHECKING:
    from tasks.routing import Route

_NO_PAGE = "No page has any of the words of the question, or comes near to it, so nothing was read."
_MOST_CHARACTERS = 16_000
"""Of all passages: more costs a model on a processor minutes and seldom adds anything."""
_MEANING_SECONDS = 2.0
_NEAR_PAGES = 20


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that waits for a worker."""

    payload: QuestionPayload
    queue: str


def prepare(
    ledger: Ledger, settings: Settings, question: str, documents: Sequence[str] = ()
) -> Asked | Answer:
    """Find what to read: in the documents with these ids, or in all. An answer, where no model is needed.

    Without a language model that is the passages that say most; without any passage, that nothing is said.

    Raises:
        NotFoundError: there are no documents to read.
        ShoeboxError: the question is empty or too long.
    """
    _check(ledger, question, documents)
    near = _near(ledger, settings, question, documents)
    found = passages(ledger, question, documents, _MOST_CHARACTERS, near)
    route = route_of(ledger, settings)
    if not found:
        return Answer(question=question, note=_NO_PAGE)
    if isinstance(route, str):
        return extract(question, found, route)
    payload = QuestionPayload(
        question=question,
        passages=tuple(found),
        model=route.model,
        num_ctx=route.num_ctx,
        on_cpu=route.on_cpu,
        fence_key=ledger.secret("fence key"),
        tokens=tuple(load_estimate(ledger, route.model).recent),
    )
    return Asked(payload, route.queue)


def _near(ledger: Ledger, settings: Settings, question: str, documents: Sequence[str]) -> list[NearPart]:
    """What is near to the question in meaning; nothing where that is not known in time."""
    vector = query_vector(settings, ledger, question, _MEANING_SECONDS)
    if isinstance(vector, str):
        return []
    try:
        pages = pages_by_meaning(settings, ledger, vector, documents or None, _NEAR_PAGES)
    except ServiceError:
        return []
    return [NearPart(RankedPage(one.document, one.page), one.start, one.end) for one in pages]


def route_of(ledger: Ledger, settings: Settings) -> "Route | str":
    """Where questions go; or why, in words, there is no language model for them."""
    return load_circuit(ledger).reader(Stage.ANALYSE, settings)


def hand_over(road: QuestionRoad, asked: Asked, settings: Settings) -> None:
    """Give a question to the workers. May be done again: it is answered once.

    Raises:
        ServiceError: Redis is away.
    """
    from kombu.exceptions import OperationalError
    from redis.exceptions import RedisError

    from tasks.publishing import publish_question

    try:
        road.put(asked.payload)
        queue = queue_with(Exchange(road.redis).presence(), asked.queue, asked.payload.model)
        publish_question(road.home, road.question, road.task_id, queue, settings)
    except (OperationalError, RedisError) as error:
        raise ServiceError(
            f"The question was not taken: {redis_words(error)}", "`./run.sh status` says how it is."
        ) from error


def enter_answer(road: QuestionRoad, answer: Answer) -> None:
    """Put an answer on the stream that needed no worker.

    Raises:
        ServiceError: Redis is away.
    """
    from redis.exceptions import RedisError

    try:
        road.add(Entry(kind=EntryKind.ANSWER, answer=answer))
    except RedisError as error:
        raise ServiceError(
            f"The answer was not taken: {redis_words(error)}", "`./run.sh status` says how it is."
        ) from error


def _check(ledger: Ledger, question: str, documents: Sequence[str]) -> None:
    if not any(character.isalnum() for character in question):
        raise ShoeboxError("There is no question.", "Write one, such as: When does the lease end?")
    if len(question) > QUESTION_CHARS:
        raise ShoeboxError(
            f"The question has {len(question):,} characters.", f"Ask in {QUESTION_CHARS:,} at most."
        )
    if not ledger.db.execute("SELECT 1 FROM documents LIMIT 1").fetchone():
        raise NotFoundError("There are no documents yet.", "`./run.sh add` takes them in.")
    if documents and not ledger.documents(ids=documents):
        raise NotFoundError("The documents are no longer there.", "`./run.sh ls` shows those that are.")
