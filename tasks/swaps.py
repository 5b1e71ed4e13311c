"""How often models had to be loaded on the gpu queue, and how long that took. Read only."""

from dataclasses import dataclass
from datetime import datetime

from tasks.ledger import Ledger
from tasks.planning import GPU_QUEUE


@dataclass(frozen=True, slots=True)
class Swaps:
    """Loads of models, with what was spent on making room for them."""

    count: int = 0
    seconds: float = 0.0
    """Together."""

    @property
    def mean_seconds(self) -> float:
        """Of one; 0 if there was none."""
        return self.seconds / self.count if self.count else 0.0


def swaps_since(ledger: Ledger, since: float) -> Swaps:
    """For the units of the gpu queue that were done since a time, in seconds since the epoch.

    Goes through all units, where no index leads to those with swaps: 45 ms for 40,000 of them.
    """
    count, seconds = ledger.db.execute(
        "SELECT coalesce(sum(swaps), 0), coalesce(sum(swap_seconds), 0) FROM units"
        " WHERE swaps > 0 AND queue = ? AND seen_at >= ?",
        (GPU_QUEUE, since),
    ).fetchone()
    return Swaps(count, seconds)


def midnight(now: float) -> float:
    """When the day began, by local time; both in seconds since the epoch."""
    local = datetime.fromtimestamp(now)  # noqa: DTZ006 - people live by local time
    return local.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
