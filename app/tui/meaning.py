"""Search by meaning for the terminal UI: the clerk has what is typed made a vector, this waits for it."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence

from app.requests import MakeQueryVector, Reply, Request
from app.tui.background import in_background
from tasks.broker_url import redis_url
from tasks.errors import ServiceError
from tasks.exchange import connect
from tasks.ledger import Ledger
from tasks.search import Found
from tasks.settings import Settings

_PAUSE_SECONDS = 0.3
"""Only when nobody has typed for so long is a model asked."""
_WAIT_SECONDS = 4.0
"""Less than the client of Redis waits for any answer; the next search finds the model loaded."""

Ask = Callable[[Request], Awaitable[Reply]]


async def join_meaning(
    settings: Settings, ask: Ask, text: str, by_words: Sequence[Found], limit: int
) -> list[Found] | None:
    """What words found and what meaning finds as one list; None if meaning cannot be looked for."""
    if not settings.vectors_path.exists():
        return None
    await asyncio.sleep(_PAUSE_SECONDS)
    key = f"shoebox:query:{secrets.token_hex(8)}"
    if not await in_background(lambda: _has_use(settings, text)):
        return None
    reply = await ask(MakeQueryVector(text, key, _WAIT_SECONDS))
    if not reply.ok:
        return None
    return await in_background(lambda: _joined(settings, text, key, by_words, limit))


def _has_use(settings: Settings, text: str) -> bool:
    from tasks.meaning.asking import question

    with Ledger.open(settings) as ledger:
        try:
            return not isinstance(question(settings, ledger, text), str)
        except ServiceError:
            return False


def _joined(
    settings: Settings, text: str, key: str, by_words: Sequence[Found], limit: int
) -> list[Found] | None:
    from redis.exceptions import RedisError

    from tasks.meaning.asking import await_vector, question
    from tasks.meaning.hybrid import find_by_meaning, joined

    with Ledger.open(settings) as ledger:
        try:
            asked = question(settings, ledger, text, key)
            if isinstance(asked, str):
                return None
            redis = connect(redis_url(settings), retries=0)
            try:
                vector = await_vector(redis, asked, _WAIT_SECONDS)
            finally:
                redis.close()
            if isinstance(vector, str):
                return None
            return joined(by_words, find_by_meaning(settings, ledger, text, vector), limit)
        except (RedisError, ServiceError):
            return None
