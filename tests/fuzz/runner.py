"""Running a target: examples without end until the time is up, each under a guard against hanging."""

import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st

HANG_SECONDS = 20.0
"""An example that computes for longer counts as one that never ends. Most take a millisecond."""
_WAITS = 10
"""So much longer it may take by the clock: machines are busy."""
_ROUND_EXAMPLES = 500
"""After so many a new round begins, with another seed, and the clock is looked at."""


class HangError(BaseException):
    """An example did not end. No `Exception`: what is under test may catch those."""


@dataclass(frozen=True)
class Target:
    """Something that reads what others wrote."""

    name: str
    inputs: st.SearchStrategy[Any]
    check: Callable[[Any], None]
    """Feeds one example in; raises if anything is not as it should be."""
    examples: tuple[Any, ...] = ()
    """What broke it once."""


@dataclass
class Found:
    """What came of fuzzing a target."""

    name: str
    seconds: float = 0.0
    cases: int = 0
    crashes: dict[str, str] = field(default_factory=dict)
    """By place and kind of the error: the example, and the traceback."""


def fuzz(target: Target, seconds: float, seed: int, most: int = 0) -> Found:
    """Feed a target for so long, or with so many examples where `most` is given.

    The same seed gives the same examples; how many of them depends on the machine.
    """
    found, began = Found(target.name), time.monotonic()
    for example in target.examples:
        _try(target, example, found)
    rounds = 0
    while (found.cases < most) if most else (time.monotonic() - began < seconds):
        count = min(_ROUND_EXAMPLES, most - found.cases) if most else _ROUND_EXAMPLES
        _round(target, seed + rounds, count, found, 0.0 if most else began + seconds)
        rounds += 1
    found.seconds = time.monotonic() - began
    return found


def _round(target: Target, seed: int, count: int, found: Found, until: float) -> None:
    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=max(1, count),
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate,),
    )
    @hypothesis.given(target.inputs)
    def feed(example: Any) -> None:
        if not until or time.monotonic() < until:
            _try(target, example, found)

    feed()


def _try(target: Target, example: Any, found: Found) -> None:
    """Feed one example in. What it breaks is kept, so that the search goes on: one find is not all."""
    found.cases += 1
    try:
        with _ends(HANG_SECONDS):
            target.check(example)
    except (Exception, HangError) as error:
        frames = traceback.extract_tb(error.__traceback__)
        place = next(
            (f for f in reversed(frames) if "/tasks/" in f.filename or "/app/" in f.filename), frames[-1]
        )
        key = f"{type(error).__name__} at {place.filename.rpartition('/')[2]}:{place.lineno}"
        words = f"{example!r:.3000}\n{''.join(traceback.format_exception(error))[-3000:]}"
        known = found.crashes.get(key)
        if known is None or len(words) < len(known):  # the shortest one explains most
            found.crashes[key] = words


@contextmanager
def _ends(seconds: float) -> Iterator[None]:
    def give_up(_number: int, _frame: FrameType | None) -> None:
        raise HangError(f"it did not end in {seconds:g} s")

    before = {number: signal.signal(number, give_up) for number in (signal.SIGPROF, signal.SIGALRM)}
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, seconds * _WAITS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
