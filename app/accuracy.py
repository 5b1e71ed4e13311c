"""Measuring the offline engine on a folder of files whose truth is known."""

from pathlib import Path

from tasks.accuracy import AccuracyReport, measure_folder
from tasks.documents import DocumentText, PageText
from tasks.engines import reading_engine
from tasks.errors import ConfigError
from tasks.recipes import load_recipe
from tasks.settings import Settings


def measure_offline(
    folder: Path, settings: Settings, recipe_name: str | None, category: str | None
) -> AccuracyReport:
    """Read the folder's files by their text layer, in this process, and compare with its truth.json.

    Raises:
        NotFoundError, FileError: the folder, its truth file or a document cannot be read.
        ConfigError: there is no such recipe or category.
    """
    from tasks.reading import extract

    recipe = load_recipe(recipe_name or settings.recipe, settings.recipes_path)
    if category is not None and category not in recipe.category_names:
        raise ConfigError(
            f"The recipe {recipe.name!r} has no category {category!r}.",
            f"Use one of: {', '.join(recipe.category_names)}.",
        )

    def read(path: Path) -> DocumentText:
        extraction = extract(path, path.name, settings)
        pages = tuple(PageText(number=page.number, text=page.text) for page in extraction.pages)
        return DocumentText(name=path.name, pages=pages, title=extraction.title)

    return measure_folder(folder, read, reading_engine("offline"), recipe, category)
