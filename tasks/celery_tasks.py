"""The Celery tasks: thin shells around home and the stages."""

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial, wraps
from threading import Thread
from typing import TYPE_CHECKING, Any

from celery import shared_task
from celery.signals import task_failure
from pydantic import BaseModel

from tasks import languages
from tasks.broker_url import redis_url
from tasks.documents import Failure, Stage
from tasks.engines import OFFLINE
from tasks.events import TextSender
from tasks.exchange import CancelWatch, Exchange, connect
from tasks.home import Home
from tasks.learned_costs import note_payload
from tasks.ledger import Ledger
from tasks.lifeline import SUPERVISED
from tasks.logs import about_order
from tasks.metrics.worker import note_run
from tasks.orders import Order, Outcome, ReadParams, image_pages
from tasks.planning import CPU_QUEUE, GPU_QUEUE, HOME_QUEUE
from tasks.publishing import publish_record, publish_unit
from tasks.question_road import Entry, EntryKind, QuestionRoad
from tasks.queues import (
    ASK_TASK,
    DELIVER_TASK,
    DIGEST_TASK,
    EMBED_QUERY_TASK,
    EMBED_TASK,
    EMBEDDED_TASK,
    RECORD_TASK,
    REINDEX_TASK,
    RENDER_TASK,
    TICK_TASK,
    unit_task,
)
from tasks.redis_words import redis_may_be_away, redis_words
from tasks.running import NoResultError, UnitResult, Work, prepare_unit, run_unit
from tasks.settings import get_settings
from tasks.upgrading import NewerLedgerError

if TYPE_CHECKING:
    from celery import Celery

    from tasks.engines.llm.base import ChatClient

log = logging.getLogger("shoebox.worker")


@lru_cache(maxsize=1)
def _exchange_of(pid: int) -> Exchange:  # noqa: ARG001 - a forked child must not share its parent's connections
    return Exchange(connect(redis_url(get_settings())))


def exchange() -> Exchange:
    """This process' way to the traces of units."""
    return _exchange_of(os.getpid())


@lru_cache(maxsize=1)
def _chat_client_of(pid: int) -> "ChatClient":  # noqa: ARG001 - as above
    """This process' client of the model server. A new one for each unit would cost as much as a short reply.

    Raises:
        ConfigError: as `make_client`.
    """
    from tasks.stages.reading import make_client

    return make_client(get_settings())


@lru_cache(maxsize=1)
def _idle_connection_of(pid: int) -> Ledger:  # noqa: ARG001 - a forked child must not share its parent's connection
    return Ledger.open(get_settings())


@contextmanager
def open_ledger() -> Iterator[Ledger]:
    """The ledger, for one task.

    Another connection stays open in this process: closing the last one makes SQLite write its log back and
    remove it (sqlite.org/wal.html), which would double the time that recording an outcome takes.

    Where the ledger has become newer than this worker, because Shoebox was updated while it ran,
    the worker ends and is started again: the supervisor starts what is installed now.
    """
    try:
        opened = Ledger.open(get_settings())
    except NewerLedgerError:
        if SUPERVISED in os.environ:
            os.kill(os.getppid(), signal.SIGTERM)
        raise
    with opened as ledger:
        _idle_connection_of(os.getpid())
        yield ledger


_TASKS_OF_HOME = frozenset(
    (
        *(unit_task(Stage.EXTRACT), RENDER_TASK, RECORD_TASK, TICK_TASK, DELIVER_TASK, DIGEST_TASK),
        *(EMBEDDED_TASK, REINDEX_TASK),
    )
)
"""They read files and the ledger, so they are not for workers that only help: `drop_foreign_tasks`."""


def drop_foreign_tasks(app: "Celery", queue: str) -> None:
    """Leave a worker only the tasks of its queue: a message for any other is refused as unknown.

    Whoever has Redis' password may send any message to any queue.
    """
    is_home = queue == HOME_QUEUE
    for name in list(app.tasks):
        if (name in _TASKS_OF_HOME) != is_home:
            app.tasks.unregister(name)


def _outlives_redis(task: Callable[..., None]) -> Callable[..., None]:
    """Let a task end with a line where Redis is away: home finds the unit again, and a tick comes again."""

    @wraps(task)
    def run(*arguments: Any, **named: Any) -> None:
        with redis_may_be_away(log, f"a task ran ({task.__name__})"):
            task(*arguments, **named)

    return run


def _run(task: Any, order: Order, work: Work, *, needs_payload: bool) -> None:
    lease = get_settings().lease_seconds
    outcome = run_unit(exchange(), order, lease, task.request.hostname, work, needs_payload=needs_payload)
    if outcome:
        publish_record(order)
        _end_as(outcome)


