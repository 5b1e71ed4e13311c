"""Handing orders to the broker: the only place that knows a message's queue, priority and time limit."""

import logging
from typing import Any

from tasks.documents import Stage
from tasks.inspection.shown import shown_text
from tasks.notify.deliver import RUN_SECONDS
from tasks.orders import OcrParams, Order, ReadParams, image_pages
from tasks.planning import HOME_QUEUE
from tasks.queues import (
    ASK_TASK,
    FIRST_PRIORITY,
    NORMAL_PRIORITY,
    RECORD_TASK,
    RENDER_TASK,
    URGENT_PRIORITY,
    get_app,
    home_queue,
    unit_task,
    worker_queue,
)
from tasks.reading.confined import PATIENCE
from tasks.redis_words import redis_words
from tasks.settings import Settings

_NOTIFY_EXPIRES_SECONDS = 10.0
"""Ticks send another; a queue that stands still is not to fill with them."""

log = logging.getLogger("shoebox.publishing")

_SPARE_SECONDS = 30.0
"""Reading and drawing files keep time themselves; Celery's limit is for what surrounds them."""


def publish_render(order: Order, settings: Settings) -> None:
    """Have the pages that a unit needs rendered at home; the unit is handed on from there."""
    small = len(order.params["pages"]) if order.stage is Stage.LOOK else 0
    pages = small or len(image_pages(order.stage, order.params))
    seconds = pages * PATIENCE * settings.draw_seconds + _SPARE_SECONDS
    _send_order(RENDER_TASK, order, home_queue(order.home), seconds, suffix=".render")


def publish_unit(order: Order, queue: str, settings: Settings) -> None:
    """Hand out a unit whose payload, if it needs one, is in Redis. `queue` is the ledger's name.

    Raises:
        OperationalError: (kombu) Redis is away; home issues the unit again later.
    """
    _send_order(unit_task(order.stage), order, _queue_of(order, queue), time_limit(order, settings))


def _queue_of(order: Order, queue: str) -> str:
    """The broker's queue. `queue` is the ledger's name."""
    if queue == HOME_QUEUE:
        return home_queue(order.home)
    return worker_queue(queue, order.target) if order.target else queue


def time_limit(order: Order, settings: Settings) -> float:
    """Seconds after which the child that runs the unit is killed."""
    match order.stage:
        case Stage.EXTRACT:
            return PATIENCE * settings.extract_seconds + _SPARE_SECONDS
        case Stage.OCR:
            return len(OcrParams.model_validate(order.params).pages) * settings.page_seconds
        case Stage.LOOK:
            return settings.reply_seconds
        case _:
            is_llm = ReadParams.model_validate(order.params).llm is not None
            return settings.llm_unit_seconds if is_llm else settings.reply_seconds


def publish_record(order: Order) -> None:
    """Tell home that an outcome is waiting in Redis. If nobody is told, the next tick finds it."""
    from kombu.exceptions import OperationalError

    try:
        _send(
            RECORD_TASK,
            {"unit": order.unit},
            queue=home_queue(order.home),
            task_id=f"{order.task_id}.record",
            priority=FIRST_PRIORITY,
        )
    except OperationalError as error:
        log.warning("%s: home was not told of the outcome. %s", order.task_id, redis_words(error))


def publish_question(home: str, question: str, task_id: str, queue: str, settings: Settings) -> None:
    """Have a question answered whose payload is in Redis. If the message is lost, the asker notices.

    `queue` is the broker's name.

    Raises:
        OperationalError: (kombu) Redis is away.
    """
    _send(
        ASK_TASK,
        {"home": home, "question": question},
        queue=queue,
        task_id=task_id,
        priority=URGENT_PRIORITY,
        time_limit=settings.llm_unit_seconds,
    )


def publish_notify(task: str, home: str) -> None:
    """Have home deliver notices or make the digest. If the message is lost, the next tick sends another.

    Raises:
        OperationalError: (kombu) Redis is away.
    """
    _send(
        task,
        {},
        queue=home_queue(home),
        priority=NORMAL_PRIORITY,
        time_limit=RUN_SECONDS,
        expires=_NOTIFY_EXPIRES_SECONDS,
    )


def _send_order(task: str, order: Order, queue: str, seconds: float, suffix: str = "") -> None:
    _send(
        task,
        {"order": order.model_dump(mode="json")},
        queue=queue,
        task_id=order.task_id + suffix,
        priority=URGENT_PRIORITY if order.urgent else NORMAL_PRIORITY,
        time_limit=seconds,
    )


def _send(name: str, kwargs: dict[str, Any], **options: Any) -> None:
    # Home can send every message again, so a Redis that is away is reported at once and not waited for.
    told = shown_text(kwargs)
    get_app().send_task(name, kwargs=kwargs, kwargsrepr=told, retry=False, ignore_result=True, **options)
