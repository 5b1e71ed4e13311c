"""Which calls to a language model had to wait until it was loaded."""

from collections.abc import Sequence

from tasks.engines.llm.base import CallTrace
from tasks.orders import Swap

LOAD_SECONDS = 0.2
"""A shorter "load" is none: Ollama 0.32 named up to 6 ms for a model that is in memory, and took 0.25 s to
load one of a megabyte from a warm disk."""
_COLD_SECONDS = 0.05
"""The same for a model that was not listed as loaded. It may have been all the same: names that share a file
share what is loaded, and only one of them is listed."""


def loads(
    calls: Sequence[CallTrace],
    model: str,
    *,
    cold: bool = False,
    unloaded: tuple[str, ...] = (),
    seconds: float = 0.0,
) -> tuple[Swap, ...]:
    """The loads of a model that its calls tell of.

    Args:
        cold: it was not listed as loaded before the first call.
        unloaded: what made room for the first load, which took another `seconds`.
    """
    found: list[Swap] = []
    for call in calls:
        least = _COLD_SECONDS if cold and not found else LOAD_SECONDS
        if call.model == model and call.load_seconds >= least:
            found.append(Swap(loaded=model, seconds=round(call.load_seconds, 3)))
    if found and (unloaded or seconds):
        first = found[0]
        took = round(first.seconds + seconds, 3)
        found[0] = first.model_copy(update={"unloaded": unloaded, "seconds": took})
    return tuple(found)
