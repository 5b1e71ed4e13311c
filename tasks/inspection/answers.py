"""What a worker answers Celery's tools. Only what is listed is answered, and nothing of it changes a thing.

Celery's own answers are not used where they tell too much: they hold the arguments of tasks and, with a unix
socket, the password of Redis (`stats` only takes out one that stands in a field of its own; see
celery/worker/consumer/connection.py). `hello`, a question by its name, revokes the tasks that it is sent.
"""

import platform
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tasks.inspection.shown import shown

_ORDERS_ARE_OFF = "Shoebox's workers take no orders from Celery's tools, only questions; see docs/flower.md."
_NO_NEED = "There is no need to: task events are sent while somebody listens."
_MOST_IDS = 100
_STATS = ("total", "pid", "clock", "uptime", "pool", "prefetch_count", "rusage")
# fmt: off
_SETTINGS = (
    "accept_content", "broker_connection_max_retries", "broker_connection_retry_on_startup", "include",
    "result_backend", "task_acks_late", "task_default_priority", "task_default_queue", "task_ignore_result",
    "task_reject_on_worker_lost", "task_serializer", "timezone", "worker_consumer",
    "worker_enable_prefetch_count_reduction", "worker_enable_remote_control", "worker_prefetch_multiplier",
    "worker_proc_alive_timeout", "worker_cancel_long_running_tasks_on_connection_loss",
)
# fmt: on
"""Of Celery. None of them is secret."""
_TRIES = 5


@dataclass(frozen=True)
class Asked:
    """A worker, as Celery's consumer knows it."""

    consumer: Any

    @property
    def app(self) -> Any:
        """The Celery application."""
        return self.consumer.app


Answer = Callable[[Asked, Mapping[str, Any]], Any]


def answer(worker: Asked, question: str, arguments: Mapping[str, Any]) -> Any:
    """The answer to a question, as JSON values; for everything else an error in words."""
    found = ANSWERS.get(question)
    return found(worker, arguments) if found else {"error": _ORDERS_ARE_OFF}


def _ping(_: Asked, __: Mapping[str, Any]) -> Any:
    return {"ok": "pong"}


def _clock(worker: Asked, _: Mapping[str, Any]) -> Any:
    return {"clock": worker.app.clock.value}


def _active(_: Asked, __: Mapping[str, Any]) -> Any:
    from celery.worker import state

    return [_told(request) for request in _copied(state.active_requests)]


def _reserved(_: Asked, __: Mapping[str, Any]) -> Any:
    from celery.worker import state

    running = _copied(state.active_requests)
    return [_told(request) for request in _copied(state.reserved_requests) - running]


def _scheduled(_: Asked, __: Mapping[str, Any]) -> Any:
    from celery.worker import state

    waiting = _copied(state.scheduled_requests)
    return [
        {"eta": one.eta.isoformat() if one.eta else None, "priority": 0, "request": _told(one)}
        for one in waiting
    ]


def _query_task(worker: Asked, arguments: Mapping[str, Any]) -> Any:
    asked = arguments.get("ids", ())
    ids = {asked} if isinstance(asked, str) else set(list(asked)[:_MOST_IDS])
    states = {"active": _active(worker, {}), "reserved": _reserved(worker, {})}
    return {
        task["id"]: [state, task] for state, tasks in states.items() for task in tasks if task["id"] in ids
    }


def _revoked(_: Asked, __: Mapping[str, Any]) -> Any:
    from celery.worker import state

    return list(state.revoked)


def _registered(worker: Asked, _: Mapping[str, Any]) -> Any:
    return sorted(name for name in list(worker.app.tasks) if not name.startswith("celery."))


def _active_queues(worker: Asked, _: Mapping[str, Any]) -> Any:
    consuming = worker.consumer.task_consumer
    return [queue.as_dict(recurse=True) for queue in list(consuming.queues)] if consuming else []


def _stats(worker: Asked, _: Mapping[str, Any]) -> Any:
    found = worker.consumer.controller.stats()
    return {name: found[name] for name in _STATS if name in found} | {"broker": {"transport": "redis"}}


def _conf(worker: Asked, _: Mapping[str, Any]) -> Any:
    settings = worker.app.conf
    return {name: settings.get(name) for name in _SETTINGS}


def _report(_: Asked, __: Mapping[str, Any]) -> Any:
    from tasks.software import software
    from tasks.version import VERSION

    found = {"shoebox": VERSION, "system": f"{platform.system()} {platform.machine()}", **software()}
    return {"ok": ", ".join(f"{name} {version}" for name, version in found.items())}


def _no_need(_: Asked, __: Mapping[str, Any]) -> Any:
    return {"ok": _NO_NEED}


ANSWERS: Mapping[str, Answer] = {
    "ping": _ping,
    "clock": _clock,
    "active": _active,
    "reserved": _reserved,
    "scheduled": _scheduled,
    "query_task": _query_task,
    "revoked": _revoked,
    "registered": _registered,
    "active_queues": _active_queues,
    "stats": _stats,
    "conf": _conf,
    "report": _report,
    "enable_events": _no_need,
    "disable_events": _no_need,
    "heartbeat": _no_need,
}
"""By Celery's names."""


def _told(request: Any) -> dict[str, Any]:
    """What is told of a task: as Celery does it, but of its arguments the ids only."""
    told: dict[str, Any] = request.info(safe=True)
    route = told.get("delivery_info") or {}
    return told | {
        "args": [],
        "kwargs": shown(request.kwargs),
        "delivery_info": {name: route.get(name) for name in ("routing_key", "priority", "redelivered")},
    }


def _copied(requests: Iterable[Any]) -> set[Any]:
    """The requests in a set that the worker's main thread may be changing."""
    for _ in range(_TRIES):
        try:
            return set(requests)
        except RuntimeError:  # it was changed meanwhile
            continue
    return set()
