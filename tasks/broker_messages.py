"""The messages of units that lie in Redis, not yet delivered to a worker."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from pydantic import BaseModel, Field

from tasks.queues import broker_lists

if TYPE_CHECKING:
    from redis import Redis


class _Headers(BaseModel):
    id: str = Field(max_length=200)


class _Sent(BaseModel):
    """What is wanted of a message, as kombu writes it."""

    headers: _Headers


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
    found: list[Message] = []
    for name, messages in zip(names, rows, strict=True):
        for raw in messages:
            sender, _, rest = task_id_of(raw).partition(".")
            unit = rest.partition(".")[0]
            if sender == home and unit.isascii() and unit.isdecimal():
                found.append(Message(int(unit), name, raw))
    return found


def task_id_of(raw: bytes) -> str:
    """Celery's id of the task that a message in Redis is about; empty for what is no message of Celery's."""
    try:
        return _Sent.model_validate_json(raw).headers.id
    except ValueError:  # somebody else's: it must not keep home from looking after its own
        return ""


def take_back(redis: "Redis", messages: Iterable[Message]) -> set[int]:
    """Remove messages. Returns the units of those that no worker has got meanwhile."""
    return {one.unit for one in messages if redis.lrem(one.list_name, 1, cast(str, one.raw))}
