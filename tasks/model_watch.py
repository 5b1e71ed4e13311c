"""A worker's eye on its model server: which models it has, or why it cannot be asked."""

import logging
import threading

from tasks.documents import Value
from tasks.engines.llm.base import ChatClient, LlmError, ModelInfo
from tasks.errors import ShoeboxError
from tasks.settings import Settings

log = logging.getLogger("shoebox.worker")

_SECONDS = 5.0
_AGAIN_SECONDS = 2.0
"""While it does not answer: documents wait for it."""


class Seen(Value):
    """What was seen last."""

    models: tuple[ModelInfo, ...] = ()
    llm_problem: str = "The model server has not been asked yet."


class ModelWatch:
    """Asks the server every few seconds, from a thread of its own, because it may be slow to answer."""

    def __init__(self, settings: Settings, leaving: threading.Event) -> None:
        self.seen = Seen(llm_problem="The settings name the offline engine.")
        self._settings = settings
        self._leaving = leaving
        if settings.engine != "offline":
            self.seen = Seen()
            threading.Thread(target=self._watch, daemon=True, name="models").start()

    def _watch(self) -> None:
        from tasks.stages.reading import make_client

        try:
            client = make_client(self._settings)
        except ShoeboxError as error:
            self.seen = Seen(llm_problem=str(error))
            return
        while not self._leaving.is_set():
            self.seen = _look(client)
            self._leaving.wait(_AGAIN_SECONDS if self.seen.llm_problem else _SECONDS)
        client.close()


def _look(client: ChatClient) -> Seen:
    """What the server has now. Whatever it answers, the watch goes on: home would believe what was last."""
    try:
        return Seen(models=client.models(), llm_problem="")
    except LlmError as error:
        return Seen(llm_problem=f"{error.message} {error.remedy}".strip())
    except Exception as error:
        log.exception("looking at the model server failed")
        return Seen(llm_problem=f"Looking at the model server failed ({type(error).__name__}).")
