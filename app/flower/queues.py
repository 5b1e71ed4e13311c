"""How many messages wait in queues: Flower's own way knows no unix socket with a database, and no TLS."""

from collections.abc import Iterable

from tasks.broker_url import redis_url
from tasks.queues import broker_lists
from tasks.settings import Settings

_PATIENCE_SECONDS = 2.0


class Queues:
    """In place of `flower.utils.broker.Broker`."""

    def __init__(self, settings: Settings) -> None:
        self._url = redis_url(settings)

    async def queues(self, names: Iterable[str]) -> list[dict[str, str | int]]:
        """The number of messages by queue, over all priorities.

        Raises:
            RedisError: Redis is away.
        """
        from redis.asyncio import Redis

        wanted = list(names)
        async with Redis.from_url(self._url, socket_timeout=_PATIENCE_SECONDS) as redis:
            pipe = redis.pipeline(transaction=False)
            for name in wanted:
                for key in broker_lists(name):
                    pipe.llen(key)
            lengths = iter(await pipe.execute())
        return [{"name": name, "messages": sum(next(lengths) for _ in broker_lists(name))} for name in wanted]
