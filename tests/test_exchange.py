"""A unit's traces in a real Redis, and running units by them."""

import threading

import pytest
from redis import Redis
from redis.exceptions import ConnectionError

from tasks.documents import Failure, Stage
from tasks.errors import FileError
from tasks.events import Event, EventKind, emit, read_events
from tasks.exchange import Exchange
from tasks.orders import Order, Outcome, Presence
from tasks.running import UnitResult, prepare_unit, run_unit

ORDER = Order(home="h", unit=7, issue=1, document="abc", stage=Stage.OCR)
NOTHING = UnitResult({})
DONE = Outcome(issue=1, result={"pages": []})


def test_a_lease_is_given_once(exchange: Exchange) -> None:
    token = exchange.take_lease(ORDER, 30)
    assert token is not None
    assert exchange.take_lease(ORDER, 30) is None
    assert exchange.renew_lease(ORDER, token, 30)
    exchange.release_lease(ORDER, token)
    trace = exchange.traces("h", [7])[7]
    assert (trace.lease, trace.started, trace.outcome) == ("", False, None)
    assert exchange.take_lease(ORDER, 30) is not None


def test_a_lease_that_vanished_is_taken_again_but_never_from_another(exchange: Exchange) -> None:
    token = exchange.take_lease(ORDER, 30)
    assert token is not None
    exchange.redis.flushall()
    assert exchange.renew_lease(ORDER, token, 30)
    exchange.redis.flushall()
    second = exchange.take_lease(ORDER.model_copy(update={"issue": 2}), 30)
    assert second is not None
    assert not exchange.renew_lease(ORDER, token, 30)
    exchange.release_lease(ORDER, token)
    assert exchange.traces("h", [7])[7].lease == second


def test_the_outcome_ends_the_lease_in_the_same_step(exchange: Exchange) -> None:
    exchange.take_lease(ORDER, 30)
    exchange.put_outcome(ORDER, DONE)
    trace = exchange.traces("h", [7])[7]
    assert (trace.lease, trace.started, trace.outcome) == ("", True, DONE)


def test_a_unit_that_is_done_or_cancelled_is_not_started(exchange: Exchange) -> None:
    exchange.forget("h", 7, done=True)
    assert exchange.take_lease(ORDER, 30) is None
    other = ORDER.model_copy(update={"unit": 8})
    exchange.mark_cancelled("h", "abc")
    assert exchange.take_lease(other, 30) is None
    exchange.unmark_cancelled("h", "abc")
    assert exchange.take_lease(other, 30) is not None


def test_everything_has_a_lifetime(exchange: Exchange) -> None:
    exchange.put_payload(ORDER, [b"page"])
    exchange.take_lease(ORDER, 30)
    exchange.put_outcome(ORDER, DONE)
    exchange.forget("h", 8, done=True)
    exchange.mark_cancelled("h", "abc")
    keys = exchange.redis.keys("shoebox:h:*")
    assert len(keys) == 5
    assert all(exchange.redis.ttl(key) > 0 for key in keys)


def test_forgetting_leaves_only_the_done_mark(exchange: Exchange) -> None:
    exchange.put_payload(ORDER, [b"page"])
    exchange.take_lease(ORDER, 30)
    exchange.put_outcome(ORDER, DONE)
    exchange.forget("h", 7, done=True)
    assert exchange.redis.keys("*") == [b"shoebox:h:7:done"]


def test_presence_ends(exchange: Exchange) -> None:
    here = Presence(worker="gpu@a", queues=("gpu",), slots=1, pid=1)
    gone = Presence(worker="gpu@b", queues=("gpu",), slots=1, pid=2)
    exchange.announce_presence(here, 60)
    exchange.announce_presence(gone, -1)
    assert exchange.presence() == [here]
    exchange.end_presence("gpu@a")
    assert exchange.presence() == []


@pytest.mark.parametrize("entry", ["no JSON", "[]", "{}", '{"until": "x"}', '{"until": 9e99}', b"\xff"])
def test_what_others_put_among_the_workers_is_passed_over(exchange: Exchange, entry: str | bytes) -> None:
    here = Presence(worker="gpu@a", queues=("gpu",), slots=1, pid=1)
    exchange.announce_presence(here, 60)
    exchange.redis.hset("shoebox:presence", "stranger", entry)
    assert exchange.presence() == [here]


