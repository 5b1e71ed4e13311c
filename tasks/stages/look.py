"""Stage look: pages are drawn small at home, and an image classifier of a worker looks at them."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.image_classifiers import ClassifierError, Sidecar, find_classifier
from tasks.looks import Look, LookParams, PageLook
from tasks.orders import Order
from tasks.settings import Settings
from tasks.stages.extract import spooled

if TYPE_CHECKING:
    from tasks.engines.torchscript import TorchClassifier


def draw(order: Order, settings: Settings) -> list[bytes]:
    """The pages of a look as PNG of the size that the classifier takes.

    Raises:
        FileError: the file is gone, or a page cannot be drawn.
    """
    from tasks.reading.apart import fitted

    params = LookParams.model_validate(order.params)
    path = spooled(order, params.sha256, settings)
    return [
        fitted(path, params.mime, page.number, page.rotation, params.form, settings) for page in params.pages
    ]


def look_at(order: Order, images: list[bytes], settings: Settings) -> Look:
    """What the classifier says about the pages: one forward pass for all of them where it takes so many.

    Raises:
        ClassifierError: this machine has not got the classifier, or not the same.
        LookError: it cannot be loaded, or its output is no answer.
        FileError: an image arrived damaged.
    """
    from tasks.reading import decode

    params = LookParams.model_validate(order.params)
    classifier = _classifier(params, settings)
    found = classifier.predict([decode(image) for image in images])
    pages = tuple(
        PageLook(page=page.number, probabilities=tuple(row))
        for page, row in zip(params.pages, found, strict=True)
    )
    return Look(labels=classifier.labels, pages=pages, device=classifier.device)


def _classifier(params: LookParams, settings: Settings) -> "TorchClassifier":
    """The classifier that was asked for: exactly that one, or results would be kept under a wrong name."""
    here = find_classifier(params.classifier, settings)
    if here.announced.digest == params.digest:
        loaded = _loaded(here.path, here.sidecar, params.digest)
        # It may have been replaced while it was being loaded.
        if find_classifier(params.classifier, settings).announced.digest == params.digest:
            return loaded
    raise ClassifierError(
        f"The image classifier {params.classifier!r} of this worker is not the one that was asked for.",
        "It was changed meanwhile; `./run.sh retry` asks the new one.",
    )


@lru_cache(maxsize=2)
def _loaded(path: Path, sidecar: Sidecar, digest: str) -> "TorchClassifier":  # noqa: ARG001 - part of the key
    """Loaded once a process, in the worker's child, and again when the file has changed."""
    from tasks.engines.torchscript import TorchClassifier

    return TorchClassifier(path, sidecar)
