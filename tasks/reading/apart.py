"""The same as in `files` and `rendering`, each file and each page in a process of its own that may die.

What stops such a process becomes a `LimitError` that names the file, the limit and the remedy.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache, partial
from importlib import import_module
from pathlib import Path

from tasks.documents import Extraction
from tasks.errors import LimitError
from tasks.image_classifiers import InputForm
from tasks.reading import rendering
from tasks.reading.cleaning import shown
from tasks.reading.confined import CrashedError, Limits, OutOfMemoryError, OutOfTimeError, confined
from tasks.reading.files import extract as read_here
from tasks.settings import Settings

_LIBRARIES = ("kreuzberg", "numpy", "pillow_heif", "PIL.Image", "pypdfium2")
"""Loaded here once, used only in the processes made from this one: each would take 150 ms to load them."""
_SAVE_AS_PDF = "Open it, print it to a new PDF and add that"


def extract(path: Path, name: str, settings: Settings) -> Extraction:
    """As `tasks.reading.files.extract`, within `extract_seconds` and `extract_megabytes`.

    Raises:
        LimitError: it took more, or crashed.
        FileError, NotFoundError: as there.
    """
    read = _apart(
        lambda: read_here(path, name, settings).model_dump_json().encode(),
        f"Reading {shown(name)}",
        "extract_seconds",
        settings,
    )
    return Extraction.model_validate_json(read)


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
    return _apart(work, f"Drawing page {number}", "draw_seconds", settings)


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