def _end_as(outcome: Outcome | None) -> None:
    """Let Celery's tools tell that a unit has ended without a result.

    Raises:
        NoResultError: it has.
    """
    if outcome and outcome.failure:
        raise NoResultError(outcome.failure.kind)


def _result(found: BaseModel) -> UnitResult:
    return UnitResult(found.model_dump(mode="json"))


@shared_task(name=unit_task(Stage.EXTRACT), bind=True, throws=NoResultError)
@_outlives_redis
def extract(self: Any, order: dict[str, Any]) -> None:
    """Read a file."""
    from tasks.stages.extract import extract as stage

    parsed = Order.model_validate(order)
    _run(self, parsed, lambda _: _result(stage(parsed, get_settings())), needs_payload=False)


@shared_task(name=RENDER_TASK, bind=True, throws=NoResultError)
@_outlives_redis
def render(self: Any, order: dict[str, Any]) -> None:
    """Render the pages that a unit needs, put them into Redis and hand the unit on to its queue."""
    settings = get_settings()
    parsed = Order.model_validate(order)
    worker = self.request.hostname
    if prepare_unit(exchange(), parsed, settings.lease_seconds, worker, lambda: _rendered(parsed)):
        publish_unit(parsed, _queue_behind(parsed), settings)
    else:
        outcome = exchange().outcome(parsed.home, parsed.unit)  # before home removes it
        publish_record(parsed)
        _end_as(outcome)


def _rendered(order: Order) -> list[bytes]:
    from tasks.stages.ocr import render as stage

    if order.stage is Stage.LOOK:  # so small that it tells nothing of what page images take up
        from tasks.stages.look import draw

        return draw(order, get_settings())
    with open_ledger() as ledger:
        if order.stage is Stage.OCR:
            payload = stage(order, get_settings())
        else:
            payload = Home(ledger, get_settings(), exchange()).reading_payload(order, with_images=True)
        pages = image_pages(order.stage, order.params)
        note_payload(ledger, order.unit, len(pages), sum(map(len, payload)))
    return payload


def _queue_behind(order: Order) -> str:
    """The queue of a unit whose pages have been rendered."""
    llm = None if order.stage in {Stage.OCR, Stage.LOOK} else ReadParams.model_validate(order.params).llm
    return CPU_QUEUE if llm and llm.on_cpu else GPU_QUEUE


@shared_task(name=unit_task(Stage.OCR), bind=True, throws=NoResultError)
@_outlives_redis
def ocr(self: Any, order: dict[str, Any]) -> None:
    """Read page images by OCR."""
    from tasks.stages.ocr import read_pages

    parsed = Order.model_validate(order)
    _run(self, parsed, lambda images: read_pages(parsed, images, get_settings()), needs_payload=True)


@shared_task(name=unit_task(Stage.LOOK), bind=True, throws=NoResultError)
@_outlives_redis
def look(self: Any, order: dict[str, Any]) -> None:
    """Look at page images with an image classifier."""
    from tasks.stages.look import look_at

    parsed = Order.model_validate(order)
    _run(
        self,
        parsed,
        lambda images: _result(look_at(parsed, images, get_settings())),
        needs_payload=True,
    )


@lru_cache(maxsize=1)
def _load_checks(pid: int) -> None:  # noqa: ARG001 - as above
    """Load what a reply will be checked with while the model is at it, once in a process."""
    Thread(target=languages.load, name="load checks", daemon=True).start()


def _read(task: Any, order: Order) -> None:
    from tasks.stages.reading import read

    text = TextSender(exchange().redis, order)
    cancelled = CancelWatch(exchange(), order)

    def work(payload: list[bytes]) -> UnitResult:
        client = None
        if order.model != OFFLINE:
            client = _chat_client_of(os.getpid())
            _load_checks(os.getpid())
        return read(order, payload, get_settings(), text.send, cancelled.is_cancelled, client)

    _run(task, order, work, needs_payload=True)


@shared_task(name=unit_task(Stage.CLASSIFY), bind=True, throws=NoResultError)
@_outlives_redis
def classify(self: Any, order: dict[str, Any]) -> None:
    """Choose a document's category."""
    _read(self, Order.model_validate(order))


@shared_task(name=unit_task(Stage.ANALYSE), bind=True, throws=NoResultError)
@_outlives_redis
def analyse(self: Any, order: dict[str, Any]) -> None:
    """Find title, summary and fields of a document, or of a part of it."""
    _read(self, Order.model_validate(order))


