"""A unit's traces in Redis: payload, lease, start mark, outcome and done mark.

Redis is only the road. Everything here has a lifetime and may vanish at any moment; home then issues
the unit again from the ledger. The keys of a unit are `shoebox:<home>:<unit>:<what>`.

The lease says "somebody is on it": set when a worker starts, renewed while it works, gone when it
ends or dies. The outcome and the end of the lease are one transaction, so that home never sees a
gap between them.
"""

import json
import os
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel

from tasks.broker_url import NO_ADDRESS
from tasks.documents import Failure
from tasks.errors import ServiceError
from tasks.orders import UNKNOWN_ISSUE, Order, Outcome, Presence

if TYPE_CHECKING:
    from redis import Redis

PAYLOAD_SECONDS = 24 * 3600
OUTCOME_SECONDS = 7 * 24 * 3600
DONE_SECONDS = 24 * 3600  # longer than any broker redelivery, so that a late copy is recognised
CANCEL_SECONDS = 24 * 3600
MAX_OUTCOME_BYTES = 256 * 1024 * 1024
"""More is not even fetched: it would take several times as much memory to read."""
_MAX_PRESENCE_BYTES = 1024 * 1024
_FURTHEST_SECONDS = 600.0
"""A worker that says to be there for longer than this from now is not believed."""
_ASK_SECONDS = 0.3
_SET_BACK_SECONDS = 2.0
"""By less than this a clock is set right all the time."""

_PRESENCE_KEY = "shoebox:presence"

# A lease that another worker has taken over is neither renewed nor released. One that has vanished (a wiped
# Redis, a suspended machine) is taken again, so that home sees that the work goes on.
_RENEW = """
local holder = redis.call('get', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2])
return 1
"""
_RELEASE = """
if redis.call('get', KEYS[1]) == ARGV[1] then redis.call('del', KEYS[1], KEYS[2]) end
return 0
"""


def connect(url: str, retries: int = 4) -> "Redis":
    """A client that survives a restart of Redis: short time-outs, several tries.

    Raises:
        ServiceError: the address is none.
    """
    from redis import Redis
    from redis.backoff import ExponentialBackoff
    from redis.exceptions import BusyLoadingError, ConnectionError, TimeoutError
    from redis.retry import Retry

    try:
        return Redis.from_url(
            url,
            socket_timeout=5,
            retry=Retry(ExponentialBackoff(cap=1, base=0.05), retries=retries),
            retry_on_error=[ConnectionError, TimeoutError, BusyLoadingError],
        )
    except ValueError:
        raise ServiceError(*NO_ADDRESS) from None  # its text may hold the password


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a lease: what its token says."""

    host: str
    worker_pid: int
    """Of the worker's main process, as in its `Presence`; not of the child that does the work."""
    since: float
    """By Redis' clock, in seconds."""
    pid: int
    issue: int

    @property
    def token(self) -> str:
        """The lease's value in Redis."""
        return f"{self.host}:{self.worker_pid}:{self.since:.3f}:{self.pid}:{self.issue}"

    @classmethod
    def parse(cls, token: str) -> "Holder | None":
        """The holder that a token names; None for one of another version."""
        try:
            host, worker_pid, since, pid, issue = token.rsplit(":", 4)
            return cls(host, int(worker_pid), float(since), int(pid), int(issue))
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Trace:
    """What Redis knows about an outstanding unit."""

    lease: str
    """Who is on it, as `Holder.token`; empty if nobody."""
    started: bool
    """Whether a worker ever began this issue."""
    outcome: Outcome | None


class _PresenceEntry(BaseModel):
    """What stands in Redis of a worker."""

    presence: dict[str, Any]
    until: float


def _outcome(raw: bytes) -> Outcome | None:
    """The outcome that a worker has published; a failure in its place where it is none."""
    if not raw:
        return None
    try:
        if len(raw) <= MAX_OUTCOME_BYTES:
            return Outcome.model_validate_json(raw)
        why = f"has more than {MAX_OUTCOME_BYTES / 1e6:,.0f} MB"
    except ValueError:
        why = "is not of the form that Shoebox writes"
    return Outcome(
        issue=UNKNOWN_ISSUE, failure=Failure(kind="error", message=f"What the worker sent back {why}.")
    )


