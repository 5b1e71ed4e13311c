"""Delivery: takes what is due from the outbox and tells it. Runs at home, a few seconds at a time."""

import logging
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import BaseModel, SecretStr

from tasks.ledger import Ledger
from tasks.notify import desktop, webhook
from tasks.notify.outbox import (
    CLAIM_SECONDS,
    LAST_RETRY_SECONDS,
    Batch,
    Channel,
    Outbox,
    open_channels,
    retry_seconds,
)
from tasks.settings import Settings

log = logging.getLogger("shoebox.notify")

MAX_POSTS = 3
"""In one run, so that it is short."""
RUN_SECONDS = 50
"""Hard time limit of one run; less than `CLAIM_SECONDS`, so that a batch never has two at work on it."""


class _Hold(BaseModel):
    """What is known of a channel from one run to the next, as a note in the ledger."""

    failures: int = 0
    """In a row."""
    until: float = 0.0


@dataclass
class Delivery:
    """One run of delivery, with its clock and its ways out."""

    ledger: Ledger
    settings: Settings
    clock: Callable[[], float] = time.time
    jitter: Callable[[], float] = random.random
    post: Callable[[SecretStr, SecretStr | None, str, bytes, float], int] = webhook.post
    show: Callable[[str], None] = desktop.show
    outbox: Outbox = field(init=False)

    def __post_init__(self) -> None:
        self.outbox = Outbox(self.ledger)

    def is_due(self) -> bool:
        """Whether there is anything to do now, and nobody at it."""
        channels = open_channels(self.settings)
        now = self.clock()
        if _is_ahead(_lease_end(self.ledger), now):
            return False
        if self.outbox.has_stale(now):
            return True
        return any(self._may_try(channel, now) and self.outbox.has_due(channel, now) for channel in channels)

    def run(self) -> int:
        """Deliver what is due, a few batches at most; how many were delivered. Never two at a time."""
        lease = self._take_lease()
        if not lease:
            return 0
        try:
            self._tidy()
            return sum(self._serve(channel) for channel in open_channels(self.settings))
        finally:
            self._end_lease(lease)

    def test(self, channel: Channel) -> str:
        """Tell something that means nothing; why that failed, in words, or an empty text.

        Once it went well, what waits for its next attempt is tried at once.
        """
        now = self.clock()
        try:
            if channel is Channel.DESKTOP:
                self.show("This is a test.")
            elif self.settings.webhook_url is not None:
                delivery = f"{self.ledger.home}-test-{int(now)}"
                body = webhook.trial_body(delivery, now)
                self.post(self.settings.webhook_url, self.settings.webhook_secret, delivery, body, now)
        except (webhook.WebhookError, desktop.DesktopError) as error:
            return str(error)
        self._save_hold(channel, _Hold())
        self.outbox.try_now(channel, now)
        return ""

    # One at a time

    def _take_lease(self) -> str:
        now = self.clock()
        with self.ledger.transaction():
            if _is_ahead(_lease_end(self.ledger), now):
                return ""
            lease = f"{now + CLAIM_SECONDS} {os.getpid()}"
            self.ledger.set_meta(_LEASE, lease)
        return lease

    def _end_lease(self, lease: str) -> None:
        with self.ledger.transaction():
            if self.ledger.meta(_LEASE) == lease:
                self.ledger.set_meta(_LEASE, "")

    # Channels

    def _serve(self, channel: Channel) -> int:
        send = self._post if channel is Channel.WEBHOOK else self._show
        delivered = 0
        while delivered < MAX_POSTS and self._may_try(channel, self.clock()):
            batch = self.outbox.claim(channel, self.clock())
            if batch is None or not self._try(batch, send):
                break
            delivered += 1
        return delivered

    def _try(self, batch: Batch, send: Callable[[Batch], None]) -> bool:
        try:
            send(batch)
        except (webhook.WebhookError, desktop.DesktopError) as error:
            self._note_failure(batch, str(error))
            return False
        self.outbox.delivered(batch, self.clock())
        quiet = desktop.QUIET_SECONDS if batch.channel is Channel.DESKTOP else 0.0
        self._save_hold(batch.channel, _Hold(until=self.clock() + quiet if quiet else 0.0))
        return True

    def _post(self, batch: Batch) -> None:
        url = self.settings.webhook_url
        if url is None:
            raise webhook.WebhookError("the settings name no address")
        delivery = webhook.delivery_id(self.ledger.home, batch.id)
        body = webhook.body_of(self.ledger.home, batch)
        self.post(url, self.settings.webhook_secret, delivery, body, self.clock())

    def _show(self, batch: Batch) -> None:
        self.show(desktop.summary(batch.notices))

    def _note_failure(self, batch: Batch, error: str) -> None:
        """The batch waits for its own next time; so does the channel, or many batches would hammer at it."""
        now, jitter = self.clock(), self.jitter()
        failures = self._hold(batch.channel).failures + 1
        self.outbox.failed(batch, error, now + retry_seconds(batch.attempts, jitter))
        wait = retry_seconds(failures, jitter)
        self._save_hold(batch.channel, _Hold(failures=failures, until=now + wait))
        log.warning(
            "%s: %d notices were not delivered: %s. Tried again in %.0f s.",
            batch.channel.value,
            len(batch.notices),
            error,
            wait,
        )

    def _may_try(self, channel: Channel, now: float) -> bool:
        return not _is_ahead(self._hold(channel).until, now)

    def _hold(self, channel: Channel) -> _Hold:
        note = self.ledger.meta(_hold_key(channel))
        return _Hold.model_validate_json(note) if note else _Hold()

    def _save_hold(self, channel: Channel, hold: _Hold) -> None:
        if hold != self._hold(channel):
            self.ledger.set_meta(_hold_key(channel), hold.model_dump_json())

    def _tidy(self) -> None:
        for channel, number in self.outbox.tidy(self.clock()).items():
            if number:
                log.error("%s: %d notices were given up; nobody was told.", channel.value, number)


_LEASE = "notify lease"


def _lease_end(ledger: Ledger) -> float:
    note = ledger.meta(_LEASE)
    return float(note.split()[0]) if note else 0.0


def _hold_key(channel: Channel) -> str:
    return f"notify {channel.value}"


def _is_ahead(until: float, now: float) -> bool:
    """Whether a time is still to come; one too far ahead was noted by a clock that was wrong."""
    return now < until <= now + 2 * LAST_RETRY_SECONDS
