"""Engines: what reads text and what reads images, each behind the interface in `base`."""

from typing import TYPE_CHECKING

from tasks.errors import ConfigError
from tasks.settings import Settings

if TYPE_CHECKING:
    from tasks.engines.base import ReadingEngine

OFFLINE = "offline"
"""The name of the engine that needs no model."""


def reading_engine(name: str) -> "ReadingEngine":
    """The engine of this name that needs no model.

    Raises:
        ConfigError: there is none.
    """
    if name == OFFLINE:
        from tasks.engines.offline import OfflineEngine

        return OfflineEngine()
    raise ConfigError(f"There is no reading engine {name!r}.", "Use: offline.")


def llm_engine_name(settings: Settings) -> str:
    """Which kind of model server is used."""
    return "openai" if settings.engine == "openai" else "ollama"