class Exchange:
    """Reads and writes the traces of units."""

    def __init__(self, redis: "Redis") -> None:
        self.redis = redis

    @staticmethod
    def _key(home: str, unit: int, what: str) -> str:
        return f"shoebox:{home}:{unit}:{what}"

    def put_payload(self, order: Order, parts: list[bytes]) -> None:
        """Store the payload; it lives for a day or until the unit is recorded."""
        key = self._key(order.home, order.unit, "payload")
        with self.redis.pipeline(transaction=True) as pipe:
            pipe.delete(key)
            pipe.rpush(key, *parts)
            pipe.expire(key, PAYLOAD_SECONDS)
            pipe.execute()

    def payload(self, order: Order) -> list[bytes]:
        """The payload's parts; empty if it has vanished."""
        key = self._key(order.home, order.unit, "payload")
        return cast("list[bytes]", self.redis.lrange(key, 0, -1))

    def take_lease(self, order: Order, seconds: float) -> str | None:
        """Begin a unit. Returns the lease's token, or None if it is done, cancelled or taken."""
        done, cancelled = self.redis.mget(
            self._key(order.home, order.unit, "done"), self._cancel_key(order.home, order.document)
        )
        if done or cancelled:
            return None
        token = Holder(socket.gethostname(), os.getppid(), self.now(), os.getpid(), order.issue).token
        lease_key = self._key(order.home, order.unit, "lease")
        if not self.redis.set(lease_key, token, nx=True, px=int(seconds * 1000)):
            return None
        self.redis.set(self._key(order.home, order.unit, "started"), order.issue, ex=DONE_SECONDS)
        return token

    def renew_lease(self, order: Order, token: str, seconds: float) -> bool:
        """Keep a lease alive; False if another worker has it."""
        key = self._key(order.home, order.unit, "lease")
        return bool(self.redis.eval(_RENEW, 1, key, token, str(int(seconds * 1000))))

    def release_lease(self, order: Order, token: str) -> None:
        """Give a lease back as if the unit had never been started, without an outcome."""
        keys = [self._key(order.home, order.unit, what) for what in ("lease", "started")]
        self.redis.eval(_RELEASE, 2, *keys, token)

    def put_outcome(self, order: Order, outcome: Outcome) -> None:
        """Publish how a unit ended and end its lease, in one step."""
        with self.redis.pipeline(transaction=True) as pipe:
            pipe.set(
                self._key(order.home, order.unit, "outcome"), outcome.model_dump_json(), ex=OUTCOME_SECONDS
            )
            pipe.delete(self._key(order.home, order.unit, "lease"))
            pipe.execute()

    def outcome(self, home: str, unit: int) -> Outcome | None:
        """How a unit ended, if it has. One that cannot be read is a failure."""
        raw = self.redis.getrange(self._key(home, unit, "outcome"), 0, MAX_OUTCOME_BYTES)
        return _outcome(cast(bytes, raw))

    def forget(self, home: str, unit: int, *, done: bool) -> None:
        """Remove all traces. With `done`, leave a mark so that a late copy of the order is dropped."""
        keys = [self._key(home, unit, what) for what in ("payload", "lease", "started", "outcome")]
        with self.redis.pipeline(transaction=True) as pipe:
            pipe.delete(*keys)
            if done:
                pipe.set(self._key(home, unit, "done"), 1, ex=DONE_SECONDS)
            pipe.execute()

    def drop_outcome(self, home: str, unit: int) -> None:
        """Remove an outcome that came too late; all else belongs to the present issue."""
        self.redis.delete(self._key(home, unit, "outcome"))

    def unmark(self, home: str, unit: int, document: str) -> None:
        """Take away the marks that keep workers from a unit, which has not ended as the ledger knows."""
        self.redis.delete(self._key(home, unit, "done"), self._cancel_key(home, document))

    def traces(self, home: str, units: list[int]) -> dict[int, Trace]:
        """What Redis knows about these units, in one round trip."""
        if not units:
            return {}
        with self.redis.pipeline(transaction=False) as pipe:
            for unit in units:
                pipe.mget(*(self._key(home, unit, what) for what in ("lease", "started")))
                pipe.getrange(self._key(home, unit, "outcome"), 0, MAX_OUTCOME_BYTES)
            rows = pipe.execute()
        return {
            unit: Trace(
                lease=lease.decode("utf-8", "replace") if lease else "",
                started=bool(started),
                outcome=_outcome(outcome),
            )
            for unit, (lease, started), outcome in zip(units, rows[::2], rows[1::2], strict=True)
        }

    def holders(self, home: str, units: list[int]) -> dict[int, Holder]:
        """Who is on each of these units at this moment; units that nobody is on are left out."""
        if not units:
            return {}
        tokens = cast("list[bytes | None]", self.redis.mget([self._key(home, u, "lease") for u in units]))
        parsed = {
            u: Holder.parse(token.decode("utf-8", "replace"))
            for u, token in zip(units, tokens, strict=True)
            if token
        }
        return {u: holder for u, holder in parsed.items() if holder}

    @staticmethod
    def _cancel_key(home: str, document: str) -> str:
        return f"shoebox:{home}:cancelled:{document}"

    def mark_cancelled(self, home: str, document: str) -> None:
        """Let workers drop queued units of a cancelled document. The truth is in the ledger."""
        self.redis.set(self._cancel_key(home, document), 1, ex=CANCEL_SECONDS)

    def unmark_cancelled(self, home: str, document: str) -> None:
        """The document is wanted again."""
        self.redis.delete(self._cancel_key(home, document))

    def is_cancelled(self, order: Order) -> bool:
        """Whether a running unit should stop."""
        return bool(self.redis.exists(self._cancel_key(order.home, order.document)))

    def announce_presence(self, presence: Presence, seconds: float) -> None:
        """Say that a worker is up; must be repeated within `seconds`."""
        entry = {"presence": presence.model_dump(mode="json"), "until": self.now() + seconds}
        self.redis.hset(_PRESENCE_KEY, presence.worker, json.dumps(entry))

    def end_presence(self, worker: str) -> None:
        """Say that a worker has left."""
        self.redis.hdel(_PRESENCE_KEY, worker)

    def presence(self) -> list[Presence]:
        """The workers that are up, by name."""
        with self.redis.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.hgetall(_PRESENCE_KEY)
            (seconds, microseconds), raw = pipe.execute()
        now = seconds + microseconds / 1e6
        presences = []
        for _, value in sorted(raw.items()):
            if len(value) > _MAX_PRESENCE_BYTES:
                continue
            with suppress(ValueError):  # of another version; the units that it takes come back all the same
                entry = _PresenceEntry.model_validate_json(value)
                if now < entry.until < now + _FURTHEST_SECONDS:
                    presences.append(Presence.model_validate(entry.presence))
        return presences

    def mend_clock(self, home: str, units: list[int], lease_seconds: float) -> None:
        """If Redis' clock was set back since the last call: let nothing live until the old time comes again.

        Redis keeps when a key ends as a time of the day. The lease of a worker that died just before would
        last for hours, and so would its presence. Who lives renews both within a few seconds.
        """
        last_key, now = f"shoebox:clock:{home}", self.now()
        last = cast("bytes | None", self.redis.set(last_key, now, get=True))
        if last is None or float(last) - now < _SET_BACK_SECONDS:
            return
        with self.redis.pipeline(transaction=False) as pipe:
            for unit in units:
                pipe.pexpire(self._key(home, unit, "lease"), int(lease_seconds * 1000))
            pipe.execute()
        for worker, raw in cast("dict[bytes, bytes]", self.redis.hgetall(_PRESENCE_KEY)).items():
            with suppress(ValueError):  # somebody else's, or of another version
                entry = _PresenceEntry.model_validate_json(raw)
                entry.until = min(entry.until, now + lease_seconds)
                self.redis.hset(_PRESENCE_KEY, worker, entry.model_dump_json())

    def now(self) -> float:
        """Redis' own clock, the only one that all machines share."""
        seconds, microseconds = self.redis.time()
        return seconds + microseconds / 1e6


class CancelWatch:
    """Whether a running unit should stop; asked for every token, so it asks Redis only now and then."""

    def __init__(self, exchange: Exchange, order: Order) -> None:
        self._exchange = exchange
        self._order = order
        self._asked_at = 0.0
        self._cancelled = False

    def is_cancelled(self) -> bool:
        """Whether the document was cancelled. With Redis away the work goes on."""
        from redis.exceptions import RedisError

        if not self._cancelled and time.monotonic() - self._asked_at > _ASK_SECONDS:
            with suppress(RedisError):
                self._cancelled = self._exchange.is_cancelled(self._order)
            self._asked_at = time.monotonic()
        return self._cancelled
