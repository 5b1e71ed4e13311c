"""Whose turn it is on a worker: which model stays loaded, and until when another gets its chance.

Loading a model costs seconds, so a worker stays with the one that it has for as long as there is work for it.
That must not keep others waiting for ever: a turn is over once what it cost to load is paid off and so many
units have run, and at the latest after `Settings.turn_seconds`.

Several homes may share a worker. Which model it runs (`Turn`, written by the worker) and what each home waits
for (`Demand`, written by home) are in Redis, so that all homes come to the same choice.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, cast

from tasks.documents import Value
from tasks.version import VERSION

if TYPE_CHECKING:
    from redis import Redis

T = TypeVar("T", bound=Value)

_TURNS_KEY = "shoebox:turns"
_DEMANDS_KEY = "shoebox:demands"
DEMAND_SECONDS = 10.0
"""A home that has not said for so long what it waits for is down."""
_PAID_OFF = 20
"""A turn of twenty times what the loading took: loading costs at most five percent."""
_UNITS = 25

# The clock is Redis', as everywhere between machines.
_BEGIN = """
local now = redis.call('time')
local turn = redis.call('hget', KEYS[1], ARGV[1])
turn = turn and cjson.decode(turn)
if turn and turn.model == ARGV[2] then
    turn.units = turn.units + 1
else
    turn = {model = ARGV[2], since = now[1] + now[2] / 1000000, units = 1}
end
redis.call('hset', KEYS[1], ARGV[1], cjson.encode(turn))
return turn.units
"""


class Turn(Value):
    """What a worker runs at present, for whatever home."""

    model: str
    since: float
    """By Redis' clock, in seconds."""
    units: int

    def is_over(self, now: float, swap_seconds: float, longest: float) -> bool:
        """Whether others may come. `swap_seconds`: what loading a model takes there."""
        lasted = now - self.since
        if not 0 <= lasted < longest:  # less than nothing: the clock was set back
            return True
        return self.units >= _UNITS and lasted >= _PAID_OFF * swap_seconds


class Demand(Value):
    """What a home waits for: for each queue and model the time at which the oldest document was added."""

    until: float
    waiting: dict[str, dict[str, float]]
    version: str = ""
    """Of the home. What one of another version waits for never runs on our workers."""


@dataclass(frozen=True, slots=True)
class Board:
    """What Redis says of turns and demands."""

    now: float
    turns: Mapping[str, Turn]
    """By worker."""
    demands: Mapping[str, Demand]
    """By home; only of those that are up."""

    def wanted_by_others(self, home: str, queue: str) -> dict[str, float]:
        """What other homes wait for on a queue: each model, and since when."""
        wanted: dict[str, float] = {}
        for name, demand in self.demands.items():
            if name != home:
                for model, since in demand.waiting.get(queue, {}).items():
                    wanted[model] = min(since, wanted.get(model, since))
        return wanted


def begin_unit(redis: "Redis", worker: str, model: str) -> None:
    """Say that a worker begins a unit of this model."""
    redis.eval(_BEGIN, 1, _TURNS_KEY, worker, model)


def put_demand(redis: "Redis", home: str, waiting: Mapping[str, Mapping[str, float]], now: float) -> None:
    """Say what a home waits for."""
    by_queue = {name: dict(one) for name, one in waiting.items()}
    demand = Demand(until=now + DEMAND_SECONDS, waiting=by_queue, version=VERSION)
    redis.hset(_DEMANDS_KEY, home, demand.model_dump_json())


def read_board(redis: "Redis") -> Board:
    """Look at all turns and demands, in one round trip."""
    with redis.pipeline(transaction=False) as pipe:
        pipe.time()
        pipe.hgetall(_TURNS_KEY)
        pipe.hgetall(_DEMANDS_KEY)
        (seconds, microseconds), turns, demands = pipe.execute()
    now = seconds + microseconds / 1e6
    heard = {home: one for home, one in _parsed(demands, Demand).items() if _counts(one, now)}
    return Board(now, _parsed(turns, Turn), heard)


def _counts(demand: Demand, now: float) -> bool:
    # One from further ahead than any is said was said before the clock was set back.
    return now < demand.until <= now + DEMAND_SECONDS and demand.version == VERSION


def _parsed(raw: object, kind: type[T]) -> dict[str, T]:
    found = {}
    for name, value in cast("dict[bytes, bytes]", raw).items():
        with suppress(ValueError):  # of another version
            found[name.decode()] = kind.model_validate(json.loads(value))
    return found


def next_model(
    current: str, wanted: Mapping[str, float], *, is_over: bool, elsewhere: Iterable[str] = ()
) -> str:
    """Which model a worker should run next; empty if nothing is waited for.

    Args:
        current: what it runs, or has been given last.
        wanted: the models that are waited for and that it can run, with the time since when.
        is_over: whether the present turn is over.
        elsewhere: what other workers of the queue run: they had better not all load the same.
    """
    if current in wanted and not is_over:
        return current
    others = [model for model in wanted if model != current]
    if not others:
        return current if current in wanted else ""
    taken = Counter(elsewhere)
    return min(others, key=lambda model: (taken[model], wanted[model], model))
