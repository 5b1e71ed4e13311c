"""A worker of the cpu queue whose tasks wait until a test lets them go: `python -m tests.pool_worker`."""

import logging
import os

from redis import Redis

from tasks.broker_url import celery_broker_url
from tasks.planning import CPU_QUEUE
from tasks.queues import BROKER_PREFIX, get_app
from tasks.settings import get_settings

HOLD = "tests.hold"


def held_tasks(url: str, number: int, first: int = 0) -> None:
    """Send tasks; each enters itself in the list `held`, waits for an entry in `go` and ends in `ended`.

    `url` is redis-py's; the tasks are numbered from `first`.
    """
    from celery import Celery

    with Celery(broker=celery_broker_url(url)) as app:
        app.conf.broker_transport_options = {"global_keyprefix": BROKER_PREFIX}
        for task in range(first, first + number):
            app.send_task(HOLD, (task,), queue=CPU_QUEUE)


def main() -> None:
    """Serve the cpu queue as `tasks.worker.serve` does."""
    from tasks.worker import serve

    logging.basicConfig(level=logging.INFO)

    @get_app().task(name=HOLD)
    def hold(number: int) -> None:
        redis = Redis.from_url(os.environ["SHOEBOX_REDIS_URL"])
        redis.rpush("held", number)
        redis.blpop("go")
        redis.rpush("ended", number)

    serve(CPU_QUEUE, "cpu", get_settings())


if __name__ == "__main__":
    main()
