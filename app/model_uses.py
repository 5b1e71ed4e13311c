"""Which language models the settings and the recipes name, and what each is for."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tasks.documents import Stage
from tasks.errors import ConfigError
from tasks.recipes import Recipe, list_recipes, load_recipe
from tasks.routing import same_model
from tasks.settings import Settings

_SHOWN_CATEGORIES = 3


@dataclass(frozen=True, slots=True)
class ModelUse:
    """One thing that a model is for."""

    model: str
    stage: Stage
    recipe: str = ""
    """Empty: whatever recipe names no model."""
    categories: tuple[str, ...] = ()
    """Those of the recipe that it is for; empty: all that name none of their own."""

    @property
    def where(self) -> str:
        """The recipe and its categories, in words; empty for all."""
        shown = self.categories[:_SHOWN_CATEGORIES]
        more = len(self.categories) - len(shown)
        named = ", ".join(shown) + (f" and {more} more" if more else "")
        return f"{self.recipe}: {named}" if named else self.recipe

    @property
    def words(self) -> str:
        """Such as `analyse (mine: invoice)`."""
        return f"{self.stage.value} ({self.where})" if self.where else self.stage.value


@dataclass(frozen=True, slots=True)
class ModelUses:
    """What all models are for."""

    uses: tuple[ModelUse, ...]
    """Those of the settings first."""
    problems: tuple[ConfigError, ...] = ()
    """The recipes that cannot be read."""

    @property
    def models(self) -> tuple[str, ...]:
        """Each model once, those of the settings first."""
        names: list[str] = []
        for use in self.uses:
            if not any(same_model(use.model, name) for name in names):
                names.append(use.model)
        return tuple(names)

    def of(self, model: str) -> tuple[ModelUse, ...]:
        """What a model is for."""
        return tuple(use for use in self.uses if same_model(use.model, model))


def model_uses(settings: Settings) -> ModelUses:
    """What the settings and all recipes name. A recipe that cannot be read is told of and left out.

    Recipes that have not changed are not read again, so this may be asked every second.
    """
    uses = [
        ModelUse(settings.small_model, Stage.CLASSIFY),
        ModelUse(settings.large_model, Stage.ANALYSE),
    ]
    problems = []
    for name in list_recipes(settings.recipes_path):
        recipe = _recipe(name, settings)
        if isinstance(recipe, ConfigError):
            problems.append(recipe)
        else:
            uses += _uses_of(recipe)
    return ModelUses(tuple(uses), tuple(problems))


def default_recipe(settings: Settings) -> Recipe | None:
    """The recipe that the settings name; None if it cannot be read."""
    recipe = _recipe(settings.recipe, settings)
    return None if isinstance(recipe, ConfigError) else recipe


def _uses_of(recipe: Recipe) -> Iterator[ModelUse]:
    if recipe.models.classify:
        yield ModelUse(recipe.models.classify, Stage.CLASSIFY, recipe.name)
    if recipe.models.analyse:
        yield ModelUse(recipe.models.analyse, Stage.ANALYSE, recipe.name)
    by_model: dict[str, list[str]] = {}
    for category in recipe.categories:
        if category.model:
            by_model.setdefault(category.model, []).append(category.name)
    for model, categories in by_model.items():
        yield ModelUse(model, Stage.ANALYSE, recipe.name, tuple(categories))


def _recipe(name: str, settings: Settings) -> Recipe | ConfigError:
    folder = settings.recipes_path
    try:
        stat = (folder / f"{name}.toml").stat()
    except (OSError, ValueError):  # the packaged one, or one that is not there
        return _read(name, folder, 0, 0)
    return _read(name, folder, stat.st_ctime_ns, stat.st_size)  # ctime: also when it becomes readable


@lru_cache(maxsize=64)
def _read(name: str, folder: Path, _ctime_ns: int, _size: int) -> Recipe | ConfigError:
    try:
        return load_recipe(name, folder)
    except ConfigError as error:
        return error
