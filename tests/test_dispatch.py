"""Releasing units, and finding those that got lost: real ledger, real Redis, a broker made of lists."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tasks.circuit import Circuit, save_circuit
from tasks.dispatch import Dispatcher
from tasks.documents import Stage, State
from tasks.engines.llm.base import ModelInfo
from tasks.exchange import Exchange
from tasks.ledger import DocumentRow, Ledger
from tasks.orders import Order, Outcome, Presence
from tasks.pipeline import Pipeline
from tasks.planning import GPU_QUEUE, HOME_QUEUE, PADDLEOCR
from tasks.queues import NORMAL_PRIORITY, broker_lists, home_queue, worker_queue
from tasks.settings import Settings
from tasks.units import UnitPlan, UnitRow, outstanding, plan_units, unit


class Broker:
    """Puts a message where kombu puts it, so that the dispatcher can find it again."""

    def __init__(self, exchange: Exchange) -> None:
        self.redis = exchange.redis
        self.orders: list[Order] = []
        self.is_away = False

    def publish(self, order: Order, queue: str) -> None:
        self.orders.append(order)
        if not self.is_away:
            name = home_queue(order.home) if queue == HOME_QUEUE else worker_queue(queue, order.target)
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


@dataclass
class Issued:
    """A unit that was released, with everything around it."""

    dispatcher: Dispatcher
    ledger: Ledger
    exchange: Exchange
    broker: Broker

    def unit(self) -> UnitRow:
        return only_unit(self.ledger)

    def check_later(self) -> list[tuple[int, Outcome]]:
        """Look for lost units as if nobody had heard of them for long, while home was watching."""
        never_seen(self.ledger)
        return self.dispatcher.check_outstanding()

    def lose_lease(self) -> None:
        """A worker takes the unit and dies."""
        self.exchange.take_lease(self.broker.deliver(), 60)
        self.exchange.redis.delete(f"shoebox:{self.ledger.home}:1:lease")


@pytest.fixture
def issued(
    dispatcher: Dispatcher,
    ledger: Ledger,
    exchange: Exchange,
    broker: Broker,
    add: Callable[..., DocumentRow],
) -> Issued:
    add("a")
    dispatcher.release()
    dispatcher.check_outstanding()
    return Issued(dispatcher, ledger, exchange, broker)


def on_queue(ledger: Ledger, queue: str) -> None:
    """Move all units to another queue, to fill it without running the stages before."""
    ledger.db.execute("UPDATE units SET queue = ?, model = ?", (queue, PADDLEOCR))


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
    assert dispatcher.release() == 0
    for number in range(3):
        exchange.announce_presence(Presence(worker=f"{number}", queues=("gpu",), slots=1, pid=1), 60)
    assert dispatcher.release() == 6
    assert Counter(unit.target for unit in outstanding(ledger)) == {"0": 2, "1": 2, "2": 2}


def test_urgent_comes_first_then_the_document_at_hand_then_the_oldest(
    dispatcher: Dispatcher,
    ledger: Ledger,
    exchange: Exchange,
    broker: Broker,
    add: Callable[..., DocumentRow],
) -> None:
    at_hand, _, urgent = add("a"), add("b"), add("c", urgent=True)
    on_queue(ledger, GPU_QUEUE)
    exchange.announce_presence(Presence(worker="one", queues=("gpu",), slots=1, pid=1), 60)
    dispatcher.release()
    assert [order.document for order in broker.orders] == [urgent.id, at_hand.id]
    ledger.db.execute("UPDATE units SET state = 'done' WHERE state = 'queued'")
    older = add("d")
    newer = UnitPlan(Stage.OCR, GPU_QUEUE, PADDLEOCR, {"sha256": "", "mime": "", "pages": [2]}, "")
    plan_units(ledger, at_hand, [newer])
    on_queue(ledger, GPU_QUEUE)
    ledger.db.execute("UPDATE units SET seq = 9 WHERE document = ?", (at_hand.id,))
    dispatcher.release()
    assert broker.orders[2].document == at_hand.id
    assert older.id not in {order.document for order in broker.orders}


def test_a_message_in_redis_is_not_lost(issued: Issued) -> None:
    assert issued.check_later() == []
    assert issued.unit().state is State.QUEUED
    assert issued.unit().seen_at > 0


def test_a_unit_with_a_worker_is_running(issued: Issued) -> None:
    issued.exchange.take_lease(issued.broker.deliver(), 60)
    issued.dispatcher.check_outstanding()
    assert issued.unit().state is State.RUNNING


def test_a_lost_message_is_issued_again_and_costs_no_attempt(issued: Issued) -> None:
    issued.exchange.redis.flushall()
    assert issued.check_later() == []
    assert issued.unit().state is State.WAITING
    issued.dispatcher.release()
    assert [order.issue for order in issued.broker.orders] == [1, 2]
    assert issued.unit().attempts == 0


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


def test_a_worker_that_died_costs_an_attempt(issued: Issued) -> None:
    issued.lose_lease()
    [(number, outcome)] = issued.check_later()
    assert number == 1
    assert outcome.failure is not None
    assert outcome.failure.kind == "died"


def test_an_outcome_that_nobody_told_of_is_found(issued: Issued) -> None:
    outcome = Outcome(issue=1, result={})
    issued.exchange.put_outcome(issued.broker.deliver(), outcome)
    assert issued.dispatcher.check_outstanding() == [(1, outcome)]


def test_nobody_is_blamed_for_the_time_home_was_away(issued: Issued) -> None:
    issued.lose_lease()
    issued.ledger.set_meta("checked at", "1.0")
    assert issued.check_later() == []
    assert issued.unit().state is State.QUEUED


def test_a_unit_that_was_cut_off_with_redis_is_issued_again_without_blame(issued: Issued) -> None:
    issued.lose_lease()
    issued.ledger.set_meta("checked at", "1.0")
    issued.dispatcher.check_outstanding()
    assert issued.check_later() == []
    assert (issued.unit().state, issued.unit().attempts) == (State.WAITING, 0)


def test_a_unit_that_lives_on_after_redis_was_away_may_die_later(issued: Issued) -> None:
    order = issued.broker.deliver()
    token = issued.exchange.take_lease(order, 60)
    assert token is not None
    lease = f"shoebox:{issued.ledger.home}:1:lease"
    issued.exchange.redis.delete(lease)
    issued.ledger.set_meta("checked at", "1.0")
    issued.dispatcher.check_outstanding()
    issued.exchange.renew_lease(order, token, 60)
    issued.dispatcher.check_outstanding()
    issued.exchange.redis.delete(lease)
    [(_, outcome)] = issued.check_later()
    assert outcome.failure is not None
    assert outcome.failure.kind == "died"


@pytest.mark.parametrize(
    "message",
    [
        "no JSON",
        "[]",
        '{"body": 1}',
        '{"headers": {"id": 5}}',
        '{"headers": {"id": "HOME.x"}}',
        '{"headers": 1}',
    ],
)
def test_what_others_put_on_our_queues_stops_nothing(issued: Issued, message: str) -> None:
    name = broker_lists("gpu")[0]
    issued.exchange.redis.lpush(name, message.replace("HOME", issued.ledger.home), b"\xff\xfe")
    assert issued.check_later() == []
    assert issued.unit().state is State.QUEUED, "its message is still found"


def test_another_homes_messages_are_none_of_ours(issued: Issued) -> None:
    issued.broker.deliver()
    message = json.dumps({"headers": {"id": "another.1.1"}})
    issued.exchange.redis.lpush(broker_lists("gpu")[0], message)
    issued.check_later()
    assert issued.unit().state is State.WAITING


def test_units_for_a_model_are_held_back_while_the_circuit_is_open(
    dispatcher: Dispatcher, ledger: Ledger, exchange: Exchange, add: Callable[..., DocumentRow]
) -> None:
    add("a")
    models = (ModelInfo(name="shoebox-small:latest", parameters=1),)
    exchange.announce_presence(Presence(worker="one", queues=("cpu",), slots=1, pid=1, models=models), 60)
    ledger.db.execute("UPDATE units SET stage = 'classify', queue = 'cpu', model = 'shoebox-small'")
    save_circuit(ledger, Circuit().failed("It is away."))
    assert dispatcher.release() == 0
    save_circuit(ledger, Circuit())
    assert dispatcher.release() == 1


@pytest.mark.parametrize("mark", ["done", "cancelled"])
def test_a_mark_that_the_ledger_knows_nothing_of_does_not_keep_a_unit_from_its_worker(
    issued: Issued, mark: str
) -> None:
    """Of a document that was taken up again while Redis was away, or of a ledger that was restored."""
    order = issued.broker.deliver()
    if mark == "done":
        issued.exchange.forget(order.home, order.unit, done=True)
    else:
        issued.exchange.mark_cancelled(order.home, order.document)
    assert issued.exchange.take_lease(order, 60) is None
    issued.check_later()
    issued.dispatcher.release()
    assert issued.exchange.take_lease(issued.broker.deliver(), 60) is not None
