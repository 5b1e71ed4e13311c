"""Units that a worker gives back because it was told to hurry."""

import os
import socket

from redis import Redis

from tasks.documents import Stage
from tasks.exchange import Exchange
from tasks.leaving import give_back_units
from tasks.orders import Order

OURS = os.getppid()  # `take_lease` names the parent of the process that runs the unit


def order(unit: int) -> Order:
    return Order(home="h", unit=unit, issue=1, document="d", stage=Stage.OCR)


def test_only_what_this_worker_has_in_hand_is_given_back(exchange: Exchange) -> None:
    for unit in (1, 2):
        assert exchange.take_lease(order(unit), 60)
    foreign = {
        3: f"{socket.gethostname()}:{OURS + 1}:1.0:5:1",
        4: f"another:{OURS}:1.0:5:1",
        5: "of another version",
    }
    for unit, token in foreign.items():
        exchange.redis.set(f"shoebox:h:{unit}:lease", token)
        exchange.redis.set(f"shoebox:h:{unit}:started", 1)
    exchange.redis.set("shoebox:h:question:lease", "holder@host:1")

    assert give_back_units(OURS, exchange) == 2

    traces = exchange.traces("h", [1, 2, 3, 4, 5])
    assert [(traces[unit].lease, traces[unit].started) for unit in (1, 2)] == [("", False)] * 2
    assert {unit: traces[unit].lease for unit in foreign} == foreign
    assert all(traces[unit].started for unit in foreign)
    assert exchange.take_lease(order(1), 60), "another worker can take it at once"


def test_with_redis_away_nothing_is_raised() -> None:
    away = Redis(unix_socket_path="/nowhere/redis.sock")

    assert give_back_units(OURS, Exchange(away)) == 0
