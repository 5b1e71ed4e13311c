"""Releasing units, and finding those that got lost: real ledger, real Redis, a broker made of lists."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.dispatch import Dispatcher
from tasks.documents import State
from tasks.exchange import Exchange
from tasks.ledger import DocumentRow, Ledger
from tasks.orders import Order, Outcome, Presence
from tasks.pipeline import Pipeline
from tasks.planning import GPU_QUEUE, HOME_QUEUE
from tasks.queues import NORMAL_PRIORITY, broker_lists, home_queue
from tasks.settings import Settings
from tasks.units import UnitRow, outstanding, unit


class Broker:
    """Puts a message where kombu puts it, so that the dispatcher can find it again."""

    def __init__(self, exchange: Exchange) -> None:
        self.redis = exchange.redis
        self.orders: list[Order] = []
        self.is_away = False

    def publish(self, order: Order, queue: str) -> None:
        self.orders.append(order)
        if not self.is_away:
            name = home_queue(order.home) if queue == HOME_QUEUE else queue
            message = json.dumps({"headers": {"id": order.task_id}})
            self.redis.lpush(broker_lists(name)[NORMAL_PRIORITY // 3], message)

    def deliver(self) -> Order:
        """A worker takes the message; it is no longer in Redis."""
        order = self.orders.pop(0)
        for key in self.redis.keys("*"):
            if self.redis.type(key) == b"list":
                self.redis.delete(key)
        return order


@pytest.fixture
def broker(exchange: Exchange) -> Broker:
    return Broker(exchange)


@pytest.fixture
def dispatcher(ledger: Ledger, settings: Settings, exchange: Exchange, broker: Broker) -> Dispatcher:
    return Dispatcher(ledger, settings, exchange, broker.publish)


@pytest.fixture
def add(ledger: Ledger, settings: Settings, tmp_path: Path) -> Callable[..., DocumentRow]:
    def add_file(text: str, urgent: bool = False) -> DocumentRow:
        path = tmp_path / f"{text}.txt"
        path.write_text(text)
        return Pipeline(ledger, settings).submit(path, "builtin", urgent=urgent).document

    return add_file


def on_queue(ledger: Ledger, queue: str) -> None:
    """Move all units to another queue, to fill it without running the stages before."""
    ledger.db.execute("UPDATE units SET queue = ?", (queue,))


def never_seen(ledger: Ledger) -> None:
    """As if nobody had heard of the outstanding units for long, while home was watching."""
    ledger.db.execute("UPDATE units SET seen_at = 0")


def only_unit(ledger: Ledger) -> UnitRow:
    found = unit(ledger, 1)
    assert found is not None
    return found


def test_one_process_at_home_stays_free(
    dispatcher: Dispatcher, ledger: Ledger, add: Callable[..., DocumentRow]
) -> None:
    for name in "abc":
        add(name)
    assert dispatcher.release() == 1
    assert dispatcher.release() == 0
    assert len(outstanding(ledger, HOME_QUEUE)) == 1


def test_the_window_grows_with_the_workers(
    dispatcher: Dispatcher, ledger: Ledger, exchange: Exchange, add: Callable[..., DocumentRow]
) -> None:
    for name in "abcdefgh":
        add(name)
    on_queue(ledger, GPU_QUEUE)
    assert dispatcher.release() == 2
    for number in range(3):
        exchange.announce_presence(Presence(worker=f"{number}", queues=("gpu",), slots=1, pid=1), 60)
    assert dispatcher.release() == 4


def test_urgent_comes_first_then_the_document_at_hand_then_the_oldest(
    dispatcher: Dispatcher, ledger: Ledger, broker: Broker, add: Callable[..., DocumentRow]
) -> None:
    oldest, at_hand, urgent = add("a"), add("b"), add("c", urgent=True)
    on_queue(ledger, GPU_QUEUE)
    ledger.set_meta("last document on gpu", at_hand.id)
    dispatcher.release()
    assert [order.document for order in broker.orders] == [urgent.id, at_hand.id]
    ledger.db.execute("UPDATE units SET state = 'done' WHERE state = 'queued'")
    dispatcher.release()
    assert broker.orders[2].document == oldest.id


def test_a_message_in_redis_is_not_lost(
    dispatcher: Dispatcher, ledger: Ledger, add: Callable[..., DocumentRow]
) -> None:
    add("a")
    dispatcher.release()
    dispatcher.check_outstanding()
    never_seen(ledger)
    assert dispatcher.check_outstanding() == []
    assert only_unit(ledger).state is State.QUEUED
    assert only_unit(ledger).seen_at > 0


def test_a_unit_with_a_worker_is_running(
    dispatcher: Dispatcher,
    ledger: Ledger,
    exchange: Exchange,
    broker: Broker,
    add: Callable[..., DocumentRow],
) -> None:
    add("a")
    dispatcher.release()
    exchange.take_lease(broker.deliver(), 60)
    dispatcher.check_outstanding()
    assert only_unit(ledger).state is State.RUNNING


def test_a_lost_message_is_issued_again_and_costs_no_attempt(
    dispatcher: Dispatcher,
    ledger: Ledger,
    exchange: Exchange,
    broker: Broker,
    add: Callable[..., DocumentRow],
) -> None:
    add("a")
    dispatcher.release()
    dispatcher.check_outstanding()
    exchange.redis.flushall()
    never_seen(ledger)
    assert dispatcher.check_outstanding() == []
    assert only_unit(ledger).state is State.WAITING
    dispatcher.release()
    assert [order.issue for order in broker.orders] == [1, 2]
    assert only_unit(ledger).attempts == 0


def test_a_message_that_was_never_sent_is_issued_again(
    dispatcher: Dispatcher, ledger: Ledger, broker: Broker, add: Callable[..., DocumentRow]
) -> None:
    broker.is_away = True
    add("a")
    dispatcher.release()
    dispatcher.check_outstanding()
    never_seen(ledger)
    dispatcher.check_outstanding()
    assert only_unit(ledger).state is State.WAITING


def test_a_worker_that_died_costs_an_attempt(
    dispatcher: Dispatcher,
    ledger: Ledger,
    exchange: Exchange,
    broker: Broker,
    add: Callable[..., DocumentRow],
) -> None:
    add("a")
    dispatcher.release()
    dispatcher.check_outstanding()
    order = broker.deliver()
    exchange.take_lease(order, 60)
    exchange.redis.delete(f"shoebox:{ledger.home}:1:lease")
    never_seen(ledger)
    [(number, outcome)] = dispatcher.check_outstanding()
    assert number == 1
    assert outcome.failure is not None
    assert outcome.failure.kind == "died"


def test_an_outcome_that_nobody_told_of_is_found(
    dispatcher: Dispatcher, exchange: Exchange, broker: Broker, add: Callable[..., DocumentRow]
) -> None:
    add("a")
    dispatcher.release()
    outcome = Outcome(issue=1, result={})
    exchange.put_outcome(broker.deliver(), outcome)
    assert dispatcher.check_outstanding() == [(1, outcome)]


def test_nobody_is_blamed_for_the_time_home_was_away(
    dispatcher: Dispatcher,
    ledger: Ledger,
    exchange: Exchange,
    broker: Broker,
    add: Callable[..., DocumentRow],
) -> None:
    add("a")
    dispatcher.release()
    exchange.take_lease(broker.deliver(), 60)
    exchange.redis.delete(f"shoebox:{ledger.home}:1:lease")
    never_seen(ledger)
    ledger.set_meta("checked at", "1.0")
    assert dispatcher.check_outstanding() == []
    assert only_unit(ledger).state is State.QUEUED


def test_another_homes_messages_are_none_of_ours(
    dispatcher: Dispatcher,
    ledger: Ledger,
    exchange: Exchange,
    broker: Broker,
    add: Callable[..., DocumentRow],
) -> None:
    add("a")
    dispatcher.release()
    dispatcher.check_outstanding()
    broker.deliver()
    exchange.redis.lpush("gpu", json.dumps({"headers": {"id": "another.1.1"}}))
    never_seen(ledger)
    dispatcher.check_outstanding()
    assert only_unit(ledger).state is State.WAITING
