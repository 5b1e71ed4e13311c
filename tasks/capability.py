"""Which workers may be given what, by what they have announced."""

from collections.abc import Iterable

from tasks.engines import OFFLINE
from tasks.image_classifiers import is_look_model
from tasks.orders import Presence
from tasks.planning import PADDLEOCR
from tasks.queues import worker_queue
from tasks.routing import same_model
from tasks.version import VERSION

LOADS_NOTHING = frozenset({OFFLINE})
"""Units of these need no model, so they change nothing of what a worker has loaded."""
_ANYWHERE = LOADS_NOTHING | {PADDLEOCR}


def is_usable(presence: Presence) -> bool:
    """Whether a worker is of our version. One of another may read orders in another way."""
    return presence.version in {"", VERSION}


def usable(presences: Iterable[Presence]) -> list[Presence]:
    """Those that may be given work."""
    return [presence for presence in presences if is_usable(presence)]


def runnable(presence: Presence) -> frozenset[str]:
    """The models that a worker can run, in each spelling that a unit may have: see `routing.same_model`."""
    bare = {info.name.removesuffix(":latest") for info in presence.models}
    return _ANYWHERE | light(presence) | bare | {f"{name}:latest" for name in bare}


def light(presence: Presence) -> frozenset[str]:
    """What it can run at any time: image classifiers are small and stay loaded beside other models."""
    return LOADS_NOTHING | {one.model for one in presence.image_classifiers}


def is_light(model: str) -> bool:
    """Whether a unit for this model leaves what a worker has loaded as it is."""
    return model in LOADS_NOTHING or is_look_model(model)


def worker_with(presences: Iterable[Presence], queue: str, model: str) -> str:
    """A worker of the queue that has the model, if possible loaded; empty if there is none."""
    fitting = [one for one in usable(presences) if queue in one.queues and model in runnable(one)]
    fitting.sort(key=lambda one: not any(same_model(info.name, model) and info.loaded for info in one.models))
    return fitting[0].worker if fitting else ""


def queue_with(presences: Iterable[Presence], queue: str, model: str) -> str:
    """The broker's queue of such a worker; where there is none, that of all workers of the kind."""
    worker = worker_with(presences, queue, model)
    return worker_queue(queue, worker) if worker else queue
