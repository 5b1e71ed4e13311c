"""Alerts: a queue has more to do than the user thinks it should ever have. Knows no Redis.

An alert is a note in the ledger, so it is raised once, stays over restarts, and everybody who reads the
ledger sees the same: the UI, `status`, metrics. Home raises and clears them with its ticks.
"""

import logging
from collections.abc import Iterable

from tasks.documents import Value
from tasks.durations import rough_duration
from tasks.ledger import Ledger
from tasks.notify.outbox import Channel, Kind, Outbox, open_channels
from tasks.orders import Presence
from tasks.settings import Settings
from tasks.throughput import Depth, depths, seconds_left

log = logging.getLogger("shoebox.alerts")

_NOTE = "depth alerts"
_CLEARED_SHARE = 0.8
"""Below this share of the limit an alert is over, or a queue at its limit would raise one again and again."""


class DepthAlert(Value):
    """A queue whose units that have not ended are more than the limit."""

    queue: str
    depth: int
    """Units that have not ended."""
    limit: int
    workers: int
    """That serve the queue."""
    slots: int
    """Units that those can do at the same time."""
    seconds_left: float | None
    """Until all documents have been read; None where that cannot be said."""
    since: float
    """When it was raised, in seconds since the epoch."""

    @property
    def words(self) -> str:
        """What is the matter, in sentences."""
        much = f"The {self.queue} queue has {self.depth:,} units to do (alert_depth is {self.limit:,})."
        return f"{much} {self._served()} {self._left()}"

    def _served(self) -> str:
        if not self.workers:
            return "No worker serves it."
        who = "1 worker serves" if self.workers == 1 else f"{self.workers} workers serve"
        return f"{who} it, {self.slots} at a time."

    def _left(self) -> str:
        if self.seconds_left is None:
            return "How long the rest will take is not known yet."
        return f"The rest will take about {rough_duration(self.seconds_left)}."


class _Raised(Value):
    alerts: tuple[DepthAlert, ...] = ()


def depth_alerts(ledger: Ledger) -> tuple[DepthAlert, ...]:
    """The alerts that are up, with the depth of now; who serves and the time left are as of the last tick."""
    raised = _raised(ledger)
    depth = depths(ledger) if raised else {}
    return tuple(
        alert.model_copy(update={"depth": depth.get(alert.queue, Depth()).total}) for alert in raised
    )


def check_depths(ledger: Ledger, settings: Settings, presence: Iterable[Presence], now: float) -> None:
    """Raise and clear alerts; whoever wants to know is told in the log and through the outbox, once each."""
    workers = tuple(presence)
    with ledger.transaction():  # so that two ticks never raise the same one
        before = {alert.queue: alert for alert in _raised(ledger)}
        depth = depths(ledger)
        queues = [queue for queue, units in depth.items() if _is_up(units.total, queue in before, settings)]
        left = seconds_left(ledger, _slots(workers), depth) if queues else None
        after = {
            queue: DepthAlert(
                queue=queue,
                depth=depth[queue].total,
                limit=settings.alert_depth,
                workers=sum(queue in worker.queues for worker in workers),
                slots=_slots(workers).get(queue, 0),
                seconds_left=left,
                since=before[queue].since if queue in before else now,
            )
            for queue in sorted(queues)
        }
        if after != before:
            ledger.set_meta(_NOTE, _Raised(alerts=tuple(after.values())).model_dump_json())
        for alert in after.values():
            if alert.queue not in before:
                log.warning("%s", alert.words)
                _tell(ledger, settings, alert, now, is_over=False)
        for alert in before.values():
            if alert.queue not in after:
                over = alert.model_copy(update={"depth": depth.get(alert.queue, Depth()).total})
                log.info("The %s queue has %d units to do: the alert is over.", over.queue, over.depth)
                _tell(ledger, settings, over, now, is_over=True)


def _is_up(depth: int, was_up: bool, settings: Settings) -> bool:
    limit = settings.alert_depth
    return bool(limit) and (depth >= _CLEARED_SHARE * limit if was_up else depth > limit)


def _slots(workers: Iterable[Presence]) -> dict[str, int]:
    slots: dict[str, int] = {}
    for worker in workers:
        for queue in worker.queues:
            slots[queue] = slots.get(queue, 0) + worker.slots
    return slots


def _tell(ledger: Ledger, settings: Settings, alert: DepthAlert, now: float, *, is_over: bool) -> None:
    """Programs are also told when it is over; people on the desktop only of what is the matter."""
    payload = {
        "state": "over" if is_over else "raised",
        "queue": alert.queue,
        "depth": alert.depth,
        "limit": alert.limit,
        "workers": alert.workers,
        "seconds_left": None if alert.seconds_left is None else round(alert.seconds_left),
        "words": f"The {alert.queue} queue has {alert.depth:,} units to do." if is_over else alert.words,
    }
    for channel in open_channels(settings):
        if channel is Channel.WEBHOOK or not is_over:
            Outbox(ledger).put(channel, Kind.ALERT, payload, now)


def _raised(ledger: Ledger) -> tuple[DepthAlert, ...]:
    note = ledger.meta(_NOTE)
    return _Raised.model_validate_json(note).alerts if note else ()
