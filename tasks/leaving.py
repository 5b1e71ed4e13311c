"""Giving units back that a worker had in hand when it was told to hurry."""

import logging
import socket
from typing import cast

from tasks.exchange import Exchange, Holder
from tasks.redis_words import redis_words

log = logging.getLogger("shoebox.worker")

_LEASES = "shoebox:*:lease"
# As in `Exchange.release_lease`: without lease and start mark, home sees a unit that nobody has begun.
_RELEASE = """
if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1], KEYS[2]) end
return 0
"""


def give_back_units(worker_pid: int, exchange: Exchange | None = None) -> int:
    """End the leases of the units that this worker's processes had, as if nobody had begun them.

    Call it once those processes have ended. Home then issues the units again at once and counts no attempt.
    With Redis away the leases run out by themselves. Returns how many there were.
    """
    from redis.exceptions import RedisError

    if exchange is None:
        from tasks.celery_tasks import exchange as own_exchange

        exchange = own_exchange()
    given = 0
    try:
        for key in exchange.redis.scan_iter(_LEASES, count=1000):
            given += _give_back(exchange, cast(bytes, key), worker_pid)
    except RedisError as error:
        log.warning("Nobody hears which units are given back; their leases run out. %s", redis_words(error))
    if given:
        log.info("%d units given back", given)
    return given


def _give_back(exchange: Exchange, key: bytes, worker_pid: int) -> bool:
    token = cast("bytes | None", exchange.redis.get(key))
    holder = Holder.parse(token.decode(errors="replace")) if token else None
    if holder is None or (holder.host, holder.worker_pid) != (socket.gethostname(), worker_pid):
        return False
    started = key.removesuffix(b":lease") + b":started"
    return bool(exchange.redis.eval(_RELEASE, 2, key, started, cast(bytes, token)))
