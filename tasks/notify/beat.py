"""When Celery beat sends the digest: once a day, by the local clock."""

from datetime import UTC, datetime, time, timedelta

from celery.schedules import BaseSchedule, schedstate

_LOOK_SECONDS = 30.0
"""The wait is never longer, so that a clock that is set or a machine that wakes up is noticed."""


class DailyAt(BaseSchedule):  # type: ignore[misc] # Celery has no types
    """A time of the day.

    Not `crontab`: that goes by the application's time zone, which stays UTC, so that the ticks of the same
    beat do not stumble when the clocks change.
    """

    def __init__(self, at: str) -> None:
        super().__init__()
        self.at = time.fromisoformat(at)

    def is_due(self, last_run_at: datetime) -> schedstate:
        """Whether its time has passed since the last run, and in how many seconds to ask again."""
        return self.state(last_run_at, datetime.now(UTC))

    def state(self, last_run_at: datetime, now: datetime) -> schedstate:
        """As `is_due`, for any clock."""
        following = self._after(last_run_at)
        if following <= now:
            return schedstate(is_due=True, next=_LOOK_SECONDS)
        return schedstate(is_due=False, next=min(_LOOK_SECONDS, (following - now).total_seconds()))

    def _after(self, moment: datetime) -> datetime:
        """The first time of that name after a moment."""
        local = moment.astimezone().replace(tzinfo=None)
        slot = datetime.combine(local.date(), self.at)
        if slot <= local:
            slot += timedelta(days=1)
        return slot.astimezone(UTC)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DailyAt) and other.at == self.at

    def __hash__(self) -> int:
        return hash(self.at)
