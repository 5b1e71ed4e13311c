"""The daily digest: when it is due, and making it once.

The ledger keeps the day of the last one and up to when it told. A time that was missed, because the machine
was asleep or off, is made up for at the next chance: once, and with everything since the last one.
"""

import logging
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path

from pydantic import BaseModel

from tasks.ledger import Ledger
from tasks.notify.digest import Digest, gather
from tasks.notify.digest_words import digest_markdown, digest_payload
from tasks.notify.outbox import Channel, Kind, Outbox, open_channels
from tasks.settings import Settings
from tasks.whole_file import whole_file

log = logging.getLogger("shoebox.notify")

_NOTE = "digest"
_FIRST_SECONDS = 24 * 3600.0
"""What the first digest looks back on."""
_RETRY_SECONDS = 300.0
"""After the file could not be written."""


class LastDigest(BaseModel):
    """What is known of the last digest."""

    day: date | None = None
    """None: there was none yet."""
    since: float = 0.0
    """From when on it told."""
    until: float = 0.0
    problem: str = ""
    """Why the next one could not be written, in words."""
    tried_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Written:
    """A digest that was made."""

    digest: Digest
    path: Path


def last_digest(ledger: Ledger) -> LastDigest:
    """What is known of the last digest."""
    note = ledger.meta(_NOTE)
    return LastDigest.model_validate_json(note) if note else LastDigest()


def latest_slot(digest_at: str, now: float) -> datetime:
    """The last time at or before `now` when a digest was to be made. Naive, local."""
    local = datetime.fromtimestamp(now)  # noqa: DTZ006 - people live by local time
    slot = datetime.combine(local.date(), time.fromisoformat(digest_at))
    return slot if slot <= local else slot - timedelta(days=1)


def day_due(ledger: Ledger, settings: Settings, now: float) -> date | None:
    """The day whose digest is to be made now; None if there is none.

    There is at most one a day, also when the time is changed in between.
    """
    if not settings.digest_at:
        return None
    last = last_digest(ledger)
    if 0 <= now - last.tried_at < _RETRY_SECONDS:
        return None
    day = latest_slot(settings.digest_at, now).date()
    if last.day is None or day > last.day:
        return day
    # A day further ahead than any time zone was noted by a clock that was wrong.
    return day if last.day > day + timedelta(days=2) else None


def preview(ledger: Ledger, settings: Settings, now: float) -> Digest:
    """The digest of today as it would be made now; it holds what one of today has told already.

    Nothing is noted.
    """
    today = datetime.fromtimestamp(now).date()  # noqa: DTZ006 - people live by local time
    last = last_digest(ledger)
    since = last.since if last.day == today else _since(last, now)
    return gather(ledger, settings, today, since, now)


def _since(last: LastDigest, now: float) -> float:
    return last.until if 0 < last.until <= now else now - _FIRST_SECONDS


def make_if_due(ledger: Ledger, settings: Settings, now: float) -> Written | None:
    """Make the digest that is due, if one is: the file, and a notice for each channel.

    A file that cannot be written is said in the log and in `status`, and tried again later.
    """
    with ledger.transaction():  # so that two never make the same one
        day = day_due(ledger, settings, now)
        if day is None:
            return None
        last = last_digest(ledger)
        digest = gather(ledger, settings, day, _since(last, now), now)
        try:
            path = write_digest(digest, settings)
        except OSError as error:
            problem = f"The digest cannot be written to {settings.digests_path}: {error.strerror}."
            _note(ledger, last.model_copy(update={"problem": problem, "tried_at": now}))
            log.error("%s Tried again in %.0f s.", problem, _RETRY_SECONDS)
            return None
        _note(ledger, LastDigest(day=day, since=digest.since, until=now))
        _tell(ledger, settings, digest, now)
    return Written(digest, path)


def _note(ledger: Ledger, last: LastDigest) -> None:
    ledger.set_meta(_NOTE, last.model_dump_json())


def _tell(ledger: Ledger, settings: Settings, digest: Digest, now: float) -> None:
    for channel in open_channels(settings):
        if channel is Channel.DESKTOP:
            payload = {"summary": digest.summary}
        else:
            payload = digest_payload(digest, with_fields=settings.webhook_content == "fields")
        Outbox(ledger).put(channel, Kind.DIGEST, payload, now)


def write_digest(digest: Digest, settings: Settings) -> Path:
    """Write a digest to its file, which only the user can read; one of the same day is replaced.

    Raises:
        OSError: it cannot be written; there is never half a file.
    """
    folder = settings.digests_path
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = folder / f"digest-{digest.day.isoformat()}.md"
    with whole_file(target) as file:
        file.writelines(digest_markdown(digest))
    return target
