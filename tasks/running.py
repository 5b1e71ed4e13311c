"""Running one unit on a worker: lease, work, outcome."""

import contextvars
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

from tasks.capability import is_light
from tasks.documents import Failure
from tasks.engines.llm.base import CallTrace
from tasks.errors import FileError, ShoeboxError
from tasks.exchange import Exchange
from tasks.logs import about_order
from tasks.metrics.worker import note_run
from tasks.orders import Order, Outcome, Swap
from tasks.redis_words import SaidOnce, redis_words
from tasks.turns import begin_unit

log = logging.getLogger("shoebox.unit")

PUBLISH_SECONDS = 60.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class UnitResult:
    """What a stage made of a unit."""

    result: dict[str, Any]
    """As JSON values."""
    calls: tuple[CallTrace, ...] = ()
    """The calls to language models that it took."""
    swaps: tuple[Swap, ...] = ()
    """The models that had to be loaded for it."""


class UnitFailedError(Exception):
    """A unit that ended without a result after calls that should be kept."""

    def __init__(self, failure: Failure, calls: tuple[CallTrace, ...]) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.calls = calls


class NoResultError(Exception):
    """Ends the task of a unit without a result, so that Celery's tools tell of a failure. It has the kind.

    All that home goes by has been published before.
    """


Work = Callable[[list[bytes]], UnitResult]
"""Payload in, the stage's result out."""


