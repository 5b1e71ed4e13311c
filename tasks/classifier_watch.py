"""A worker's eye on its folder of image classifiers."""

import logging
import threading

from tasks.image_classifiers import ImageClassifier, usable_classifiers
from tasks.settings import Settings

_SECONDS = 5.0

log = logging.getLogger("shoebox.worker")


class ClassifierWatch:
    """Looks every few seconds, from a thread of its own: a file that changed is read from end to end."""

    def __init__(self, settings: Settings, leaving: threading.Event) -> None:
        self.seen: tuple[ImageClassifier, ...] = ()
        self._settings = settings
        self._leaving = leaving
        threading.Thread(target=self._watch, daemon=True, name="image classifiers").start()

    def _watch(self) -> None:
        while not self._leaving.is_set():
            try:
                self.seen = usable_classifiers(self._settings)
            except OSError as error:
                log.warning("The image classifiers cannot be looked at: %s", error)
            self._leaving.wait(_SECONDS)
