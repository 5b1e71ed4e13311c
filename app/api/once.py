"""Idempotency keys: a request that is sent again gets its first answer."""

import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from app.api.problems import ApiError
from tasks import answered

if TYPE_CHECKING:
    from app.api.service import Service

KEY_CHARS = 255
Answered = tuple[int, dict[str, Any]]
"""Status and body."""


def fingerprint(operation: str, what: Any) -> str:
    """A hash of what is asked, the same for the same request however it was wrapped."""
    text = json.dumps([operation, what], sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


async def once(
    service: "Service", key: str | None, request: str, carry_out: Callable[[], Awaitable[Answered]]
) -> tuple[int, dict[str, Any], bool]:
    """Carry a request out, unless its key says that it was: then the first answer. And whether it was so.

    Raises:
        ApiError: 422: the key was used for another request; 409: it is being carried out; 400: it is no key.
    """
    if key is None:
        return *await carry_out(), False
    if not 0 < len(key) <= KEY_CHARS or not key.isascii() or not key.isprintable():
        raise ApiError(
            400, "The idempotency key cannot be used.", f"Send up to {KEY_CHARS} plain characters."
        )
    try:
        known = await service.writers.run(lambda home: answered.claim(home.ledger, key, request))
    except answered.OtherRequestError as error:
        raise ApiError(422, error.message, error.remedy) from error
    except answered.UnderWayError as error:
        raise ApiError(409, error.message, error.remedy, {"Retry-After": "1"}) from error
    if known is not None:
        status, body = json.loads(known)
        return status, body, True
    try:
        status, body = await carry_out()
    except BaseException:
        await service.writers.run(lambda home: answered.release(home.ledger, key))
        raise
    await service.writers.run(lambda home: answered.keep(home.ledger, key, json.dumps([status, body])))
    return status, body, False
