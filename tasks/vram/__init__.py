"""The lease on a GPU's memory, between OCR and language models; see docs/vram.md.

Imports nothing heavy. Use it in the child of a worker only.
"""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.vram.lease import VramLease
from tasks.vram.needs import Needs
from tasks.vram.share import Share

if TYPE_CHECKING:
    from tasks.engines.llm.base import ChatClient
    from tasks.vram.share import ModelServer

__all__ = ["VramLease", "server_of", "vram_lease"]


@lru_cache(maxsize=1)
def vram_lease(data_dir: Path) -> VramLease:
    """The lease of this process; what models took is kept in `data_dir`."""
    return VramLease(Share(Needs(data_dir / "vram.json")))


def server_of(client: "ChatClient") -> "ModelServer | None":
    """The memory of a client's server; None for one that cannot be asked to unload anything."""
    from tasks.engines.llm.ollama_client import OllamaClient

    return client.memory if isinstance(client, OllamaClient) else None
