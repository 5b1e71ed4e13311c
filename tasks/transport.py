"""Celery's way to Redis, which outlives messages that are none.

What lies in a queue may have been put there by anybody who has Redis' password. kombu takes a message off its
list and then parses it (kombu/transport/redis.py, `_brpop_read`): what cannot be parsed ends the worker, so a
list of such messages would end it again and again. Here they are thrown away, and the log says so.
"""

import logging
from queue import Empty
from typing import Any

from kombu.transport import TRANSPORT_ALIASES
from kombu.transport.redis import Channel, Transport
from pydantic import BaseModel, Field

from tasks.plain_text import shortened

log = logging.getLogger("shoebox.broker")

_NO_MESSAGE = (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError)
_REPLIES = ".reply.celery.pidbox"
_EVENTS = "celeryev."
"""The queues of Celery's tools, which no worker takes from."""
_SHOWN = 200
"""Characters of the reason. It may quote the message, which is anybody's text."""


class _Headers(BaseModel):
    """What Celery relies on without looking: a time limit that is none ends the worker, too."""

    task: str = Field(max_length=200)
    id: str = Field(max_length=200)
    timelimit: tuple[float | None, float | None] | None = None


class TolerantChannel(Channel):
    """Throws away what is no message."""

    def _brpop_read(self, **options: Any) -> Any:
        known = set(self.qos._delivered)
        try:
            return super()._brpop_read(**options)  # type: ignore[no-untyped-call]
        except self.connection_errors:
            raise
        except _NO_MESSAGE as error:
            why = shortened(f"{type(error).__name__}: {error}", _SHOWN)
            log.error("A message was thrown away that Shoebox has not written: %s", why)
            for tag in set(self.qos._delivered) - known:  # else it would keep its place among those in hand
                self.basic_reject(tag, requeue=False)  # type: ignore[no-untyped-call]
            raise Empty from error


class TolerantTransport(Transport):
    """kombu's, with that channel."""

    Channel = TolerantChannel

    def _deliver(self, message: Any, queue: str) -> None:
        """Raises ValueError or TypeError for what Celery could not take."""
        is_work = not queue.endswith(_REPLIES) and not queue.startswith(_EVENTS)
        if is_work and message["headers"]:  # Celery itself refuses messages without
            _Headers.model_validate(message["headers"])
        super()._deliver(message, queue)  # type: ignore[no-untyped-call]


def use_tolerant_transport() -> None:
    """Have kombu use it for the addresses of Redis. Call it before the first connection is made."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:{TolerantTransport.__name__}"
