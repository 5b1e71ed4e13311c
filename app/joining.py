"""What a worker does before it works: waits for Redis, and looks whether it fits the homes there."""

import logging
import time
from contextlib import suppress

import click

from app.plain_text import visible
from app.services.redis_client import RedisAwayError, ask_redis, redis_place
from tasks import logs
from tasks.errors import ServiceError
from tasks.settings import Settings

log = logging.getLogger("shoebox.worker")

_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 5.0
_SAID_AGAIN_SECONDS = 60.0


def await_redis(settings: Settings, *, for_ever: bool = False) -> None:
    """Wait until Redis is there; say so at once, and once a minute.

    Args:
        settings: where Redis is.
        for_ever: whether to wait even for what only a person can mend: for a worker that is started again
            and again anyway, and is to go on soon after that.

    Raises:
        ServiceError: waiting does not help: a wrong address or password, a certificate that is not to be
            trusted, a server that is too old or no Redis.
    """
    pause = _FIRST_PAUSE_SECONDS
    said_at: float | None = None
    while True:
        try:
            warning = ask_redis(settings).warning
        except ServiceError as away:
            if not for_ever and not isinstance(away, RedisAwayError):
                raise
            if said_at is None or time.monotonic() - said_at > _SAID_AGAIN_SECONDS:
                say(f"{away.message} Waiting for it, trying again all the time.")
                said_at = time.monotonic()
        else:
            if warning:
                say(warning)
            if said_at is not None:
                say(f"{redis_place(settings)} is there.")
            return
        time.sleep(pause)
        pause = min(_LONGEST_PAUSE_SECONDS, pause * 1.5)


def check_version(settings: Settings, version: str) -> None:
    """Look whether the homes that are up have our version; say which do not, if some.

    Raises:
        ServiceError: homes are up, and none has our version.
    """
    from redis.exceptions import RedisError

    from tasks.broker_url import redis_url
    from tasks.exchange import Exchange, connect
    from tasks.homes import fit, homes_up

    redis = connect(redis_url(settings))
    try:
        found = fit(homes_up(Exchange(redis)), version)
    except RedisError:  # it went away again; the worker's presence looks, too
        return
    finally:
        redis.close()
    if found.serves_none:
        raise ServiceError(found.problem, found.remedy)
    if found.problem:
        say(f"{found.problem} The others are served. {found.remedy}")


def say(words: str) -> None:
    """A line for whoever started the worker, on stderr beside the workers' logs.

    A terminal that has been closed meanwhile takes none, which must not keep the workers from being stopped.
    """
    if logs.is_json():
        log.warning("%s", words)
        return
    with suppress(OSError):
        click.echo(f"shoebox: {visible(words)}", err=True)
