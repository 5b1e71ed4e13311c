"""Starting a Celery worker that serves some queues, and saying that it is there."""

import logging
import os
import socket
import threading
from typing import Any

from tasks.classifier_watch import ClassifierWatch
from tasks.exchange import Exchange
from tasks.gpu import VISIBLE_DEVICES, GpuWatch
from tasks.homes import fit, homes_up
from tasks.inspection.window import Window
from tasks.leaving import give_back_units
from tasks.ledger import Ledger
from tasks.logs import configure
from tasks.metrics.worker import begin_in_child, note_presence, served_at
from tasks.model_watch import ModelWatch
from tasks.notify.outbox import open_channels
from tasks.orders import Presence
from tasks.planning import CPU_QUEUE, GPU_QUEUE, HOME_QUEUE
from tasks.pulse import end_hung_children, start_pulse  # before the fork, too
from tasks.queues import (
    DIGEST_TASK,
    FIRST_PRIORITY,
    REINDEX_TASK,
    TICK_TASK,
    get_app,
    home_queue,
    worker_queue,
)
from tasks.redis_words import SaidOnce, redis_words
from tasks.settings import Settings
from tasks.software import software
from tasks.vram.told import told  # before the pool is forked, which then shares its page of memory

log = logging.getLogger("shoebox.worker")

_PRESENCE_SECONDS = 12.0
_ANNOUNCE_SECONDS = 2.0
_DAILY_EXPIRES_SECONDS = 600.0
_GPU_CHILD_MEGABYTES = 2_000
_GPU_CHILD_MEGABYTES_WITH_CUDA = 8_000


def slots(queue: str, settings: Settings) -> int:
    """Units that a worker of this queue runs at the same time, once it has grown to its full size."""
    return {
        HOME_QUEUE: settings.home_concurrency,
        CPU_QUEUE: settings.cpu_concurrency,
        GPU_QUEUE: 1,
    }[queue]


def processes(queue: str, settings: Settings) -> int:
    """Processes of a worker of this queue.

    One more than it has slots at home where there may be somebody to tell: delivery must not hold up the
    recording of outcomes.
    """
    spare = 1 if queue == HOME_QUEUE and open_channels(settings) else 0
    return slots(queue, settings) + spare


def child_kilobytes(queue: str, settings: Settings) -> int:
    """Beyond this a process of this queue is replaced after its unit; 0: never."""
    if queue == CPU_QUEUE:
        return settings.cpu_child_megabytes * 1000
    if queue != GPU_QUEUE:
        return 0
    with_cuda = bool(os.environ.get(VISIBLE_DEVICES))
    default = _GPU_CHILD_MEGABYTES_WITH_CUDA if with_cuda else _GPU_CHILD_MEGABYTES
    return (settings.gpu_child_megabytes or default) * 1000


def pool_limits(queue: str, settings: Settings) -> dict[str, Any]:
    """Celery's options for what the processes of a queue's worker may grow to, in number and in memory.

    Prepares the application for a pool that scales.
    """
    limits: dict[str, Any] = {}
    if kilobytes := child_kilobytes(queue, settings):
        limits["max_memory_per_child"] = kilobytes
    if queue == CPU_QUEUE:
        from tasks.pool_scaling import scaling

        if span := scaling(get_app(), settings):
            limits["autoscale"] = span
    return limits


def serve(queue: str, name: str, settings: Settings, version: str = "") -> None:
    """Run a worker `name@host` for one queue until it is told to stop. Does not return normally.

    SIGTERM lets the units in hand end first, SIGQUIT gives them back. `version` is Shoebox's, for the
    announcement.

    Raises:
        ServiceError: Redis does not let us in.
    """
    from celery.signals import (
        task_received,
        worker_init,
        worker_process_init,
        worker_ready,
        worker_shutdown,
        worker_shutting_down,
    )

    @worker_process_init.connect(weak=False)
    def begin_pulse(**_: Any) -> None:
        from billiard.process import current_process

        start_pulse(current_process().index)
        begin_in_child(current_process().index)

    # Not before its unit counts as lost: a process that is only slow ends its unit itself until then.
    end_hung_children(settings.lease_seconds + settings.grace_seconds)

    node = f"{name}@{socket.gethostname()}"
    configure(name, settings, worker=node)
    _keep_logs_as_they_are()
    leaving = threading.Event()
    hurried = threading.Event()
    announcers: list[threading.Thread] = []
    windows: list[Window] = []

    @worker_init.connect(weak=False)
    def keep_own_tasks(**_: Any) -> None:
        from tasks.celery_tasks import drop_foreign_tasks

        drop_foreign_tasks(get_app(), queue)

    @worker_ready.connect(weak=False)
    def announce(sender: Any = None, **_: Any) -> None:
        if announcers:  # the consumer is ready once more after a broken connection
            return
        presence = Presence(
            worker=str(sender.hostname),
            queues=(queue,),
            slots=slots(queue, settings),
            pid=os.getpid(),
            host=socket.gethostname(),
            version=version,
            software=software() if queue != HOME_QUEUE else {},
        )
        models = ModelWatch(settings, leaving) if queue != HOME_QUEUE else None
        gpus = GpuWatch(leaving) if queue == GPU_QUEUE else None
        classifiers = ClassifierWatch(settings, leaving) if queue == GPU_QUEUE else None
        announcing = threading.Thread(
            target=_announce,
            args=(presence, leaving, models, gpus, classifiers),
            daemon=True,
            name="presence",
        )
        announcing.start()
        announcers.append(announcing)
        windows.append(Window(sender, settings))
        windows[0].open()

    @task_received.connect(weak=False)
    def note_queue(sender: Any = None, request: Any = None, **_: Any) -> None:
        route = request.delivery_info or {}
        sender.event_dispatcher.routed(request.id, str(route.get("routing_key", "")))

    @worker_shutting_down.connect(weak=False)
    def stop_taking(how: str = "", **_: Any) -> None:
        leaving.set()  # home is to give us nothing more, while the units in hand go on
        if how == "Cold":
            hurried.set()

    @worker_shutdown.connect(weak=False)
    def leave(**_: Any) -> None:
        leaving.set()
        for window in windows:
            window.close()
        for announcing in announcers:  # or the process would end before it has said that it leaves
            announcing.join(_PRESENCE_SECONDS)

    limits = pool_limits(queue, settings)
    try:
        # Not by `worker_main`: that reads a command line, for which it loads all of Celery's commands and
        # whatever an installed package adds to them, a quarter of a second of processor time.
        get_app().Worker(
            hostname=node,
            queues=list(_broker_queues(queue, node, settings)),
            concurrency=processes(queue, settings),
            pool_cls="prefork",
            loglevel="INFO",
            quiet=True,  # or a banner of lines that no log has the form of
            no_color=True,
            # Peers are found by presence in Redis; these cost start-up time and traffic. A heartbeat that
            # cannot be sent would also hold the main process up until Redis is back, deaf to SIGTERM.
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
            **limits,
        ).start()
    finally:
        if hurried.is_set():
            give_back_units(os.getpid())


