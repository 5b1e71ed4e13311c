"""Which homes are up and what version they have, for workers: both ends must speak the same language."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

from tasks.documents import Value
from tasks.exchange import Exchange
from tasks.plain_text import shortened
from tasks.version import VERSION

HOME_SECONDS = 60.0
"""A home that has not ticked for so long is not up."""
_KEY = "shoebox:homes"
_VERSION_CELLS = 20


class HomeEntry(Value):
    """What a home says of itself."""

    version: str
    until: float
    """By Redis' clock, in seconds."""


def announce_home(exchange: Exchange, home: str) -> None:
    """Say that a home is up; part of each tick."""
    entry = HomeEntry(version=VERSION, until=exchange.now() + HOME_SECONDS)
    exchange.redis.hset(_KEY, home, entry.model_dump_json())


def homes_up(exchange: Exchange) -> dict[str, str]:
    """The version of each home that is up, by its id. Untrusted text."""
    now = exchange.now()
    raw = cast("dict[bytes, bytes]", exchange.redis.hgetall(_KEY))
    homes = {}
    for home, text in raw.items():
        with suppress(ValueError):  # of a version that says it in another way
            entry = HomeEntry.model_validate(json.loads(text))
            if entry.until > now:
                homes[home.decode(errors="replace")] = entry.version
    return homes


@dataclass(frozen=True, slots=True)
class Fit:
    """How this worker's version fits those of the homes that are up."""

    problem: str = ""
    """In a sentence, naming both versions; empty if all fit or none is up."""
    remedy: str = ""
    serves_none: bool = False
    """Whether homes are up and every one of them has another version."""


def fit(homes: Mapping[str, str], version: str = VERSION) -> Fit:
    """Compare this worker's version with those of homes."""
    others = sorted({shortened(other, _VERSION_CELLS) for other in homes.values() if other != version})
    if not others:
        return Fit()
    count = sum(other != version for other in homes.values())
    serves_none = count == len(homes)
    which = "home has" if len(homes) == 1 else f"{count} of {len(homes)} homes have"
    here = all(_numbers(other) > _numbers(version) for other in others)
    where = "on this machine" if here else "where home is, then ./run.sh down and ./run.sh up there"
    return Fit(
        problem=f"This is Shoebox {version}, but {which} {', '.join(others)}: a worker needs home's version.",
        remedy=f"Update Shoebox {where}, for example with: git pull",
        serves_none=serves_none,
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
