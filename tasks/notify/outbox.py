"""The outbox: what is to be told stands in the ledger from the moment it is true until it was delivered.

What is told of a document is entered in the transaction that changes its state, so nothing is told that is
not so and nothing is forgotten. Delivery is at least once: a batch that was sent but not marked is sent again
under the same id. Nothing here talks to anybody.
"""

import json
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from tasks.ledger import DocumentRow, Ledger
from tasks.settings import Settings

FIRST_RETRY_SECONDS = 5.0
LAST_RETRY_SECONDS = 3600.0
CLAIM_SECONDS = 60.0
"""A batch that was claimed and not settled is due again after so long: its process has died."""
_JITTER = 0.25
_KEPT_DELIVERED_SECONDS = 24 * 3600.0
_KEPT_GIVEN_UP_SECONDS = 30 * 24 * 3600.0
_FUTURE_SECONDS = 2 * LAST_RETRY_SECONDS
"""Nothing is put off for so long; a time further ahead was noted by a clock that was wrong."""

_OPEN = "delivered_at IS NULL AND given_up_at IS NULL"


class Channel(StrEnum):
    """A way out."""

    WEBHOOK = "webhook"
    DESKTOP = "desktop"


# Nobody wants to see on the desktop what was news an hour ago.
GIVE_UP_SECONDS = {Channel.WEBHOOK: 3 * 24 * 3600.0, Channel.DESKTOP: 600.0}
BATCH_SIZE = {Channel.WEBHOOK: 100, Channel.DESKTOP: 10_000}


class Kind(StrEnum):
    """What a notice is about."""

    DOCUMENT = "document"
    DIGEST = "digest"
    ALERT = "alert"


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to be told."""

    id: int
    kind: Kind
    document: str
    state: str
    payload: dict[str, Any]
    created_at: float


@dataclass(frozen=True, slots=True)
class Batch:
    """Notices that are sent together, under an id that stays the same however often they are sent."""

    id: int
    channel: Channel
    notices: tuple[Notice, ...]
    attempts: int
    """With the one that it was claimed for."""


@dataclass(frozen=True, slots=True)
class ChannelState:
    """How things stand with a channel."""

    waiting: int
    given_up: int
    """In the last 30 days."""
    last_error: str
    """Of what still waits, or was given up; untrusted."""


def open_channels(settings: Settings) -> tuple[Channel, ...]:
    """The channels that the settings want."""
    wanted = {
        Channel.DESKTOP: settings.notify_desktop,
        Channel.WEBHOOK: settings.webhook_url is not None,
    }
    return tuple(channel for channel, is_wanted in wanted.items() if is_wanted)


def retry_seconds(attempts: int, jitter: float) -> float:
    """How long to wait after so many attempts; `jitter` is between 0 and 1."""
    doubled = FIRST_RETRY_SECONDS * 2.0 ** min(attempts - 1, 30)
    return min(LAST_RETRY_SECONDS, doubled * (1 + _JITTER * jitter))


def iso_time(at: float) -> str:
    """A time as receivers get it: UTC, to the second."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def tell_of_state(ledger: Ledger, settings: Settings, document: DocumentRow, now: float) -> None:
    """Enter that a document came into its state, for each channel that wants to know. In a transaction."""
    if document.state.value not in settings.notify_on:
        return
    for channel in open_channels(settings):
        is_told_all = channel is Channel.DESKTOP or settings.webhook_content == "fields"
        payload = document_fields(document) if is_told_all else {}
        Outbox(ledger).put(
            channel, Kind.DOCUMENT, payload, now, document=document.id, state=document.state.value
        )


def document_fields(document: DocumentRow) -> dict[str, Any]:
    """What a document says of itself, for receivers that may know."""
    return {
        "name": document.name,
        "category": document.category,
        "title": document.title,
        "party": document.party,
        "date": document.date,
        "amount": document.amount,
        "currency": document.currency,
    }


