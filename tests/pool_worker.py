"""A worker of the cpu queue whose tasks wait until a test lets them go: `python -m tests.pool_worker`."""

import logging
import os

from redis import Redis

from tasks.planning import CPU_QUEUE
from tasks.queues import get_app
from tasks.settings import get_settings

HOLD = "tests.hold"


def held_tasks(redis: Redis, number: int) -> None:
    """Send tasks; each enters itself in the list `held`, waits for an entry in `go` and ends in `ended`."""
    from celery import Celery

    path = redis.connection_pool.connection_kwargs["path"]
    with Celery(broker=f"redis+socket://{path}?virtual_host=0") as app:
        for task in range(number):
            app.send_task(HOLD, (task,), queue=CPU_QUEUE)


def main() -> None:
    """Serve the cpu queue as `tasks.worker.serve` does."""
    from tasks.worker import serve

    logging.basicConfig(level=logging.INFO)

    @get_app().task(name=HOLD)
    def hold(number: int) -> None:
        redis = Redis(unix_socket_path=os.environ["SHOEBOX_REDIS_URL"].removeprefix("unix://"))
        redis.rpush("held", number)
        redis.blpop("go")
        redis.rpush("ended", number)

    serve(CPU_QUEUE, "cpu", get_settings())


if __name__ == "__main__":
    main()
