"""Asking a Redis, embedded or the user's own, how it is."""

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tasks.broker_url import NO_ADDRESS, redis_socket, redis_url
from tasks.errors import ServiceError
from tasks.redis_words import refusal_of
from tasks.settings import Settings

if TYPE_CHECKING:
    import redis

MIN_VERSION = (6, 2)
"""The first with set-proc-title and with streams that are trimmed by id."""
ANSWER_SECONDS = 5.0
_PROBE = "shoebox:probe"
_PROBE_MILLISECONDS = 1_000
_TLS_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


class RedisRefusesError(ServiceError):
    """Redis cannot be used as it is, or at this moment."""


class RedisAwayError(RedisRefusesError):
    """Redis cannot be used at this moment. It may come back: a worker waits for it."""


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
    """Ask Redis how it is, and try whether it takes what Shoebox writes (a key that lasts for a second).

    Raises:
        RedisAwayError: it is not there, or is not ready yet.
        RedisRefusesError: it refuses the password, is not to be trusted, is too old or is something else. No
            text ever holds the password.
        ServiceError: the embedded Redis was never started.
    """
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    place, embedded = redis_place(settings), settings.redis_url is None
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
        raise RedisRefusesError(*NO_ADDRESS) from None  # its text may hold the password
    _check_tls_files(client.connection_pool.connection_kwargs)
    with client:
        try:
            client.ping()
            found = client.info()
        except redis.RedisError as error:
            raise _refusal(place, error, embedded=embedded) from None
        info = _judged(place, found)
        try:
            _try_writing(client)
        except redis.RedisError as error:
            refusal = refusal_of(error)
            if not refusal.passes or isinstance(error, redis.ConnectionError | redis.TimeoutError):
                raise _refusal(place, error, embedded=embedded) from None
            info = replace(info, warning=f"{place} {refusal.words} {refusal.remedy}")
    return info


def _try_writing(client: "redis.Redis") -> None:
    """A little of each kind of what Celery and the exchange do, under a name of our own."""
    client.set(_PROBE, 1, px=_PROBE_MILLISECONDS)
    client.eval("return redis.call('get', KEYS[1])", 1, _PROBE)


def _check_tls_files(options: dict[str, object]) -> None:
    """redis-py says of a file that is not there only that it cannot connect."""
    for name in _TLS_FILES:
        path = options.get(name)
        if path and not os.access(str(path), os.R_OK):
            raise RedisRefusesError(
                f"{name} of SHOEBOX_REDIS_URL is {str(path)!r}, which cannot be read.",
                "Correct the path; begin it with / so that it holds for every folder.",
            )


def _refusal(place: str, error: Exception, *, embedded: bool) -> RedisRefusesError:
    """redis-py's error in the user's words."""
    refusal = refusal_of(error)
    remedy = refusal.remedy
    if embedded and "SHOEBOX_REDIS_URL" in remedy:
        remedy = "Start it again with ./run.sh down, then ./run.sh up."
    return (RedisAwayError if refusal.passes else RedisRefusesError)(f"{place} {refusal.words}", remedy)


def _judged(place: str, found: dict[str, object]) -> RedisInfo:
    version = str(found.get("redis_version", ""))
    if parsed_version(version) < MIN_VERSION:
        raise RedisRefusesError(
            f"{place} is version {version or 'unknown'}; Shoebox needs 6.2 or later.", "Update that server."
        )
    warning = ""
    if found.get("aof_last_write_status", "ok") != "ok":
        warning = f"{place} cannot write its file, so it takes no new work: free space on its disk."
    elif found.get("maxmemory") and found.get("maxmemory_policy") != "noeviction":
        thrown = int(str(found.get("evicted_keys", 0)))
        lost = f" It has thrown {thrown} keys away so far; Shoebox makes them again." if thrown else ""
        warning = f"{place} throws work away when its memory is full: set maxmemory-policy noeviction.{lost}"
    return RedisInfo(
        version=str(found.get("valkey_version", version)),
        memory_bytes=int(str(found.get("used_memory", 0))),
        clients=int(str(found.get("connected_clients", 0))),
        warning=warning,
    )
