"""Requests that may be repeated: the same key again gets the first answer, and nothing is done twice."""

import time

from tasks.errors import ShoeboxError
from tasks.ledger import Ledger

KEPT_SECONDS = 24 * 3600
KEPT_KEYS = 10_000
LEASE_SECONDS = 600.0
"""Who has not answered after so long has died: the next one with the key carries the request out."""


class OtherRequestError(ShoeboxError):
    """A key was used for another request."""


class UnderWayError(ShoeboxError):
    """A request with the same key is being carried out."""


def claim(ledger: Ledger, key: str, request: str) -> str | None:
    """Begin a request. Returns the answer if it was given; None: carry it out, then `keep` or `release`.

    Args:
        ledger: that remembers.
        key: the client's.
        request: hash of what is asked.

    Raises:
        OtherRequestError: the key was used for something else.
        UnderWayError: the same request is being carried out.
    """
    now = time.time()
    with ledger.transaction():
        _forget_old(ledger, now)
        row = ledger.db.execute("SELECT request, answer, at FROM answered WHERE key = ?", (key,)).fetchone()
        if row is not None:
            if row["request"] != request:
                raise OtherRequestError(
                    "This idempotency key was used for another request.", "Use a new key for each request."
                )
            if row["answer"] is not None:
                return str(row["answer"])
            if row["at"] > now - LEASE_SECONDS:
                raise UnderWayError(
                    "A request with this idempotency key is being carried out.", "Ask again in a moment."
                )
        ledger.db.execute("INSERT OR REPLACE INTO answered VALUES (?, ?, NULL, ?)", (key, request, now))
    return None


def keep(ledger: Ledger, key: str, answer: str) -> None:
    """Remember the answer."""
    ledger.db.execute("UPDATE answered SET answer = ? WHERE key = ?", (answer, key))


def release(ledger: Ledger, key: str) -> None:
    """The request came to nothing: it may be sent again."""
    ledger.db.execute("DELETE FROM answered WHERE key = ? AND answer IS NULL", (key,))


def _forget_old(ledger: Ledger, now: float) -> None:
    ledger.db.execute("DELETE FROM answered WHERE at < ?", (now - KEPT_SECONDS,))
    ledger.db.execute(
        "DELETE FROM answered WHERE at <="
        " (SELECT at FROM answered WHERE answer IS NOT NULL ORDER BY at DESC LIMIT 1 OFFSET ?)",
        (KEPT_KEYS,),
    )
