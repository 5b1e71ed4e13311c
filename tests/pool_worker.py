"""A worker of the cpu queue whose tasks wait until a test lets them go: `python -m tests.pool_worker`."""

import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from redis import Redis

from tasks.broker_url import celery_broker_url
from tasks.orders import Order
from tasks.planning import CPU_QUEUE
from tasks.queues import BROKER_PREFIX, get_app
from tasks.settings import get_settings
from tests.system import ROOT

HOLD = "tests.hold"
HELD_UNIT = "tests.unit"


def held_tasks(url: str, number: int, first: int = 0) -> None:
    """Send tasks; each enters itself in the list `held`, waits for an entry in `go` and ends in `ended`.

    `url` is redis-py's; the tasks are numbered from `first`.
    """
    from celery import Celery

    with Celery(broker=celery_broker_url(url)) as app:
        app.conf.broker_transport_options = {"global_keyprefix": BROKER_PREFIX}
        for task in range(first, first + number):
            app.send_task(HOLD, (task,), queue=CPU_QUEUE)


def held_unit(url: str, order: Order) -> None:
    """Send a unit, which is run as any other: it enters itself in `held` and waits for an entry in `go`."""
    from celery import Celery

    with Celery(broker=celery_broker_url(url)) as app:
        app.conf.broker_transport_options = {"global_keyprefix": BROKER_PREFIX}
        app.send_task(HELD_UNIT, kwargs={"order": order.model_dump(mode="json")}, queue=CPU_QUEUE)


def url_of(redis: Redis) -> str:
    """The address of the server that a client of a unix socket talks to."""
    return f"unix://{redis.connection_pool.connection_kwargs['path']}"


@contextmanager
def pool_worker(url: str, folder: Path, **settings: str) -> Iterator[psutil.Popen]:
    """Such a worker without a home; its log is in the folder.

    `url` is redis-py's; settings go by their name in the environment.
    """
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "SHOEBOX_REDIS_URL": url,
        "SHOEBOX_DATA_DIR": str(folder / "data"),
        **settings,
    }
    with (folder / "log").open("wb") as log:
        command = [sys.executable, "-m", "tests.pool_worker"]
        started = psutil.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        yield started
    finally:
        started.send_signal(signal.SIGTERM)
        started.wait()


def main() -> None:
    """Serve the cpu queue as `tasks.worker.serve` does."""
    from app.metrics.worker import serve_metrics
    from tasks.celery_tasks import exchange
    from tasks.running import UnitResult, run_unit
    from tasks.worker import processes, serve

    logging.basicConfig(level=logging.INFO)

    @get_app().task(name=HOLD)
    def hold(number: int) -> None:
        redis = Redis.from_url(os.environ["SHOEBOX_REDIS_URL"], socket_timeout=None)
        redis.rpush("held", number)
        redis.blpop("go")
        redis.rpush("ended", number)

    @get_app().task(name=HELD_UNIT)
    def unit(order: dict[str, Any]) -> None:
        def work(_: list[bytes]) -> UnitResult:
            hold.run(order["unit"])
            return UnitResult({})

        run_unit(exchange(), Order.model_validate(order), 30, "cpu@test", work, needs_payload=False)

    settings = get_settings()
    if settings.metrics_port:
        serve_metrics(settings, CPU_QUEUE, processes(CPU_QUEUE, settings))
    serve(CPU_QUEUE, "cpu", settings)


if __name__ == "__main__":
    main()