class LeaseKeeper:
    """Renews a lease from a thread while the work goes on.

    Args:
        renew: makes the lease last for another `seconds`; False if another worker has it.
        name: of what the lease is for, in the log.
    """

    def __init__(self, renew: Callable[[], bool], seconds: float, name: str) -> None:
        self._renew_once = renew
        self._seconds = seconds
        self._name = name
        self._ended = threading.Event()
        renew_here = contextvars.copy_context().run  # its lines are about the same unit
        self._thread = threading.Thread(
            target=renew_here, args=(self._renew,), name=f"lease-{name}", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        # Joined, because a renewal that is still on its way would bring back a lease that has ended.
        self._thread.join()

    def _renew(self) -> None:
        from redis.exceptions import RedisError

        said = SaidOnce(log, f"{self._name}: the lease is not renewed: ")
        while not self._ended.wait(self._seconds / 3):
            try:
                if not self._renew_once():
                    log.warning("%s: another worker has the lease", self._name)
                    return
            except RedisError as error:
                said.wrong(redis_words(error))
            else:
                said.right()


def run_unit(
    exchange: Exchange, order: Order, lease_seconds: float, worker: str, work: Work, *, needs_payload: bool
) -> Outcome | None:
    """Run a unit and publish its outcome.

    Returns None if the unit was not ours to run: done, cancelled, or with another worker.
    """
    with about_order(order):
        return _run_unit(exchange, order, lease_seconds, worker, work, needs_payload=needs_payload)


def _run_unit(
    exchange: Exchange, order: Order, lease_seconds: float, worker: str, work: Work, *, needs_payload: bool
) -> Outcome | None:
    calls: tuple[CallTrace, ...] = ()
    token = exchange.take_lease(order, lease_seconds)
    if token is None:
        log.info("%s: dropped: done, cancelled or taken", order.task_id)
        return None
    if order.target and order.model and not is_light(order.model):
        _begin_turn(exchange, order)
    started = time.monotonic()
    with _keeper(exchange, order, token, lease_seconds):
        try:
            ended = _attempt(order, lambda: _with_payload(exchange, order, work, needs_payload=needs_payload))
        except UnitFailedError as error:
            ended, calls = error.failure, error.calls
    seconds = round(time.monotonic() - started, 3)
    outcome = Outcome(issue=order.issue, seconds=seconds, worker=worker)
    if isinstance(ended, Failure):
        outcome = outcome.model_copy(update={"failure": ended, "calls": calls})
    else:
        outcome = outcome.model_copy(
            update={"result": ended.result, "calls": ended.calls, "swaps": ended.swaps}
        )
    note_run(order, outcome)
    publish_outcome(exchange, order, outcome)
    ending = outcome.failure.kind if outcome.failure else "done"
    log.info("%s: %s of %s: %s in %.2f s", order.task_id, order.stage, order.document, ending, seconds)
    return outcome


def prepare_unit(
    exchange: Exchange, order: Order, lease_seconds: float, worker: str, work: Callable[[], list[bytes]]
) -> bool:
    """Make a unit's payload. Returns True if the payload is in Redis and the unit can be handed on.

    A failure is published as the unit's outcome. The lease is given back before the unit is handed on, so
    that the next worker can take it.
    """
    with about_order(order):
        return _prepare_unit(exchange, order, lease_seconds, worker, work)


def _prepare_unit(
    exchange: Exchange, order: Order, lease_seconds: float, worker: str, work: Callable[[], list[bytes]]
) -> bool:
    token = exchange.take_lease(order, lease_seconds)
    if token is None:
        return False
    with _keeper(exchange, order, token, lease_seconds):
        payload = _attempt(order, work)
    if isinstance(payload, Failure):
        publish_outcome(exchange, order, Outcome(issue=order.issue, failure=payload, worker=worker))
        return False
    exchange.put_payload(order, payload)
    exchange.release_lease(order, token)
    return True


def publish_outcome(exchange: Exchange, order: Order, outcome: Outcome) -> None:
    """Publish an outcome; work that is done is worth waiting for a Redis that restarts.

    Raises:
        RedisError: Redis did not come back in time; home will issue the unit again.
    """
    from redis.exceptions import RedisError

    give_up = time.monotonic() + PUBLISH_SECONDS
    pause = threading.Event()
    said = SaidOnce(log, f"{order.task_id}: the outcome waits: ")
    while True:
        try:
            exchange.put_outcome(order, outcome)
        except RedisError as error:
            if time.monotonic() > give_up:
                raise
            said.wrong(redis_words(error))
            pause.wait(1)
        else:
            return


def _begin_turn(exchange: Exchange, order: Order) -> None:
    from redis.exceptions import RedisError

    try:
        begin_unit(exchange.redis, order.target, order.model)
    except RedisError as error:  # it helps to choose, and nothing depends on it
        log.warning("%s: Redis does not hear of its model: %s", order.task_id, redis_words(error))


def _keeper(exchange: Exchange, order: Order, token: str, seconds: float) -> LeaseKeeper:
    return LeaseKeeper(lambda: exchange.renew_lease(order, token, seconds), seconds, order.task_id)


def _with_payload(exchange: Exchange, order: Order, work: Work, *, needs_payload: bool) -> UnitResult:
    from redis.exceptions import RedisError

    try:
        payload = exchange.payload(order) if needs_payload else []
    except RedisError as error:  # a worker that is cut off just now; the unit is not at fault
        raise PayloadLostError(f"Redis went away before unit {order.unit} was read from it.") from error
    if needs_payload and not payload:
        raise PayloadLostError(f"What unit {order.unit} should read has vanished from Redis.")
    return work(payload)


class PayloadLostError(ShoeboxError):
    """A unit's payload is no longer in Redis. Not the unit's fault: home makes it again."""


def _attempt(order: Order, work: Callable[[], T]) -> T | Failure:
    """The result, or why there is none: nothing that happens in a unit may pass unseen."""
    try:
        return work()
    except UnitFailedError:
        raise
    except PayloadLostError as error:
        return Failure(kind="lost", message=error.message)
    except FileError as error:
        return Failure(kind=error.kind, message=error.message, remedy=error.remedy)
    except ShoeboxError as error:
        return Failure(kind="error", message=error.message, remedy=error.remedy)
    except MemoryError:
        return Failure(kind="error", message=f"There was not enough memory for the {order.stage} stage.")
    except Exception as error:
        log.exception("%s: the %s stage raised", order.task_id, order.stage)
        text = f"{type(error).__name__}: {error}"[:300]
        return Failure(kind="error", message=f"The {order.stage} stage failed ({text}).")
