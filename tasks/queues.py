"""The Celery application: queues, priorities, limits and serialisation.

Units are plain tasks without a result backend: the ledger at home has the results. A unit that dies is
found by its lease and issued again by home, so the broker's own redelivery is neither needed nor trusted:
a copy that it delivers late finds the done mark or the lease and is dropped.
"""

from functools import lru_cache
from typing import TYPE_CHECKING

from tasks.broker_url import celery_broker_url, redis_url
from tasks.documents import Stage
from tasks.settings import get_settings

if TYPE_CHECKING:
    from celery import Celery

# Priorities of Celery's Redis transport: 0 is the highest, and steps of three are what it tells apart.
FIRST_PRIORITY = 0
URGENT_PRIORITY = 3
NORMAL_PRIORITY = 6
LAST_PRIORITY = 9
PRIORITY_STEPS = (0, 3, 6, 9)
BROKER_PREFIX = "shoebox:broker:"
"""Before all that kombu keeps in Redis, so that all our keys begin with `shoebox:`."""
PRIORITY_SEPARATOR = "\x06\x16"
"""Between queue and priority in the names of Redis lists (kombu/transport/redis.py, Channel.sep)."""

RECORD_TASK = "shoebox.record"
TICK_TASK = "shoebox.tick"
RENDER_TASK = "shoebox.render"
DELIVER_TASK = "shoebox.deliver"
DIGEST_TASK = "shoebox.digest"
ASK_TASK = "shoebox.ask"
EMBED_TASK = "shoebox.embed"
EMBEDDED_TASK = "shoebox.embedded"
EMBED_QUERY_TASK = "shoebox.embed_query"
REINDEX_TASK = "shoebox.reindex"


def unit_task(stage: Stage) -> str:
    """The name of the Celery task that runs units of a stage."""
    return f"shoebox.{stage}"


def home_queue(home: str) -> str:
    """The queue of the machine with the files."""
    return f"home.{home}"


def worker_queue(queue: str, worker: str) -> str:
    """The queue of one worker: home chooses who runs a unit. `queue` is cpu or gpu."""
    return f"{queue}.{worker}"


def broker_lists(queue: str) -> list[str]:
    """The Redis lists that hold a queue's messages, one a priority."""
    name = BROKER_PREFIX + queue
    return [name if step == 0 else f"{name}{PRIORITY_SEPARATOR}{step}" for step in PRIORITY_STEPS]


@lru_cache(maxsize=1)
def get_app() -> "Celery":
    """The Celery application of this process.

    Raises:
        ServiceError: the embedded Redis was never started.
    """
    from celery import Celery

    from tasks.transport import use_tolerant_transport

    use_tolerant_transport()
    app = Celery("shoebox", include=["tasks.celery_tasks"])
    app.conf.update(
        broker_url=celery_broker_url(redis_url(get_settings())),
        result_backend=None,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],  # pickle would run what a message says
        # Nothing here is steered by messages; with them anybody with Redis' password could stop workers, or
        # have them start processes without end. What Celery's tools ask is answered by `tasks.inspection`.
        worker_enable_remote_control=False,
        task_acks_late=True,
        # A unit whose child died is reported to home by `celery_tasks.report_failure`, and home decides.
        task_reject_on_worker_lost=False,
        task_default_priority=NORMAL_PRIORITY,
        task_default_queue="cpu",
        worker_prefetch_multiplier=1,
        worker_cancel_long_running_tasks_on_connection_loss=False,  # True lost the task in 5 of 5 trials
        # A child that loads models while it starts must not be killed and started again for ever.
        worker_proc_alive_timeout=600,
        worker_hijack_root_logger=False,
        worker_consumer="tasks.consumer:PatientConsumer",
        beat_scheduler="tasks.home_beat:HomeScheduler",
        worker_enable_prefetch_count_reduction=False,  # prefetch is as small as it can be
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "priority_steps": list(PRIORITY_STEPS),
            # A Redis may be shared with another Celery application, which would deliver our messages again.
            "global_keyprefix": BROKER_PREFIX,
            # Longer than any unit may last, so that the broker never delivers a running unit again.
            "visibility_timeout": 6 * 3600,
            # A cable that is pulled sends no word: a worker that waits asks for a sign of life after ten
            # seconds, and whatever is said is answered within five or the connection counts as lost.
            "health_check_interval": 10,
            "socket_timeout": 5,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
        },
        timezone="UTC",
    )
    return app