def beat_schedule(home: str, settings: Settings) -> dict[str, Any]:
    """What beat sends to the queue of home, and when."""
    from tasks.notify.beat import DailyAt
    from tasks.steady_beat import Every

    tick = {
        "task": TICK_TASK,
        "schedule": Every(settings.tick_seconds),
        "options": {
            "queue": home,
            "priority": FIRST_PRIORITY,
            # A tick that waited for long is worthless: the next one does the same.
            "expires": 5 * settings.tick_seconds,
        },
    }
    schedule = {"tick": tick}
    for name, task, at in (
        ("digest", DIGEST_TASK, settings.digest_at),
        ("reindex", REINDEX_TASK, settings.reindex_at),
    ):
        if at:
            options = {"queue": home, "expires": _DAILY_EXPIRES_SECONDS}
            schedule[name] = {"task": task, "schedule": DailyAt(at), "options": options}
    return schedule


def home_schedule(settings: Settings) -> dict[str, Any]:
    """The schedule of the home in the data directory."""
    return beat_schedule(_home_queue(settings), settings)


def run_beat(settings: Settings) -> None:
    """Send ticks to home every few seconds, and for what is done once a day. Does not return normally."""
    configure("beat", settings)
    _keep_logs_as_they_are()
    app = get_app()
    app.conf.include = ()  # it sends tasks by their names, and need not load what runs them
    app.conf.beat_schedule = home_schedule(settings)
    from tasks.home_beat import OnlyBeat
    from tasks.steady_beat import SteadyScheduler

    only = OnlyBeat(settings)
    only.wait()

    # The schedule needs no memory, so it is not kept in a file that a kill could damage: the ledger knows the
    # day of the last digest, and ticks make up for a time that was missed.
    app.Beat(scheduler_cls=SteadyScheduler, loglevel="WARNING", quiet=True).run()


def _keep_logs_as_they_are() -> None:
    """Celery configures logging unless somebody listens to this signal; its children would do it again."""
    from celery.signals import setup_logging

    setup_logging.connect(_nothing_to_set_up, weak=False)


def _nothing_to_set_up(**_: Any) -> None:
    """`tasks.logs` has done it."""


def _broker_queues(queue: str, node: str, settings: Settings) -> tuple[str, ...]:
    """What a worker takes from: what any worker of its kind may do, and what home has chosen it for."""
    if queue == HOME_QUEUE:
        return (_home_queue(settings),)
    return (queue, worker_queue(queue, node))


def _home_queue(settings: Settings) -> str:
    with Ledger.open(settings) as ledger:
        return home_queue(ledger.home)


def _announce(
    presence: Presence,
    leaving: threading.Event,
    models: ModelWatch | None,
    gpus: GpuWatch | None,
    classifiers: ClassifierWatch | None,
) -> None:
    from redis.exceptions import RedisError

    from tasks.celery_tasks import exchange

    said = SaidOnce(log, "Nobody hears of this worker: ")
    while True:
        seen = models.seen if models else presence
        try:
            problem = _version_problem(exchange(), presence)
            presence = presence.model_copy(
                update={
                    "models": seen.models,
                    "llm_problem": seen.llm_problem,
                    "gpus": gpus.seen if gpus else (),
                    "ocr_device": told(),
                    "image_classifiers": classifiers.seen if classifiers else (),
                    "version_problem": problem,
                    "metrics": served_at(),
                }
            )
            exchange().announce_presence(presence, _PRESENCE_SECONDS)
            note_presence(presence)
        except RedisError as error:
            said.wrong(redis_words(error))
        else:
            said.right()
        if leaving.wait(_ANNOUNCE_SECONDS):
            break
    try:
        exchange().end_presence(presence.worker)
    except RedisError as error:
        log.info("Nobody hears that this worker leaves: %s", redis_words(error))


def _version_problem(exchange: Exchange, presence: Presence) -> str:
    """That a home has another version, said in the log once."""
    found = fit(homes_up(exchange), presence.version) if presence.version else fit({})
    if found.problem and found.problem != presence.version_problem:
        log.warning("%s %s", found.problem, found.remedy)
    return found.problem