class Outbox:
    """The table of what is to be told."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def put(
        self,
        channel: Channel,
        kind: Kind,
        payload: dict[str, Any],
        now: float,
        *,
        document: str | None = None,
        state: str = "",
    ) -> None:
        """Enter a notice. In the caller's transaction."""
        self.ledger.db.execute(
            "INSERT INTO outbox (channel, kind, document, state, payload, created_at, due_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (channel, kind, document, state, json.dumps(payload, ensure_ascii=True), now, now),
        )

    def has_due(self, channel: Channel, now: float) -> bool:
        """Whether a notice waits to be tried."""
        return self._first_due(channel, now) is not None

    def has_stale(self, now: float) -> bool:
        """Whether a notice is to be given up; also of a channel that was switched off meanwhile."""
        oldest = now - max(GIVE_UP_SECONDS.values())
        found = self.ledger.db.execute(f"SELECT 1 FROM outbox WHERE {_OPEN} AND created_at < ?", (oldest,))
        return found.fetchone() is not None

    def claim(self, channel: Channel, now: float) -> Batch | None:
        """Take the next batch to be tried; nobody else gets it before `CLAIM_SECONDS` have passed.

        What was tried together is tried together again; what is new goes into a new batch.
        """
        with self.ledger.transaction():
            first = self._first_due(channel, now)
            if first is None:
                return None
            batch = first["batch"] or self._new_batch(channel, now)
            self.ledger.db.execute(
                f"UPDATE outbox SET attempts = attempts + 1, due_at = ? WHERE batch = ? AND {_OPEN}",
                (now + CLAIM_SECONDS, batch),
            )
            rows = self.ledger.db.execute(
                f"SELECT * FROM outbox WHERE batch = ? AND {_OPEN} ORDER BY id", (batch,)
            ).fetchall()
        return Batch(batch, channel, tuple(map(_notice, rows)), rows[0]["attempts"])

    def _first_due(self, channel: Channel, now: float) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self.ledger.db.execute(
            f"SELECT id, batch FROM outbox WHERE channel = ? AND {_OPEN} AND (due_at <= ? OR due_at > ?)"
            " ORDER BY due_at, id LIMIT 1",
            (channel, now, now + _FUTURE_SECONDS),
        ).fetchone()
        return row

    def _new_batch(self, channel: Channel, now: float) -> int:
        """Put what was never tried into a batch, the oldest first; returns its number."""
        rows = self.ledger.db.execute(
            f"SELECT id FROM outbox WHERE channel = ? AND {_OPEN} AND batch = 0"
            " AND (due_at <= ? OR due_at > ?) ORDER BY id LIMIT ?",
            (channel, now, now + _FUTURE_SECONDS, BATCH_SIZE[channel]),
        ).fetchall()
        number = int(rows[0]["id"])
        ids = json.dumps([row["id"] for row in rows])
        self.ledger.db.execute(
            "UPDATE outbox SET batch = ? WHERE id IN (SELECT value FROM json_each(?))", (number, ids)
        )
        return number

    def delivered(self, batch: Batch, now: float) -> None:
        """Mark a batch as told. What it said is not kept."""
        with self.ledger.transaction():
            self.ledger.db.execute(
                "UPDATE outbox SET delivered_at = ?, payload = '', last_error = ''"
                f" WHERE batch = ? AND {_OPEN}",
                (now, batch.id),
            )

    def failed(self, batch: Batch, error: str, due_at: float) -> None:
        """Mark a batch as not told yet, and when to try again."""
        with self.ledger.transaction():
            self.ledger.db.execute(
                f"UPDATE outbox SET last_error = ?, due_at = ? WHERE batch = ? AND {_OPEN}",
                (error, due_at, batch.id),
            )

    def try_now(self, channel: Channel, now: float) -> None:
        """Let what waits for its next attempt wait no longer."""
        with self.ledger.transaction():
            self.ledger.db.execute(
                f"UPDATE outbox SET due_at = ? WHERE channel = ? AND {_OPEN} AND due_at > ?",
                (now, channel, now),
            )

    def tidy(self, now: float) -> dict[Channel, int]:
        """Give up what could not be told for too long, forget what is long over; how many were given up."""
        given_up = {}
        with self.ledger.transaction():
            for channel, seconds in GIVE_UP_SECONDS.items():
                given_up[channel] = self.ledger.db.execute(
                    "UPDATE outbox SET given_up_at = ?, payload = ''"
                    f" WHERE channel = ? AND {_OPEN} AND created_at < ?",
                    (now, channel, now - seconds),
                ).rowcount
            self.ledger.db.execute(
                "DELETE FROM outbox WHERE delivered_at < ? OR given_up_at < ?",
                (now - _KEPT_DELIVERED_SECONDS, now - _KEPT_GIVEN_UP_SECONDS),
            )
        return given_up

    def state_of(self, channel: Channel) -> ChannelState:
        """How things stand with a channel."""
        counts = self.ledger.db.execute(
            f"SELECT coalesce(sum({_OPEN}), 0) AS waiting, count(given_up_at) AS given_up"
            " FROM outbox WHERE channel = ?",
            (channel,),
        ).fetchone()
        error = self.ledger.db.execute(
            "SELECT last_error FROM outbox WHERE channel = ? AND delivered_at IS NULL AND last_error != ''"
            " ORDER BY due_at DESC LIMIT 1",
            (channel,),
        ).fetchone()
        return ChannelState(counts["waiting"], counts["given_up"], error["last_error"] if error else "")


def _notice(row: sqlite3.Row) -> Notice:
    return Notice(
        id=row["id"],
        kind=Kind(row["kind"]),
        document=row["document"] or "",
        state=row["state"],
        payload=json.loads(row["payload"]),
        created_at=row["created_at"],
    )
