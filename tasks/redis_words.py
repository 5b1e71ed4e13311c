"""What an error of Redis means, in words with a remedy: redis-py's own texts are for programmers.

None of the texts here ever holds an address or a password.
"""

import logging
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why Redis does not do what it was asked."""

    words: str
    """Goes on after the name of the server, and ends with a full stop."""
    remedy: str
    passes: bool
    """Whether it may end without anything of ours being changed: then it is waited for."""


_CORRECT = "Correct SHOEBOX_REDIS_URL."
_START = "Start it, or correct SHOEBOX_REDIS_URL."

# What servers begin their refusals with, wherever in redis-py's text it stands: the error that ends a
# transaction repeats what was refused in it. The first that fits counts.
_CODES: tuple[tuple[str, Refusal], ...] = (
    ("LOADING", Refusal("is still loading its data.", "Wait a moment and try again.", passes=True)),
    (
        "BUSY",
        Refusal(
            "answers nobody while a script of somebody else runs on it.",
            "It goes on when the script ends; its owner ends it with SCRIPT KILL.",
            passes=True,
        ),
    ),
    (
        "OOM",
        Refusal(
            "takes no writes: the memory that it may use is full.",
            "Give it more with its setting maxmemory. Work goes on by itself then; nothing is lost.",
            passes=True,
        ),
    ),
    (
        "MISCONF",
        Refusal(
            "takes no writes: it cannot save its data.",
            "Free space on its disk; its log says more. Work goes on by itself then; nothing is lost.",
            passes=True,
        ),
    ),
    (
        "READONLY|UNBLOCKED|read only replica",
        Refusal(
            "is a read-only copy of another server.",
            "Name the server that it copies in SHOEBOX_REDIS_URL, or make this one the primary.",
            passes=True,
        ),
    ),
    (
        "NOREPLICAS|MASTERDOWN",
        Refusal("has lost the servers that it works with.", "Look after its replication.", passes=True),
    ),
    (
        "MOVED|ASK|CROSSSLOT|CLUSTERDOWN",
        Refusal("is part of a cluster.", f"Shoebox needs a single server. {_CORRECT}", passes=False),
    ),
    (
        "NOPERM",
        Refusal(
            "does not let this user do what Shoebox needs.",
            "Give the user the rights that docs/redis.md names, or name another in SHOEBOX_REDIS_URL.",
            passes=False,
        ),
    ),
    (
        "NOAUTH|WRONGPASS|invalid username-password|invalid password|no password is set|without any password",
        Refusal("refuses the user name or password.", _CORRECT, passes=False),
    ),
    (
        "max number of clients",
        Refusal(
            "has no connection left for us: as many programs use it as its setting maxclients allows.",
            "Stop some of them, or raise maxclients there.",
            passes=True,
        ),
    ),
    (
        "DB index is out of range|SELECT is not allowed",
        Refusal(
            "has no database of that number.",
            "Correct the number that SHOEBOX_REDIS_URL ends with.",
            passes=False,
        ),
    ),
    ("unknown command", Refusal("lacks a command that Shoebox needs.", "Update that server.", passes=False)),
    (
        "closed by server|Connection reset|Connection closed",
        Refusal(
            "cannot be reached, or is no Redis.",
            f"{_START} If it speaks TLS, write rediss:// there.",
            passes=True,
        ),
    ),
)
_SIGNS = tuple((re.compile(rf"\b(?:{sign})\b"), refusal) for sign, refusal in _CODES)


def refusal_of(error: BaseException) -> Refusal:
    """What an error of redis-py, or of kombu about one, means."""
    from redis import exceptions

    chain = list(_causes(error))
    for cause in chain:
        if found := _tls_refusal(cause):
            return found
        if isinstance(cause, socket.gaierror):
            return Refusal(
                "has a host name that cannot be found.",
                "Correct the name in SHOEBOX_REDIS_URL, or this machine's name service.",
                passes=True,
            )
    for cause in chain:
        for sign, refusal in _SIGNS:
            if sign.search(f"{getattr(cause, 'status_code', '')} {cause}"):  # redis-py cuts some codes off
                return refusal
    for kind, refusal in (
        (
            exceptions.AuthenticationError,
            Refusal("refuses the user name or password.", _CORRECT, passes=False),
        ),
        (
            exceptions.InvalidResponse,
            Refusal(
                "is not a Redis: it answers in another language.",
                f"{_CORRECT} If it speaks TLS, write rediss:// there.",
                passes=False,
            ),
        ),
        (exceptions.TimeoutError, Refusal("does not answer.", _START, passes=True)),
        (TimeoutError, Refusal("does not answer.", _START, passes=True)),
        (exceptions.ConnectionError, Refusal("cannot be reached.", _START, passes=True)),
        (OSError, Refusal("cannot be reached.", _START, passes=True)),
    ):
        if any(isinstance(cause, kind) for cause in chain):
            return refusal
    first = str(error).splitlines()[:1] or [type(error).__name__]
    return Refusal(f"refuses: {first[0][:200].rstrip('.')}.", _CORRECT, passes=False)


def redis_words(error: BaseException) -> str:
    """In a sentence for a log or a screen, such as `Redis is still loading its data.`"""
    return f"Redis {refusal_of(error).words}"


class SaidOnce:
    """Says in a log what keeps being wrong when it begins, when it changes, and that it is over."""

    def __init__(self, log: logging.Logger, prefix: str = "") -> None:
        self._log = log
        self._prefix = prefix
        self._said = ""

    def wrong(self, words: str) -> None:
        """It is wrong, in these words."""
        if words != self._said:
            self._log.warning("%s%s", self._prefix, words)
            self._said = words

    def right(self) -> None:
        """It is right."""
        if self._said:
            self._log.warning("%sRedis is there again.", self._prefix)
            self._said = ""


@contextmanager
def redis_may_be_away(log: logging.Logger, doing: str) -> Iterator[None]:
    """Let Redis be away while something is done that home does again later; says so in a line."""
    from kombu.exceptions import OperationalError
    from redis.exceptions import RedisError

    try:
        yield
    except (OperationalError, RedisError) as error:
        log.warning("%s That was while %s; home carries it on.", redis_words(error), doing)


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    seen: set[int] = set()
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__


def _tls_refusal(cause: BaseException) -> Refusal | None:
    """What is wrong with TLS. A connection that is just cut is none: the server may be starting."""
    if isinstance(cause, ssl.SSLCertVerificationError):
        why = cause.verify_message.rstrip(".")
        return Refusal(
            f"shows a certificate that is not to be trusted: {why}.",
            "Name the certificate of its authority, rediss://...?ssl_ca_certs=/path/to/ca.pem, and use an"
            " address that its own is made for.",
            passes=False,
        )
    is_cut = isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError)
    if isinstance(cause, ssl.SSLError) and not is_cut and cause.reason:
        reason = cause.reason.replace("_", " ").lower()
        return Refusal(
            f"does not speak TLS as this machine does: {reason}.",
            "If it speaks no TLS, write redis:// instead of rediss://.",
            passes=False,
        )
    return None
