"""The form of kombu's messages on Redis, as Celery's tools read and write it.

Broadcasts go by PUBLISH to `<prefix>/<database>.<exchange>`, with `/<routing key>` after it where there is
one; replies to a list that is named after who asked (kombu/transport/redis.py and kombu/pidbox.py, 5.7). A
body is JSON in base64, in a JSON object with headers.
"""

import base64
import json
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tasks.queues import BROKER_PREFIX

if TYPE_CHECKING:
    from redis import Redis

QUESTIONS = "celery.pidbox"
REPLIES = "reply.celery.pidbox"
EVENTS = "celeryev"
MAX_BYTES = 64 * 1024
"""Of a question. Celery's own have a few hundred."""


def channel(redis: "Redis", exchange: str, routing_key: str = "") -> str:
    """The channel of a broadcast."""
    database = redis.connection_pool.connection_kwargs.get("db") or 0
    name = f"{BROKER_PREFIX}/{database}.{exchange}"
    return f"{name}/{routing_key}" if routing_key else name


def reply_list(asker: str) -> str:
    """The list that a client of that id takes its replies from."""
    return f"{BROKER_PREFIX}{asker}.{REPLIES}"


def message(body: object, exchange: str, routing_key: str, headers: Mapping[str, Any] | None = None) -> str:
    """A message as kombu would write it."""
    return json.dumps(
        {
            "body": base64.b64encode(json.dumps(body).encode()).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": dict(headers or {}),
            "properties": {
                "delivery_mode": 1,
                "delivery_info": {"exchange": exchange, "routing_key": routing_key},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": str(uuid.uuid4()),
            },
        }
    )


def body_of(raw: bytes) -> object:
    """What a message says.

    Raises:
        ValueError: it is too large, no message, or its body is no JSON.
    """
    if len(raw) > MAX_BYTES:
        raise ValueError("too large")
    try:
        body = json.loads(raw)["body"]
        return json.loads(base64.b64decode(body))
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError("no message") from error
