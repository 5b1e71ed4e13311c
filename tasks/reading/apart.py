"""The same as in `files` and `rendering`, each file and each page in a process of its own that may die.

What stops such a process becomes a `LimitError` that names the file, the limit and the remedy.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache, partial
from importlib import import_module
from pathlib import Path

from tasks.documents import Extraction
from tasks.errors import LimitError
from tasks.image_classifiers import InputForm
from tasks.reading import DRAWING, rendering
from tasks.reading.cleaning import shown
from tasks.reading.confined import CrashedError, Limits, OutOfMemoryError, OutOfTimeError, confined
from tasks.reading.files import extract as read_here
from tasks.reading.files import is_mail, read_without_attachments
from tasks.settings import Settings

log = logging.getLogger("shoebox.reading")

_LIBRARIES = ("kreuzberg", "numpy", "pillow_heif", "PIL.Image", "pypdfium2")
"""Loaded here once, used only in the processes made from this one: each would take 150 ms to load them."""
_SAVE_AS_PDF = "Open it, print it to a new PDF and add that"


def extract(path: Path, name: str, settings: Settings) -> Extraction:
    """As `tasks.reading.files.extract`, within `extract_seconds` and `extract_megabytes`.

    A mail whose attachments take more is read without them, and says so.

    Raises:
        LimitError: it took more, or crashed.
        FileError, NotFoundError: as there.
    """
    try:
        return _read(partial(read_here, path, name, settings), name, settings)
    except LimitError as error:
        if not _is_mail(path, name, settings):
            raise
        log.warning("%s: its attachments are left out: %s", shown(name), error)
        why = str(error)
    return _read(partial(read_without_attachments, path, name, why), name, settings)


def _is_mail(path: Path, name: str, settings: Settings) -> bool:
    """Apart as well: to tell what a ZIP is, its directory is read, which may be what took too much."""
    with suppress(LimitError):
        return bool(_apart(lambda: b"yes" if is_mail(path, name) else b"", "", "extract_seconds", settings))
    return False


def _read(work: Callable[[], Extraction], name: str, settings: Settings) -> Extraction:
    def as_json() -> bytes:
        return work().model_dump_json().encode()

    return Extraction.model_validate_json(
        _apart(as_json, f"Reading {shown(name)}", "extract_seconds", settings)
    )


def render(path: Path, mime: str, number: int, settings: Settings) -> bytes:
    """As `tasks.reading.rendering.render`, within `draw_seconds` and `extract_megabytes`.

    Raises:
        LimitError: it took more, or crashed.
        FileError: as there.
    """
    return _drawn(partial(rendering.render, path, mime, number, settings), number, settings)


def picture(path: Path, mime: str, number: int, rotation: int, settings: Settings) -> bytes:
    """As `tasks.reading.rendering.picture`, within the same limits as `render`."""
    return _drawn(partial(rendering.picture, path, mime, number, rotation, settings), number, settings)


def fitted(path: Path, mime: str, number: int, rotation: int, form: InputForm, settings: Settings) -> bytes:
    """As `tasks.reading.rendering.fitted`, within the same limits as `render`."""
    return _drawn(partial(rendering.fitted, path, mime, number, rotation, form, settings), number, settings)


def _drawn(work: Callable[[], bytes], number: int, settings: Settings) -> bytes:
    return _apart(work, f"{DRAWING}{number}", "draw_seconds", settings)


def _apart(work: Callable[[], bytes], what: str, time_setting: str, settings: Settings) -> bytes:
    """`what` begins the sentence that says why it was stopped; `time_setting` limits its seconds."""
    _load_libraries()
    seconds: float = getattr(settings, time_setting)
    limits = Limits(seconds, settings.extract_megabytes, settings.max_file_bytes)
    try:
        return confined(work, limits, settings)
    except OutOfMemoryError as error:
        raise LimitError(
            f"{what} takes more than {settings.extract_megabytes:,} MB of memory.",
            f"{_SAVE_AS_PDF}, split it, or raise the setting extract_megabytes.",
            "limit",
        ) from error
    except OutOfTimeError as error:
        raise LimitError(
            f"{what} took longer than {seconds:g} seconds.",
            f"{_SAVE_AS_PDF}, split it, or raise the setting {time_setting}.",
            "limit",
        ) from error
    except CrashedError as error:
        raise LimitError(
            f"{what} crashed the program that read it ({error}).", f"{_SAVE_AS_PDF}.", "died"
        ) from error


@lru_cache(maxsize=1)
def _load_libraries() -> None:
    for library in _LIBRARIES:
        with suppress(ImportError):  # who needs it will say so
            import_module(library)
