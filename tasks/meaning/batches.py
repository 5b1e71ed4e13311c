"""What travels while vectors are made: texts out, vectors back, and the same for a query."""

import base64
import math
from array import array
from collections.abc import Sequence
from typing import Any

from tasks.documents import Stage, Value
from tasks.engines.llm.base import Vector
from tasks.orders import Order

_MARK = ":embed:"
TASK_ID_MARK = "embed"


class EmbedPayload(Value):
    """A batch of texts."""

    model: str
    num_ctx: int
    on_cpu: bool
    prefix: str = ""
    """Stands before each text."""
    chunks: tuple[int, ...]
    texts: tuple[str, ...]


class EmbedResult(Value):
    """The vectors of a batch, or why there are none."""

    chunks: tuple[int, ...] = ()
    vectors: tuple[str, ...] = ()
    """Packed; as many as chunks."""
    problem: str = ""
    """In words; empty if there are vectors."""
    is_servers: bool = False
    """Whether the server is at fault, so that the texts are not."""


class EmbedQuery(Value):
    """A query that is to become a vector."""

    model: str
    num_ctx: int
    on_cpu: bool
    text: str
    """With its prefix."""
    reply_key: str
    """A Redis list that the `QueryReply` is put into."""


class QueryReply(Value):
    """The vector of a query, packed, or why there is none."""

    vector: str = ""
    problem: str = ""


def batch_order(home: str, epoch: str, batch: int) -> Order:
    """A batch as an order, so that lease, payload and outcome are those of units.

    It is no unit of a document: its keys and ids never meet those of units, and the stage only stands there
    because an order has one.
    """
    return Order(
        home=f"{home}{_MARK}{epoch}", unit=batch, issue=1, document="search index", stage=Stage.ANALYSE
    )


def home_of(order: Order) -> str:
    """The home that a batch belongs to."""
    return order.home.partition(_MARK)[0]


def task_id(order: Order) -> str:
    """Of the message that carries a batch: never one of a unit's, which begin with the home."""
    return f"{TASK_ID_MARK}.{order.home}.{order.unit}"


def pack(vector: Sequence[float]) -> str:
    """A vector as text: 32-bit floats, little-endian on every machine that Shoebox runs on."""
    return base64.b64encode(array("f", vector).tobytes()).decode()


def unpack(text: str) -> Vector:
    """The vector that `pack` wrote.

    Raises:
        ValueError: it is none, or has no direction.
    """
    numbers = array("f")
    numbers.frombytes(base64.b64decode(text, validate=True))
    if not any(numbers) or not all(map(math.isfinite, numbers)):
        raise ValueError("a vector without direction")
    return tuple(numbers)


def vectors_of(result: dict[str, Any] | None) -> tuple[EmbedResult, dict[int, Vector]]:
    """A batch's result as it travelled, and its vectors by chunk.

    Raises:
        ValueError: it is none.
    """
    parsed = EmbedResult.model_validate(result or {"problem": "The worker sent nothing."})
    return parsed, {chunk: unpack(text) for chunk, text in zip(parsed.chunks, parsed.vectors, strict=True)}
