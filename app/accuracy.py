"""Measuring the offline engine on a folder of files whose truth is known."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.accuracy import AccuracyReport, measure_folder
from tasks.documents import DocumentText, PageText
from tasks.engines import reading_engine
from tasks.errors import ConfigError
from tasks.reading.kinds import Kind
from tasks.recipes import load_recipe
from tasks.settings import Settings

if TYPE_CHECKING:
    from tasks.engines.base import OcrEngine

SCAN_DPI = 200
TEXT_LAYER, SCANS = "text layer", f"scans, {SCAN_DPI} dpi"


def measure_offline(
    folder: Path, settings: Settings, recipe_name: str | None, category: str | None, *, scans: bool = False
) -> Iterator[AccuracyReport]:
    """Read the folder's files in this process and compare with its truth.json: by their text layer; with
    `scans` once more as if they were scans, every page rendered and read by OCR.

    Verified values are also looked for in what kreuzberg finds in the file, which is not what reads PDF here.

    Raises:
        NotFoundError, FileError: the folder, its truth file or a document cannot be read.
        ConfigError: there is no such recipe or category.
    """
    recipe = load_recipe(recipe_name or settings.recipe, settings.recipes_path)
    if category is not None and category not in recipe.category_names:
        raise ConfigError(
            f"The recipe {recipe.name!r} has no category {category!r}.",
            f"Use one of: {', '.join(recipe.category_names)}.",
        )
    readers: dict[str, Callable[[Path], DocumentText]] = {TEXT_LAYER: _TextReader(settings)}
    if scans:
        readers[SCANS] = _ScanReader(settings)
    for pages, read in readers.items():
        report = measure_folder(folder, read, reading_engine("offline"), recipe, category, _by_kreuzberg)
        yield report.model_copy(update={"pages": pages})


class _TextReader:
    """Reads files as the extract stage does."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __call__(self, path: Path) -> DocumentText:
        from tasks.reading import extract

        extraction = extract(path, path.name, self._settings)
        pages = tuple(PageText(number=page.number, text=page.text) for page in extraction.pages)
        return DocumentText(name=path.name, pages=pages, title=extraction.title)


class _ScanReader:
    """Renders every page of a file and reads it by OCR, whatever text it has."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings.model_copy(update={"render_dpi": SCAN_DPI})
        self._engine: OcrEngine | None = None

    def __call__(self, path: Path) -> DocumentText:
        from tasks.engines.paddle import PaddleEngine
        from tasks.reading import decode, extract, render

        self._engine = self._engine or PaddleEngine(
            self._settings.models_dir, threads=self._settings.ocr_threads
        )
        extraction = extract(path, path.name, self._settings)
        images = (
            (page.number, render(path, extraction.mime, page.number, self._settings))
            for page in extraction.pages
        )
        pages = tuple(
            PageText(number=number, text=self._engine.read(decode(image), number).text)
            for number, image in images
        )
        return DocumentText(name=path.name, pages=pages)


def _by_kreuzberg(path: Path) -> dict[int, str]:
    """The text of a PDF by page, as kreuzberg reads it; empty for files that it reads here anyway."""
    from tasks.reading.office import read_with_kreuzberg

    if path.suffix.lower() != ".pdf":
        return {}
    pages = read_with_kreuzberg(path, path.name, Kind.PDF).pages or []
    return {int(page["page_number"]): str(page["content"]) for page in pages}
