"""What a reader's confidence has been worth: calibrated on what people confirmed or corrected.

A reader is an engine, with its model if it has one. For each reader and field the confidences it gave are
set against how often a person then left the value as it was (isotonic regression by pooling adjacent
violators: Ayer et al. 1955). Where little has been said the confidence stands as it was given.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tasks.documents import Field, FieldStatus, Stage
from tasks.ledger import DocumentRow, Ledger
from tasks.said import ACCEPTED, BY_PERSON, CATEGORY, EVIDENCE, reader

_MOST = 20_000
"""Decisions that are looked at, of the newest; about 20 ms."""
_GIVEN = tuple((5 + 10 * step) / 100 for step in range(10))
_WEIGHT_OF_GIVEN = 1.5
"""Confidences of 5 %, 15 % ... 95 % count beforehand as if each had come true so often out of so often:
one mistake at 90 % leaves 61 %, a dozen leave 26 %."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A person's word on a value: the confidence that was given for it, and whether it was right."""

    confidence: float
    is_right: bool


@dataclass
class _Pool:
    """Confidences from `low` to `high` that have been worth the same."""

    low: float
    high: float
    weight: float = 0.0
    right: float = 0.0

    @property
    def share(self) -> float:
        return self.right / self.weight


class Curve:
    """From a given confidence to what it has been worth. Never falls as the confidence rises."""

    def __init__(self, decisions: Iterable[Decision]) -> None:
        by_confidence = {
            given: _Pool(given, given, _WEIGHT_OF_GIVEN, given * _WEIGHT_OF_GIVEN) for given in _GIVEN
        }
        for one in decisions:
            pool = by_confidence.setdefault(one.confidence, _Pool(one.confidence, one.confidence))
            pool.weight += 1
            pool.right += one.is_right
        pools = _pooled([by_confidence[confidence] for confidence in sorted(by_confidence)])
        self._given = [end for pool in pools for end in (pool.low, pool.high)]
        self._worth = [pool.share for pool in pools for _ in range(2)]

    def worth(self, confidence: float) -> float:
        """How often values of this confidence were right, 0 to 1; between two pools in proportion."""
        given, worth = self._given, self._worth
        above = bisect_left(given, confidence)
        if above == 0:
            return worth[0]
        if above == len(given):
            return worth[-1]
        share = (confidence - given[above - 1]) / (given[above] - given[above - 1])
        return worth[above - 1] + share * (worth[above] - worth[above - 1])


def _pooled(points: Iterable[_Pool]) -> list[_Pool]:
    """The fewest pools, in order of confidence, whose shares of right values rise."""
    pools: list[_Pool] = []
    for point in points:
        pools.append(point)
        while len(pools) > 1 and pools[-2].share >= pools[-1].share:
            last = pools.pop()
            pools[-1] = _Pool(
                pools[-1].low, last.high, pools[-1].weight + last.weight, pools[-1].right + last.right
            )
    return pools


@dataclass(frozen=True)
class Calibration:
    """What the confidences of each reader have been worth, by field."""

    curves: Mapping[tuple[str, str], Curve]

    def worth(self, reader: str, name: str, confidence: float) -> float:
        """What a confidence of a reader for a field, or for the category, has been worth, 0 to 1."""
        curve = self.curves.get((reader, name))
        return confidence if curve is None else curve.worth(confidence)


def load_calibration(ledger: Ledger) -> Calibration:
    """Everything that people have said of values which an engine gave."""
    rows = ledger.db.execute(
        "SELECT model, field, confidence, old = new FROM corrections"
        " WHERE model NOT IN ('', ?) AND field != ? AND old != '' AND confidence IS NOT NULL"
        " ORDER BY id DESC LIMIT ?",
        (BY_PERSON, ACCEPTED, _MOST),
    )
    said: defaultdict[tuple[str, str], list[Decision]] = defaultdict(list)
    for by, name, confidence, is_right in rows:
        said[by, name].append(Decision(confidence, bool(is_right)))
    return Calibration({key: Curve(decisions) for key, decisions in said.items()})


class Sureness:
    """How sure the values of one document are, 0 to 1, by what their readers' confidence has been worth."""

    def __init__(self, ledger: Ledger, document: DocumentRow) -> None:
        self._calibration = load_calibration(ledger)
        self._confidence = document.confidence
        self._is_said = document.evidence == EVIDENCE
        self._classified_by = reader(ledger, document, Stage.CLASSIFY).name
        self._analysed_by = reader(ledger, document, Stage.ANALYSE).name

    def of_category(self) -> float | None:
        """Of the category, 1 if a person said it; None where there is none."""
        if self._confidence is None or self._is_said:
            return self._confidence
        return self._calibration.worth(self._classified_by, CATEGORY, self._confidence)

    def of(self, field: Field) -> float:
        """Of a value; 1 if a person said it."""
        if field.status is FieldStatus.CORRECTED:
            return 1.0
        return self._calibration.worth(self._analysed_by, field.name, field.confidence)
