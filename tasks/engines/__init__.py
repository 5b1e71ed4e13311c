"""Engines: what reads text and what reads images, each behind the interface in `base`."""

from typing import TYPE_CHECKING

from tasks.errors import ConfigError

if TYPE_CHECKING:
    from tasks.engines.base import ReadingEngine


def reading_engine(name: str) -> "ReadingEngine":
    """The engine of this name.

    Raises:
        ConfigError: there is none.
    """
    if name == "offline":
        from tasks.engines.offline import OfflineEngine

        return OfflineEngine()
    raise ConfigError(f"There is no reading engine {name!r}.", "Use: offline.")
