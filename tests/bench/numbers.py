"""Middle and tail of samples."""

import math
import statistics
from collections.abc import Sequence


def middle(samples: Sequence[float]) -> float:
    """The median; not a number for no samples, which is then left out of what was found."""
    return statistics.median(samples) if samples else math.nan


def p99(samples: Sequence[float]) -> float:
    """What 99 of 100 samples do not exceed; of fewer samples nearly the largest."""
    if not samples:
        return math.nan  # as above
    return sorted(samples)[min(len(samples) - 1, math.ceil(0.99 * len(samples)) - 1)]
