"""Handing the messages of search by meaning to the broker."""

import logging
from typing import Any

from tasks.inspection.shown import shown_text
from tasks.meaning.batches import EmbedQuery, home_of, task_id
from tasks.orders import Order
from tasks.planning import CPU_QUEUE
from tasks.queues import (
    EMBED_QUERY_TASK,
    EMBED_TASK,
    EMBEDDED_TASK,
    FIRST_PRIORITY,
    LAST_PRIORITY,
    NORMAL_PRIORITY,
    REINDEX_TASK,
    get_app,
    home_queue,
    worker_queue,
)
from tasks.settings import Settings

log = logging.getLogger("shoebox.meaning")

QUERY_LIMIT_SECONDS = 30.0
_REINDEX_SECONDS = 3600.0
_REINDEX_EXPIRES_SECONDS = 600.0
_EMBEDDED_EXPIRES_SECONDS = 60.0
"""Ticks find what came as well; a home that stands still is not to drown in these."""


def publish_batch(order: Order, settings: Settings) -> None:
    """Have vectors made, after all else that the cpu queue has to do.

    Raises:
        OperationalError: (kombu) Redis is away; home sends the batch again later.
    """
    _send(
        EMBED_TASK,
        {"batch": order.model_dump(mode="json")},
        queue=worker_queue(CPU_QUEUE, order.target) if order.target else CPU_QUEUE,
        task_id=task_id(order),
        priority=LAST_PRIORITY,
        time_limit=settings.llm_unit_seconds,
    )


def publish_embedded(order: Order) -> None:
    """Tell home that vectors are waiting in Redis. If nobody is told, the next tick finds them."""
    from kombu.exceptions import OperationalError

    try:
        _send(
            EMBEDDED_TASK,
            {},
            queue=home_queue(home_of(order)),
            priority=NORMAL_PRIORITY,
            expires=_EMBEDDED_EXPIRES_SECONDS,
        )
    except OperationalError as error:
        log.warning("%s: home was not told of the vectors: %s", task_id(order), error)


def publish_query(query: EmbedQuery, expires: float, queue: str) -> None:
    """Have the vector of a query made before all else; nobody waits for it after so many seconds.

    `queue` is the broker's name.

    Raises:
        OperationalError: (kombu) Redis is away.
    """
    _send(
        EMBED_QUERY_TASK,
        {"query": query.model_dump(mode="json")},
        queue=queue,
        priority=FIRST_PRIORITY,
        time_limit=QUERY_LIMIT_SECONDS,
        expires=expires,
    )


def publish_reindex(home: str) -> None:
    """Have home compare all pages with their vectors.

    Raises:
        OperationalError: (kombu) Redis is away.
    """
    _send(
        REINDEX_TASK,
        {},
        queue=home_queue(home),
        priority=NORMAL_PRIORITY,
        time_limit=_REINDEX_SECONDS,
        expires=_REINDEX_EXPIRES_SECONDS,
    )


def _send(name: str, kwargs: dict[str, Any], **options: Any) -> None:
    # Home can send every message again, so a Redis that is away is reported at once and not waited for.
    told = shown_text(kwargs)
    get_app().send_task(name, kwargs=kwargs, kwargsrepr=told, retry=False, ignore_result=True, **options)
