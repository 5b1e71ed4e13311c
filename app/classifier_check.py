"""The doctor's look at image classifiers: which are here, whether torch is, and what recipes ask for."""

from importlib.metadata import version
from typing import TYPE_CHECKING

from tasks.errors import ConfigError
from tasks.image_classifiers import (
    ClassifierError,
    Installed,
    classifiers_dir,
    find_classifier,
    has_torch,
    list_classifiers,
)
from tasks.ledger import Ledger
from tasks.look_planning import known_classifiers
from tasks.recipes import Recipe, list_recipes, load_recipe
from tasks.settings import Settings

if TYPE_CHECKING:
    from app.doctor import Check

_NAME = "image classifiers"
_PAGE = "docs/image-classifier.md says how to put one there."


def check_image_classifiers(settings: Settings) -> "Check":
    """Those of this machine can be used; those that recipes name are here, or must be on another machine."""
    from app.doctor import Check, Verdict

    found, problems = _here(settings)
    wanted = {recipe.name: recipe for recipe in _recipes(settings) if recipe.image_classifier}
    if not found and not problems and not wanted:
        return Check(_NAME, Verdict.OK, "none; no recipe names one")
    torch = f"torch {version('torch')}" if has_torch() else "torch is not installed"
    notes = [note for recipe in wanted.values() for note in _notes(recipe, found)]
    words = "; ".join([torch, *(_words(one) for one in found.values()), *notes, *problems])
    if problems:
        return Check(_NAME, Verdict.WARN, words, "Correct what it names; documents are read without it.")
    if found and not has_torch():
        return Check(_NAME, Verdict.WARN, words, "Install torch, or move them to a machine that has it.")
    there = {*found, *_elsewhere(settings)}
    if missing := [name for name, recipe in wanted.items() if not _is_among(recipe, there)]:
        where = classifiers_dir(settings)
        remedy = (
            f"If no other worker has it, documents of {', '.join(missing)} are read without. {where}: {_PAGE}"
        )
        return Check(_NAME, Verdict.WARN, words, remedy)
    return Check(_NAME, Verdict.OK, words)


def _here(settings: Settings) -> tuple[dict[str, Installed], list[str]]:
    """The classifiers on this machine, and what is wrong with those that cannot be used."""
    found: dict[str, Installed] = {}
    problems = []
    for name in list_classifiers(settings):
        try:
            found[name] = find_classifier(name, settings)
        except ClassifierError as error:
            problems.append(error.message)
    return found, problems


def _recipes(settings: Settings) -> list[Recipe]:
    recipes = []
    for name in list_recipes(settings.recipes_path):
        try:
            recipes.append(load_recipe(name, settings.recipes_path))
        except ConfigError:  # another check says what is wrong with it
            continue
    return recipes


def _words(one: Installed) -> str:
    form = one.sidecar.form
    return f"{one.announced.name} ({len(one.sidecar.labels)} labels, {form.width} x {form.height})"


def _elsewhere(settings: Settings) -> set[str]:
    """Those that workers have announced to this home."""
    if not settings.ledger_path.exists():
        return set()
    with Ledger.open(settings) as ledger:
        return {one.name for one in known_classifiers(ledger)}


def _is_among(recipe: Recipe, there: set[str]) -> bool:
    return recipe.image_classifier is not None and recipe.image_classifier.model in there


def _notes(recipe: Recipe, found: dict[str, Installed]) -> list[str]:
    """What a recipe asks for that is not here, and labels that mean none of its categories."""
    use = recipe.image_classifier
    if use is None:
        return []
    if use.model not in found:
        return [f"recipe {recipe.name} names {use.model!r}, which is not on this machine"]
    known = found[use.model].sidecar.labels
    meant = {label.name for label in use.labels}
    notes = []
    if nothing := [one for one in known if one not in meant and one not in recipe.category_names]:
        notes.append(f"in recipe {recipe.name} {_list(nothing)} of {use.model!r} mean no category")
    if strange := sorted(meant - set(known)):
        notes.append(f"recipe {recipe.name} has labels that {use.model!r} has not: {_list(strange)}")
    return notes


def _list(labels: list[str]) -> str:
    more = f" and {len(labels) - 5} more" if len(labels) > 5 else ""
    return ", ".join(repr(label) for label in labels[:5]) + more
