"""Asking a Redis, embedded or the user's own, how it is."""

import os
from dataclasses import dataclass
from urllib.parse import urlsplit

from tasks.broker_url import redis_socket, redis_url
from tasks.errors import ServiceError
from tasks.settings import Settings

MIN_VERSION = (6, 2)
"""The first with set-proc-title and with streams that are trimmed by id."""
ANSWER_SECONDS = 5.0
_TLS_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


class RedisAwayError(ServiceError):
    """Redis cannot be reached at this moment. It may come back: a worker waits for it."""


@dataclass(frozen=True)
class RedisInfo:
    """What a running Redis says about itself."""

    version: str
    memory_bytes: int
    clients: int
    warning: str
    """A sentence about what will lose or refuse work; empty if all is well."""


def parsed_version(version: str) -> tuple[int, ...]:
    """`7.0.15` as numbers that compare."""
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


def redis_place(settings: Settings) -> str:
    """Where Redis is, without the password."""
    if settings.redis_url is None:
        return f"Shoebox's own Redis at {redis_socket(settings)}"
    parts = urlsplit(settings.redis_url.get_secret_value())
    return f"Redis at {parts.netloc.rpartition('@')[2] or parts.path}"


def ask_redis(settings: Settings) -> RedisInfo:
    """Ask Redis how it is.

    Raises:
        RedisAwayError: it is not there, or is not ready yet.
        ServiceError: it refuses the password, is not to be trusted, is too old or is something else. No text
            ever holds the password.
    """
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    place = redis_place(settings)
    try:
        client = redis.Redis.from_url(
            redis_url(settings),
            socket_timeout=ANSWER_SECONDS,
            socket_connect_timeout=ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 0),
            protocol=2,  # servers before 6 know no other
            decode_responses=True,
        )
    except ValueError:
        raise ServiceError(
            "SHOEBOX_REDIS_URL is not the address of a Redis.", "Write it as redis://, rediss:// or unix://."
        ) from None  # its text may hold the password
    _check_tls_files(client.connection_pool.connection_kwargs)
    try:
        with client:
            client.ping()
            found = client.info()
    except redis.RedisError as error:
        raise _refusal(place, error, embedded=settings.redis_url is None) from None
    return _judged(place, found)


def _check_tls_files(options: dict[str, object]) -> None:
    """redis-py says of a file that is not there only that it cannot connect."""
    for name in _TLS_FILES:
        path = options.get(name)
        if path and not os.access(str(path), os.R_OK):
            raise ServiceError(
                f"{name} of SHOEBOX_REDIS_URL is {str(path)!r}, which cannot be read.",
                "Correct the path; begin it with / so that it holds for every folder.",
            )


def _refusal(place: str, error: Exception, embedded: bool) -> ServiceError:
    """redis-py's error in the user's words; the first class that fits counts."""
    from redis import exceptions

    correct = "Correct SHOEBOX_REDIS_URL."
    start = "Start it, or correct SHOEBOX_REDIS_URL."
    unreachable = "cannot be reached, or is no Redis."  # some servers just hang up on strange words
    if embedded:
        correct = start = "Start it again with ./run.sh down, then ./run.sh up."
        unreachable = "cannot be reached."
    if refusal := _tls_refusal(place, error):
        return refusal
    for kind, words, remedy in (
        (exceptions.BusyLoadingError, "is still loading its data.", "Wait a moment and try again."),
        (exceptions.AuthenticationError, "refuses the user name or password.", correct),
        (exceptions.NoPermissionError, "does not let this user do what Shoebox needs.", correct),
        (exceptions.InvalidResponse, "is not a Redis: it answers in another language.", correct),
        (exceptions.TimeoutError, f"did not answer within {ANSWER_SECONDS:.0f} seconds.", start),
        (exceptions.ConnectionError, unreachable, start),
    ):
        if isinstance(error, kind):
            is_away = kind in {
                exceptions.BusyLoadingError,
                exceptions.TimeoutError,
                exceptions.ConnectionError,
            }
            return (RedisAwayError if is_away else ServiceError)(f"{place} {words}", remedy)
    return ServiceError(f"{place} refuses: {error}.", correct)


def _tls_refusal(place: str, error: BaseException) -> ServiceError | None:
    """What is wrong with TLS, if that is it: redis-py says all of it in a ConnectionError's text.

    A connection that is just cut while it is made is none: the server may be starting.
    """
    import ssl

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            why = cause.verify_message.rstrip(".")
            return ServiceError(
                f"{place} shows a certificate that is not to be trusted: {why}.",
                "Name the certificate of its authority, rediss://...?ssl_ca_certs=/path/to/ca.pem, and use an"
                " address that its own is made for.",
            )
        is_cut = isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError)
        if isinstance(cause, ssl.SSLError) and not is_cut:
            reason = (cause.reason or "no reason given").replace("_", " ").lower()
            return ServiceError(
                f"{place} does not speak TLS as this machine does: {reason}.",
                "If it speaks no TLS, write redis:// instead of rediss://.",
            )
        cause = cause.__cause__ or cause.__context__
    return None


def _judged(place: str, found: dict[str, object]) -> RedisInfo:
    version = str(found.get("redis_version", ""))
    if parsed_version(version) < MIN_VERSION:
        raise ServiceError(
            f"{place} is version {version or 'unknown'}; Shoebox needs 6.2 or later.", "Update that server."
        )
    warning = ""
    if found.get("aof_last_write_status", "ok") != "ok":
        warning = f"{place} cannot write its file, so it takes no new work: free space on its disk."
    elif found.get("maxmemory") and found.get("maxmemory_policy") != "noeviction":
        warning = f"{place} throws work away when its memory is full: set maxmemory-policy noeviction."
    return RedisInfo(
        version=str(found.get("valkey_version", version)),
        memory_bytes=int(str(found.get("used_memory", 0))),
        clients=int(str(found.get("connected_clients", 0))),
        warning=warning,
    )
