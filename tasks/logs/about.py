"""What the code is at work on just now: the correlation ids that every line of the log carries."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tasks.orders import Order

FIELDS = ("home", "document", "unit", "stage", "attempt", "file")
"""The correlation ids, in the order in which they are written. `attempt` counts how often a unit was handed
out; `file` is a path of the user's, which support files replace."""

Ids = dict[str, str | int]

_ids: ContextVar[Ids | None] = ContextVar("shoebox_log_ids", default=None)


def current() -> Ids:
    """The ids that are set."""
    return _ids.get() or {}


@contextmanager
def about(**ids: str | int) -> Iterator[None]:
    """Have every line that is logged inside say what it is about; names as in `FIELDS`.

    A thread that is started inside does not inherit it, unless it is run in `contextvars.copy_context()`.
    """
    token = _ids.set({**current(), **ids})
    try:
        yield
    finally:
        _ids.reset(token)


@contextmanager
def about_order(order: "Order") -> Iterator[None]:
    """As `about`, for the unit of an order."""
    with about(
        home=order.home,
        document=order.document,
        unit=order.unit,
        stage=str(order.stage),
        attempt=order.issue,
    ):
        yield
