"""One ranking of several."""

from collections.abc import Hashable, Iterable
from typing import TypeVar

_OFFSET = 60

Ranked = TypeVar("Ranked", bound=Hashable)


def fused(*rankings: Iterable[Ranked]) -> list[Ranked]:
    """What stands in any of the rankings, the best first. Where it stands twice in one, the first counts.

    Reciprocal rank fusion: Cormack, Clarke and Buettcher, SIGIR 2009.
    """
    scores: dict[Ranked, float] = {}
    for ranking in rankings:
        for rank, one in enumerate(dict.fromkeys(ranking), start=1):
            scores[one] = scores.get(one, 0.0) + 1 / (_OFFSET + rank)
    return sorted(scores, key=lambda one: -scores[one])
