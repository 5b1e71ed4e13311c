"""The messages of units that lie in Redis, not yet delivered to a worker."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from tasks.queues import broker_lists

if TYPE_CHECKING:
    from redis import Redis


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a unit."""

    unit: int
    list_name: str
    raw: bytes


def unit_messages(redis: "Redis", home: str, queues: Iterable[str]) -> list[Message]:
    """This home's messages in these queues of the broker."""
    names = [name for queue in dict.fromkeys(queues) for name in broker_lists(queue)]
    with redis.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.lrange(name, 0, -1)
        rows = cast("list[list[bytes]]", pipe.execute())
    found = []
    for name, messages in zip(names, rows, strict=True):
        for raw in messages:
            task_id = str(json.loads(raw)["headers"]["id"])
            if task_id.startswith(f"{home}."):
                found.append(Message(int(task_id.split(".")[1]), name, raw))
    return found


def take_back(redis: "Redis", messages: Iterable[Message]) -> set[int]:
    """Remove messages. Returns the units of those that no worker has got meanwhile."""
    return {one.unit for one in messages if redis.lrem(one.list_name, 1, cast(str, one.raw))}
