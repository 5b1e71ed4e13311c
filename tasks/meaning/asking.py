"""The vector of a query: made on the cpu queue, because only its workers need to reach the model server."""

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from tasks.broker_url import redis_url
from tasks.capability import queue_with
from tasks.circuit import load_circuit
from tasks.engines.llm.base import Vector
from tasks.errors import ServiceError
from tasks.exchange import Exchange, connect
from tasks.ledger import Ledger
from tasks.meaning.batches import EmbedQuery, QueryReply, unpack
from tasks.meaning.models import NUM_CTX, OFF, prefixes, serving_space
from tasks.meaning.publishing import publish_query
from tasks.meaning.store import Space, VectorStore
from tasks.planning import CPU_QUEUE
from tasks.redis_words import redis_words
from tasks.search import Query, parse_query
from tasks.settings import Settings

if TYPE_CHECKING:
    from redis import Redis

    from tasks.orders import Presence

REPLY_SECONDS = 30
"""How long the reply lies in Redis for somebody to fetch it."""


@dataclass(frozen=True, slots=True)
class QueryVector:
    """A query as a vector."""

    space: int
    """The space whose vectors it can be compared with."""
    values: Vector


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask for the vector of a query, and whom."""

    space: int
    query: EmbedQuery


def meant(query: Query) -> str:
    """What of a query has a meaning: its words. Phrases are wanted as they stand, and filters say it all."""
    words = [term.text for term in query.terms if not term.is_excluded]
    if all(term.is_phrase for term in query.terms if not term.is_excluded):
        return ""
    return " ".join(words)


def question(settings: Settings, ledger: Ledger, text: str, reply_key: str = "") -> Question | str:
    """What to ask for the vector of what a person typed; or why there is no use in asking.

    Raises:
        ServiceError: the file of vectors cannot be used.
    """
    words = meant(parse_query(text))
    if not words:
        return "There is no word in it whose meaning could be looked for."
    space = _serving(settings, ledger)
    if isinstance(space, str):
        return space
    query = EmbedQuery(
        model=space.model,
        num_ctx=NUM_CTX,
        on_cpu=True,
        text=prefixes(space.model)[1] + words,
        reply_key=reply_key or f"shoebox:{ledger.home}:query:{secrets.token_hex(8)}",
    )
    return Question(space.id, query)


def _serving(settings: Settings, ledger: Ledger) -> Space | str:
    if settings.embedding_model.casefold() == OFF:
        return "The settings switch it off."
    if not settings.vectors_path.exists():
        return "There are no vectors."
    with VectorStore.open(settings) as store:
        space = serving_space(store.spaces(), load_circuit(ledger).known)
    return space or "There are no vectors of a model that a worker reaches."


def query_vector(settings: Settings, ledger: Ledger, text: str, seconds: float) -> QueryVector | str:
    """The vector of what a person typed, if it comes in so many seconds; else why there is none, in words."""
    from kombu.exceptions import OperationalError
    from redis.exceptions import RedisError

    try:
        asked = question(settings, ledger, text)
        if isinstance(asked, str):
            return asked
        redis = connect(redis_url(settings), retries=0)
        try:
            presences = Exchange(redis).presence()
            if not any(CPU_QUEUE in worker.queues for worker in presences):
                return "No worker of the cpu queue is up."
            _send_query(asked.query, presences, seconds)
            return await_vector(redis, asked, seconds)
        finally:
            redis.close()
    except ServiceError as error:
        return str(error)
    except (OperationalError, RedisError) as error:
        return redis_words(error)


def have_made(settings: Settings, ledger: Ledger, text: str, reply_key: str, seconds: float) -> str:
    """Have the vector made and put under a key, for another process that waits; or say why it is not."""
    from kombu.exceptions import OperationalError
    from redis.exceptions import RedisError

    try:
        asked = question(settings, ledger, text, reply_key)
        if isinstance(asked, str):
            return asked
        redis = connect(redis_url(settings), retries=0)
        try:
            _send_query(asked.query, Exchange(redis).presence(), seconds)
        finally:
            redis.close()
    except ServiceError as error:
        return str(error)
    except (OperationalError, RedisError) as error:
        return redis_words(error)
    return ""


def _send_query(query: EmbedQuery, presences: "list[Presence]", seconds: float) -> None:
    publish_query(query, seconds, queue_with(presences, CPU_QUEUE, query.model))


def await_vector(redis: "Redis", asked: Question, seconds: float) -> QueryVector | str:
    """Wait for the vector that was asked for; or why there is none, in words.

    Raises:
        RedisError: Redis is away.
    """
    came = cast("tuple[bytes, bytes] | None", redis.blpop([asked.query.reply_key], timeout=seconds))
    if came is None:
        return f"The model {asked.query.model!r} did not answer within {seconds:g} s."
    try:
        reply = QueryReply.model_validate_json(came[1])
        return reply.problem or QueryVector(asked.space, unpack(reply.vector))
    except ValueError:
        return "The worker's answer cannot be read."


def send_reply(redis: "Redis", query: EmbedQuery, reply: QueryReply) -> None:
    """Put the vector of a query where it is waited for."""
    with redis.pipeline(transaction=True) as pipe:
        pipe.rpush(query.reply_key, reply.model_dump_json())
        pipe.expire(query.reply_key, REPLY_SECONDS)
        pipe.execute()