def test_running_a_unit_publishes_its_result(exchange: Exchange) -> None:
    exchange.put_payload(ORDER, [b"a", b"b"])

    def work(payload: list[bytes]) -> UnitResult:
        assert exchange.traces("h", [7])[7].lease
        return UnitResult({"parts": [part.decode() for part in payload]})

    assert run_unit(exchange, ORDER, 30, "w", work, needs_payload=True)
    outcome = exchange.outcome("h", 7)
    assert outcome is not None
    assert outcome.result == {"parts": ["a", "b"]}
    assert outcome.worker == "w"


def test_a_second_copy_of_an_order_is_dropped(exchange: Exchange) -> None:
    inside: list[Outcome | None] = []

    def work(_: list[bytes]) -> UnitResult:
        inside.append(run_unit(exchange, ORDER, 30, "w2", lambda _: NOTHING, needs_payload=False))
        return NOTHING

    assert run_unit(exchange, ORDER, 30, "w1", work, needs_payload=False)
    assert inside == [None]


def test_the_lease_is_renewed_while_the_work_goes_on(exchange: Exchange, redis: Redis) -> None:
    renewed = threading.Event()

    class Watched(Exchange):
        def renew_lease(self, order: Order, token: str, seconds: float) -> bool:
            kept = super().renew_lease(order, token, seconds)
            renewed.set()
            return kept

    run_unit(
        Watched(redis),
        ORDER,
        0.3,
        "w",
        lambda _: UnitResult({"renewed": renewed.wait(30)}),
        needs_payload=False,
    )
    outcome = exchange.outcome("h", 7)
    assert outcome is not None
    assert outcome.result == {"renewed": True}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (FileError("broken", "mend it"), "file"),
        (MemoryError(), "error"),
        (ZeroDivisionError("0"), "error"),
    ],
)
def test_what_a_unit_raises_is_its_outcome(exchange: Exchange, error: Exception, kind: str) -> None:
    def work(_: list[bytes]) -> UnitResult:
        raise error

    assert run_unit(exchange, ORDER, 30, "w", work, needs_payload=False)
    outcome = exchange.outcome("h", 7)
    assert outcome is not None
    assert outcome.failure is not None
    assert outcome.failure.kind == kind


def test_a_payload_that_vanished_is_not_the_units_fault(exchange: Exchange) -> None:
    assert run_unit(exchange, ORDER, 30, "w", lambda _: NOTHING, needs_payload=True)
    outcome = exchange.outcome("h", 7)
    assert outcome is not None
    assert outcome.failure is not None
    assert outcome.failure.kind == "lost"


def test_preparing_a_unit_hands_it_on_untouched(exchange: Exchange) -> None:
    assert prepare_unit(exchange, ORDER, 30, "w", lambda: [b"png"])
    assert exchange.payload(ORDER) == [b"png"]
    trace = exchange.traces("h", [7])[7]
    assert (trace.lease, trace.started, trace.outcome) == ("", False, None)


def test_preparing_that_fails_is_the_units_outcome(exchange: Exchange) -> None:
    def work() -> list[bytes]:
        raise FileError("gone")

    assert not prepare_unit(exchange, ORDER, 30, "w", work)
    outcome = exchange.outcome("h", 7)
    assert outcome is not None
    assert outcome.failure == Failure(kind="file", message="gone")


def test_events_are_read_in_order_and_only_once(redis: Redis) -> None:
    events = [
        Event(kind=EventKind.DOCUMENT, document=str(n), state="running", stage=Stage.OCR) for n in range(3)
    ]
    for event in events[:2]:
        emit(redis, "h", event)
    last_id, first = read_events(redis, "h", "0", 10)
    emit(redis, "h", events[2])
    last_id, second = read_events(redis, "h", last_id, 10)
    assert first + second == events
    assert read_events(redis, "h", last_id, 10) == (last_id, [])


def test_a_unit_that_could_not_be_fetched_is_lost_and_not_at_fault(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(order: Order) -> list[bytes]:
        raise ConnectionError("cut off")

    monkeypatch.setattr(exchange, "payload", cut_off)

    assert run_unit(exchange, ORDER, 30, "w", lambda _: NOTHING, needs_payload=True)

    outcome = exchange.outcome("h", 7)
    assert outcome is not None
    assert outcome.failure is not None
    assert outcome.failure.kind == "lost"