@shared_task(name=ASK_TASK, bind=True)
@_outlives_redis
def ask(self: Any, home: str, question: str) -> None:
    """Answer a question."""
    from tasks.stages.asking import answer_question

    holder = f"{self.request.hostname}:{os.getpid()}"
    answer_question(QuestionRoad(exchange().redis, home, question), holder, get_settings())


@shared_task(name=RECORD_TASK)
@_outlives_redis
def record(unit: int) -> None:
    """Record the outcome of a unit and release what comes next."""
    with open_ledger() as ledger:
        Home(ledger, get_settings(), exchange()).record(unit)


@shared_task(name=TICK_TASK)
@_outlives_redis
def tick() -> None:
    """Look after units that got lost."""
    with open_ledger() as ledger:
        Home(ledger, get_settings(), exchange()).tick()


@shared_task(name=DELIVER_TASK)
@_outlives_redis
def deliver() -> None:
    """Tell outside what waits in the outbox."""
    from tasks.notify.deliver import Delivery

    with open_ledger() as ledger:
        Delivery(ledger, get_settings()).run()


@shared_task(name=DIGEST_TASK)
@_outlives_redis
def digest() -> None:
    """Make the digest of the day, if it has not been made yet."""
    from tasks.notify.daily import make_if_due

    with open_ledger() as ledger:
        make_if_due(ledger, get_settings(), time.time())


@shared_task(name=EMBED_TASK, bind=True)
@_outlives_redis
def embed(self: Any, batch: dict[str, Any]) -> None:
    """Make the vectors of a batch of texts."""
    from tasks.meaning.embedding import embed_batch
    from tasks.meaning.publishing import publish_embedded

    order, settings = Order.model_validate(batch), get_settings()
    work = partial(embed_batch, settings=settings)
    worker = self.request.hostname
    if run_unit(exchange(), order, settings.lease_seconds, worker, work, needs_payload=True):
        publish_embedded(order)


@shared_task(name=EMBED_QUERY_TASK)
@_outlives_redis
def embed_query(query: dict[str, Any]) -> None:
    """Make the vector of what somebody looks for now."""
    from tasks.meaning.asking import send_reply
    from tasks.meaning.batches import EmbedQuery
    from tasks.meaning.embedding import embed_query as make_vector

    asked = EmbedQuery.model_validate(query)
    send_reply(exchange().redis, asked, make_vector(asked, get_settings()))


@shared_task(name=EMBEDDED_TASK)
@_outlives_redis
def embedded() -> None:
    """Enter vectors that were made, and have the next ones made."""
    with open_ledger() as ledger:
        Home(ledger, get_settings(), exchange()).look_at_vectors()


@shared_task(name=REINDEX_TASK)
@_outlives_redis
def reindex() -> None:
    """Compare all pages with their vectors."""
    from tasks.meaning.keeper import Keeper

    with open_ledger() as ledger:
        Keeper(ledger, get_settings(), exchange()).reindex_if_due()


@task_failure.connect
def report_loss(
    exception: BaseException | None = None, kwargs: dict[str, Any] | None = None, **_: Any
) -> None:
    """Tell home of a unit whose child was killed or ran out of time. Runs in the worker's main process.

    What a unit raises is its outcome already, published by the child.
    """
    failure = _loss(exception)
    if failure is None or not kwargs:
        return
    if "question" in kwargs:
        _end_question(kwargs["home"], kwargs["question"], failure)
    if "order" not in kwargs:
        return
    from redis.exceptions import RedisError

    order = Order.model_validate(kwargs["order"])
    with about_order(order):
        log.error("%s: its process was lost: %s", order.task_id, failure.message)
        outcome = Outcome(issue=order.issue, failure=failure)
        note_run(order, outcome)
        try:
            exchange().put_outcome(order, outcome)
        except RedisError as error:
            log.warning("%s: lost its child. %s", order.task_id, redis_words(error))
            return
        publish_record(order)


def _end_question(home: str, question: str, failure: Failure) -> None:
    """Tell the asker. If Redis is away, the lease runs out."""
    from redis.exceptions import RedisError

    said = failure.model_copy(update={"message": failure.message.replace("Reading it", "Answering")})
    try:
        road = QuestionRoad(exchange().redis, home, question)
        road.add(Entry(kind=EntryKind.FAILURE, failure=said))
    except RedisError as error:
        log.warning("question %s: lost its child. %s", question, redis_words(error))


def _loss(exception: BaseException | None) -> Failure | None:
    from billiard.exceptions import TimeLimitExceeded, WorkerLostError

    if isinstance(exception, TimeLimitExceeded):
        return Failure(
            kind="timeout", message=f"Reading it took longer than {exception.args[0]:.0f} seconds."
        )
    if isinstance(exception, WorkerLostError):
        return Failure(kind="died", message="Reading it killed the process that did it.")
    return None
