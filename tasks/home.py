"""Home: the one place where ledger, Redis and Celery meet.

Used by the Celery tasks of the home queue, and by the commands that add, cancel or retry documents.
Redis may be away at any time: what is decided is in the ledger, and the next tick carries it on.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from tasks.broker_url import redis_url
from tasks.dispatch import Dispatcher
from tasks.documents import FINAL_STATES, Failure, Stage
from tasks.errors import ConfigError, ServiceError
from tasks.events import Event, EventKind, emit
from tasks.exchange import Exchange, connect
from tasks.ledger import DocumentRow, Ledger
from tasks.orders import Order, Outcome
from tasks.pipeline import Pipeline, Submission
from tasks.planning import document_text
from tasks.publishing import publish_render, publish_unit
from tasks.recipes import load_recipe
from tasks.settings import Settings
from tasks.units import unit

log = logging.getLogger("shoebox.home")


class Home:
    """Documents in, units out, outcomes recorded."""

    def __init__(self, ledger: Ledger, settings: Settings, exchange: Exchange) -> None:
        self.ledger = ledger
        self.settings = settings
        self.exchange = exchange
        self.pipeline = Pipeline(ledger, settings)
        self.dispatcher = Dispatcher(ledger, settings, exchange, self._publish)

    @classmethod
    @contextmanager
    def open(cls, settings: Settings) -> Iterator[Self]:
        """Open the ledger and a client to Redis, for one command.

        The embedded Redis need not run: what is decided meanwhile is in the ledger.

        Raises:
            ServiceError: the ledger cannot be opened.
        """
        with Ledger.open(settings) as ledger:
            try:
                redis = connect(redis_url(settings))
            except ServiceError:
                redis = connect(f"unix://{settings.data_dir}/redis-is-not-running", retries=0)
            try:
                yield cls(ledger, settings, Exchange(redis))
            finally:
                redis.close()

    # Commands

    def add(self, path: Path, recipe: str, *, urgent: bool) -> Submission:
        """Take a file, as `Pipeline.submit`. Call `release` after the last one."""
        submission = self.pipeline.submit(path, recipe, urgent=urgent)
        if submission.new:
            self._tell(submission.document)
        return submission

    def cancel(self, document: DocumentRow) -> bool:
        """Stop a document; False if it had ended already."""
        if not self.pipeline.cancel(document):
            return False
        with _redis_may_be_away("cancelling"):
            self.exchange.mark_cancelled(self.ledger.home, document.id)
        self._tell_again(document.id)
        return True

    def retry(self, document: DocumentRow, *, urgent: bool | None = None) -> None:
        """Begin a document again.

        Raises:
            FileError: as `Pipeline.retry`.
        """
        outstanding = self.pipeline.retry(document, urgent=urgent)
        self._forget(document, outstanding)
        self._tell_again(document.id)

    def remove(self, document: DocumentRow) -> None:
        """Forget a document. Its original stays where it is."""
        self._forget(document, self.pipeline.remove(document))
        self._tell(document)

    def _forget(self, document: DocumentRow, units: list[int]) -> None:
        home = self.ledger.home
        with _redis_may_be_away("forgetting units"):
            for number in units:
                self.exchange.forget(home, number, done=True)
            self.exchange.unmark_cancelled(home, document.id)

    # Tasks of the home queue

    def release(self) -> None:
        """Fill the windows. With Redis away nothing is lost: the next tick does it."""
        with _redis_may_be_away("releasing units"):
            self.dispatcher.release()

    def record(self, unit_id: int) -> None:
        """Record the outcome that a worker has published, and release what comes next."""
        outcome = self.exchange.outcome(self.ledger.home, unit_id)
        if outcome is not None:
            self._enter(unit_id, outcome)
        self.release()

    def tick(self) -> None:
        """Look after units that got lost and outcomes that nobody told of; fill the windows."""
        with _redis_may_be_away("looking for lost units"):
            for unit_id, outcome in self.dispatcher.check_outstanding():
                self._enter(unit_id, outcome)
        self.release()

    def _enter(self, unit_id: int, outcome: Outcome) -> None:
        document = self.pipeline.record(unit_id, outcome)
        recorded = unit(self.ledger, unit_id)
        has_ended = recorded is None or recorded.state in FINAL_STATES
        self.exchange.forget(self.ledger.home, unit_id, done=has_ended)
        if document is not None:
            self._tell(document)

    def _publish(self, order: Order, queue: str) -> None:
        """Hand out a released unit, with its payload where home has it at hand."""
        try:
            if order.stage is Stage.OCR:
                publish_render(order)
                return
            if order.stage in {Stage.CLASSIFY, Stage.ANALYSE}:
                self.exchange.put_payload(order, self._reading_payload(order))
            publish_unit(order, queue, self.settings)
        except ConfigError as error:
            failure = Failure(kind="file", message=error.message, remedy=error.remedy)
            self.pipeline.record(order.unit, Outcome(issue=order.issue, failure=failure))

    def _reading_payload(self, order: Order) -> list[bytes]:
        document = self.ledger.document(order.document)
        if document is None:
            return [b""]  # removed this instant; the outcome of the unit will be ignored
        recipe = load_recipe(document.recipe, self.settings.recipes_path)
        text = document_text(self.ledger, document)
        return [text.model_dump_json().encode(), recipe.model_dump_json().encode()]

    def _tell_again(self, document: str) -> None:
        if row := self.ledger.document(document):
            self._tell(row)

    def _tell(self, document: DocumentRow) -> None:
        event = Event(
            kind=EventKind.DOCUMENT, document=document.id, state=document.state, stage=document.stage
        )
        with _redis_may_be_away("telling of a document"):
            emit(self.exchange.redis, self.ledger.home, event)


@contextmanager
def _redis_may_be_away(doing: str) -> Iterator[None]:
    from kombu.exceptions import OperationalError
    from redis.exceptions import RedisError

    try:
        yield
    except (OperationalError, RedisError) as error:
        log.warning("Redis is away while %s; the next tick carries on: %s", doing, error)
