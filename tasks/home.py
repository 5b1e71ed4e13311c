"""Home: the one place where ledger, Redis and Celery meet.

Used by the Celery tasks of the home queue, and by the commands that add, cancel or retry documents.
Redis may be away at any time: what is decided is in the ledger, and the next tick carries it on.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from tasks.alerts import check_depths
from tasks.broker_url import redis_url
from tasks.capability import usable
from tasks.circuit import FALL_BACK_DOCUMENTS, load_circuit, save_circuit
from tasks.dispatch import Dispatcher
from tasks.documents import FINAL_STATES, Failure, PartAnalysis, Stage
from tasks.errors import ConfigError, ServiceError
from tasks.events import Event, EventKind, emit
from tasks.examples import Change
from tasks.exchange import Exchange, connect
from tasks.homes import announce_home
from tasks.ledger import DocumentRow, Ledger
from tasks.logs import about, about_order, configure_command
from tasks.look_planning import note_classifiers
from tasks.meaning.keeper import Keeper
from tasks.notify.daily import day_due
from tasks.notify.deliver import Delivery
from tasks.orders import Order, Outcome, Presence, ReadParams, image_pages
from tasks.pipeline import Pipeline, Submission
from tasks.planning import document_text
from tasks.publishing import publish_notify, publish_render, publish_unit
from tasks.queues import DELIVER_TASK, DIGEST_TASK
from tasks.read_planning import is_merge, load_estimate, part_text
from tasks.recipes import load_recipe
from tasks.redis_words import redis_may_be_away
from tasks.routing import known_models
from tasks.said import Correction
from tasks.settings import Settings
from tasks.spool_sweep import sweep
from tasks.stages.picturing import page_images
from tasks.stages.reading import ReadPayload
from tasks.units import unit, units_of

log = logging.getLogger("shoebox.home")

_LEFT_ALONE_SECONDS = 10.0
"""After a try that failed: long beside what waiting for a dead line takes, short for who waits for news."""


class Home:
    """Documents in, units out, outcomes recorded."""

    def __init__(self, ledger: Ledger, settings: Settings, exchange: Exchange) -> None:
        self.ledger = ledger
        self.settings = settings
        self.exchange = exchange
        self.pipeline = Pipeline(ledger, settings)
        self.dispatcher = Dispatcher(ledger, settings, exchange, self._publish)
        self._redis_not_before = 0.0
        """By the steady clock: until then what only helps is not told to Redis, which was away."""

    @classmethod
    @contextmanager
    def open(cls, settings: Settings, *, redis: bool = True) -> Iterator[Self]:
        """Open the ledger and a client to Redis, for one command.

        Redis need not be there: what is decided meanwhile is in the ledger. Without `redis` it is known
        not to be, and nobody waits for it.

        Raises:
            ServiceError: the ledger cannot be opened.
        """
        with Ledger.open(settings) as ledger:
            configure_command(settings)
            client = connect(f"unix://{settings.data_dir}/redis-is-not-running", retries=0)
            if redis:
                with suppress(ServiceError):
                    client = connect(redis_url(settings), retries=1)
            try:
                yield cls(ledger, settings, Exchange(client))
            finally:
                client.close()

    # Commands

    def add(self, path: Path, recipe: str, *, urgent: bool, descriptor: int | None = None) -> Submission:
        """Take a file, as `Pipeline.submit`. Call `release` after the last one."""
        submission = self.pipeline.submit(path, recipe, urgent=urgent, descriptor=descriptor)
        with about(document=submission.document.id, file=os.fsdecode(submission.document.path)):
            log.info("taken in" if submission.new else "known already")
        if submission.new:
            self._tell(submission.document)
        return submission

    def cancel(self, document: DocumentRow) -> bool:
        """Stop a document; False if it had ended already."""
        if not self.pipeline.cancel(document):
            return False
        self._try_redis("cancelling", lambda: self.exchange.mark_cancelled(self.ledger.home, document.id))
        self._note(document.id, "cancelled")
        return True

    def retry(self, document: DocumentRow, *, urgent: bool | None = None) -> None:
        """Begin a document again.

        Raises:
            FileError: as `Pipeline.retry`.
        """
        outstanding = self.pipeline.retry(document, urgent=urgent)
        self._forget(document, outstanding)
        self._note(document.id, "begun again")

    def set_urgent(self, document: DocumentRow, *, urgent: bool) -> None:
        """Read a document before all that are not urgent, or no longer so.

        Raises:
            ShoeboxError: as `Pipeline.set_urgent`.
        """
        self.pipeline.set_urgent(document, urgent=urgent)
        self._tell_again(document.id)

    def correct(self, document: DocumentRow, field: str, value: str) -> Correction:
        """Enter what a person says is right, as `Pipeline.correct`. Call `release` after it.

        Raises:
            CorrectionError, ConfigError: as `Pipeline.correct`.
        """
        correction = self.pipeline.correct(document, field, value)
        self._tell_again(document.id)
        return correction

    def similar_changes(self, said: Correction) -> list[Change]:
        """What a correction would change in documents that look the same.

        Raises:
            ConfigError: as `Pipeline.similar_changes`.
        """
        return self.pipeline.similar_changes(said)

    def apply_change(self, change: Change) -> None:
        """Enter a change that a person has agreed to, as `Pipeline.apply_change`. Call `release` after it.

        Raises:
            CorrectionError, ConfigError, NotFoundError: as `Pipeline.apply_change`.
        """
        self.pipeline.apply_change(change)
        self._tell_again(change.document)

    def accept(self, document: DocumentRow) -> None:
        """Enter that a person found a document right as it is, as `Pipeline.accept`.

        Raises:
            CorrectionError, ConfigError: as `Pipeline.accept`.
        """
        self.pipeline.accept(document)
        self._tell_again(document.id)

    def remove(self, document: DocumentRow) -> None:
        """Forget a document. Its original stays where it is."""
        self._forget(document, self.pipeline.remove(document))
        with about(document=document.id):
            log.info("forgotten")
        self._tell(document)

    def _forget(self, document: DocumentRow, units: list[int]) -> None:
        home = self.ledger.home

        def forget() -> None:
            for number in units:
                self.exchange.forget(home, number, done=True)
            self.exchange.unmark_cancelled(home, document.id)

        self._try_redis("forgetting units", forget)

    # Tasks of the home queue

    def release(self) -> None:
        """Fill the windows. With Redis away nothing is lost: the next tick does it."""
        with redis_may_be_away(log, "releasing units"):
            self.dispatcher.release()

    def record(self, unit_id: int) -> None:
        """Record the outcome that a worker has published, and release what comes next."""
        outcome = self.exchange.outcome(self.ledger.home, unit_id)
        if outcome is not None:
            self._enter(unit_id, outcome)
        self.release()

    def tick(self) -> None:
        """Look after units that got lost and outcomes that nobody told of; fill the windows."""
        with redis_may_be_away(log, "looking for lost units"):
            # First, because it writes: on a Redis that takes no writes workers cannot keep their leases, and
            # their units are not to be given up for that.
            announce_home(self.exchange, self.ledger.home)
            for unit_id, outcome in self.dispatcher.check_outstanding():
                self._enter(unit_id, outcome)
            self.dispatcher.tell_demand()
            presences = self.exchange.presence()
            self._look_at_models(usable(presences))
            self._look_at_classifiers(usable(presences))
            check_depths(self.ledger, self.settings, presences, time.time())
            self._look_at_notices()
        sweep(self.ledger, self.settings, time.time())
        self.release()
        self.look_at_vectors()

    def look_at_vectors(self) -> None:
        """Enter vectors that came back, have missing ones made. What fails there stops nothing else."""
        with redis_may_be_away(log, "looking at vectors"):
            try:
                Keeper(self.ledger, self.settings, self.exchange).tick()
            except ServiceError as error:
                log.warning("%s", error)

    def _look_at_models(self, workers: list[Presence]) -> None:
        """Note which models there are; begin again what waits for one, let go what waits in vain."""
        with self.ledger.transaction():
            known = known_models(workers)
            circuit = load_circuit(self.ledger).seen(known)
            save_circuit(self.ledger, circuit)
        self.pipeline.fall_back_all(FALL_BACK_DOCUMENTS)
        for document in self.pipeline.upgrade_all(circuit.documents_at_once):
            self._tell(document)

    def _look_at_classifiers(self, workers: list[Presence]) -> None:
        """Note which image classifiers there are; let go what waits for one that there is no longer."""
        with self.ledger.transaction():
            note_classifiers(self.ledger, workers)
        self.pipeline.give_up_looks()

    def _look_at_notices(self) -> None:
        """Send for the digest whose time was missed, and for delivery; both are done beside the records."""
        if day_due(self.ledger, self.settings, time.time()) is not None:
            publish_notify(DIGEST_TASK, self.ledger.home)
        if Delivery(self.ledger, self.settings).is_due():
            publish_notify(DELIVER_TASK, self.ledger.home)

    def _note(self, document: str, what: str) -> None:
        """Say in the log what a person has asked for, and tell of it."""
        with about(document=document):
            log.info("%s by a person", what)
        self._tell_again(document)

    def _enter(self, unit_id: int, outcome: Outcome) -> None:
        out = unit(self.ledger, unit_id)
        if out is None:
            self._enter_one(unit_id, outcome)
            return
        with about(
            home=self.ledger.home,
            document=out.document,
            unit=out.id,
            stage=str(out.stage),
            attempt=outcome.issue,
        ):
            self._enter_one(unit_id, outcome)

    def _enter_one(self, unit_id: int, outcome: Outcome) -> None:
        document = self.pipeline.record(unit_id, outcome)
        recorded = unit(self.ledger, unit_id)
        has_ended = recorded is None or recorded.state in FINAL_STATES
        if document is None and not has_ended:
            self.exchange.drop_outcome(self.ledger.home, unit_id)
        else:
            self.exchange.forget(self.ledger.home, unit_id, done=has_ended)
        if document is None:
            log.info("its outcome changes nothing: it came late or twice")
            return
        ending = outcome.failure.kind if outcome.failure else "done"
        log.info("recorded as %s; the document is %s, stage %s", ending, document.state, document.stage)
        self._tell(document)

    def _publish(self, order: Order, queue: str) -> None:
        """Hand out a released unit, with its payload where home has it at hand."""
        with about_order(order):
            log.debug("handed out to %s", order.target or queue)
            self._hand_out(order, queue)

    def _hand_out(self, order: Order, queue: str) -> None:
        try:
            if order.stage in {Stage.OCR, Stage.LOOK} or self._shows_pages(order):
                publish_render(order, self.settings)
                return
            if order.stage in {Stage.CLASSIFY, Stage.ANALYSE}:
                self.exchange.put_payload(order, self.reading_payload(order))
            publish_unit(order, queue, self.settings)
        except ConfigError as error:
            failure = Failure(kind="file", message=error.message, remedy=error.remedy)
            self.pipeline.record(order.unit, Outcome(issue=order.issue, failure=failure))

    def _shows_pages(self, order: Order) -> bool:
        """Whether pages are to be drawn for a reading unit: not again for one that has failed with them."""
        out = unit(self.ledger, order.unit)
        return bool(image_pages(order.stage, order.params)) and out is not None and out.attempts == 0

    def reading_payload(self, order: Order, *, with_images: bool = False) -> list[bytes]:
        """What a unit of classify or analyse is given. Drawing its page images may end the process."""
        document = self.ledger.document(order.document)
        if document is None:
            return [b""]  # removed this instant; the outcome of the unit will be ignored
        params = ReadParams.model_validate(order.params)
        text = document_text(self.ledger, document)
        payload = ReadPayload(
            recipe=load_recipe(document.recipe, self.settings.recipes_path),
            document=text,
            characters=sum(len(page.text) for page in text.pages),
        )
        if params.llm is not None:
            payload = payload.model_copy(
                update={
                    "document": part_text(text, params.llm.spans),
                    "parts": self._parts(order) if is_merge(params) else (),
                    "fence_key": self.ledger.secret("fence key"),
                    "tokens": load_estimate(self.ledger, params.llm.model),
                }
            )
        images = page_images(order, document, params.llm, self.settings) if with_images and params.llm else ()
        payload = payload.model_copy(update={"images": tuple(image.page for image in images)})
        return [payload.model_dump_json().encode(), *(image.data for image in images)]

    def _parts(self, order: Order) -> tuple[PartAnalysis, ...]:
        """What the parts of a document gave, for the unit that merges them."""
        units = units_of(self.ledger, order.document, Stage.ANALYSE)
        results = [self.ledger.result(part.result_key) for part in units if part.id != order.unit]
        return tuple(PartAnalysis.model_validate(result) for result in results if result is not None)

    def _tell_again(self, document: str) -> None:
        if row := self.ledger.document(document):
            self._tell(row)

    def _tell(self, document: DocumentRow) -> None:
        event = Event(
            kind=EventKind.DOCUMENT, document=document.id, state=document.state, stage=document.stage
        )
        self._try_redis("telling of a document", lambda: emit(self.exchange.redis, self.ledger.home, event))

    def _try_redis(self, doing: str, act: Callable[[], None]) -> None:
        """Do what helps others to know sooner. Where Redis was away, it is left alone for a while.

        A command about a thousand documents would else wait for a dead line a thousand times.
        """
        if time.monotonic() < self._redis_not_before:
            return
        self._redis_not_before = time.monotonic() + _LEFT_ALONE_SECONDS
        with redis_may_be_away(log, doing):
            act()
            self._redis_not_before = 0.0
