"""What must go on when the machine's clock is set, forward or back."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tasks import steady_beat
from tasks.circuit import Circuit
from tasks.documents import Stage
from tasks.exchange import Exchange
from tasks.orders import Order, Presence
from tasks.settings import Settings
from tasks.steady_beat import Every, SteadyScheduler
from tasks.worker import beat_schedule


class Sending(SteadyScheduler):
    """Notes what it would send."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.sent: list[str] = []
        super().__init__(*args, **kwargs)

    def apply_async(self, entry: Any, **_: object) -> None:
        self.sent.append(entry.task)


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the time of the day that everybody sees, Celery included."""

    def set_it(hours: float) -> None:
        shift = hours * 3600
        monkeypatch.setattr(time, "time", lambda: time.clock_gettime(time.CLOCK_REALTIME) + shift)
        moved = datetime.fromtimestamp(time.time(), UTC)
        monkeypatch.setattr("celery.app.base.Celery.now", lambda _: moved)

    return set_it


@pytest.mark.parametrize("hours", [-26, 5])
def test_beat_goes_on_ticking(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, set_clock: Callable[[float], None], hours: float
) -> None:
    from celery import Celery

    now = [100.0]
    monkeypatch.setattr(steady_beat.time, "monotonic", lambda: now[0])
    app = Celery(broker="memory://", set_as_current=False)
    app.conf.beat_schedule = beat_schedule("home.1", settings)
    scheduler = Sending(app)
    assert 0 < scheduler.tick() <= settings.tick_seconds
    set_clock(hours)
    for _ in range(3):
        scheduler.tick()
        now[0] += settings.tick_seconds
    scheduler.tick()
    assert scheduler.sent.count("shoebox.tick") == 4
    assert scheduler.tick() <= settings.tick_seconds


def test_it_ticks_once_in_each_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(steady_beat.time, "monotonic", lambda: now[0])
    every = Every(2)
    assert [every.is_due(datetime.now(UTC)).is_due for _ in range(2)] == [True, False]
    now[0] += 1.5
    assert every.is_due(datetime.now(UTC)) == (False, 0.5)
    now[0] += 30
    assert [every.is_due(datetime.now(UTC)).is_due for _ in range(2)] == [True, False]


def test_the_language_model_is_asked_again_after_a_clock_was_set_back(
    settings: Settings, set_clock: Callable[[float], None]
) -> None:
    circuit = Circuit().failed("away").lacks("shoebox-small")
    assert circuit.is_paused
    no_pause = circuit.model_copy(update={"paused_until": 0.0, "known": known()})
    assert "no model" in str(no_pause.reader(Stage.CLASSIFY, settings))
    set_clock(-26)
    assert not circuit.is_paused
    assert not isinstance(no_pause.reader(Stage.CLASSIFY, settings), str)


def known() -> Any:
    from tasks.engines.llm.base import ModelInfo
    from tasks.routing import KnownModels

    return KnownModels(by_queue={"cpu": (ModelInfo(name="shoebox-small", parameters=1),)}, problem="")


def test_nothing_outlives_a_redis_whose_clock_was_set_back(exchange: Exchange) -> None:
    order = Order(home="h", unit=7, issue=1, document="abc", stage=Stage.OCR)
    two_hours = 7200
    exchange.mend_clock("h", [7], 12)
    # As Redis has what was written just before: both live until the old time comes again.
    exchange.take_lease(order, two_hours + 12)
    exchange.announce_presence(Presence(worker="cpu@there", queues=("cpu",), slots=1, pid=1), two_hours + 12)
    exchange.mend_clock("h", [7], 12)
    assert exchange.redis.pttl("shoebox:h:7:lease") > 7200 * 1000, "it was not set"

    exchange.redis.set("shoebox:clock:h", exchange.now() + two_hours)
    exchange.mend_clock("h", [7], 12)

    assert 0 < exchange.redis.pttl("shoebox:h:7:lease") <= 12_000
    entry = json.loads(exchange.redis.hget("shoebox:presence", "cpu@there"))
    assert entry["until"] <= exchange.now() + 12
    assert [one.worker for one in exchange.presence()] == ["cpu@there"], "it has time to say that it lives"
