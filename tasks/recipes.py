"""Recipes: which categories there are, what speaks for each, and which fields each one has.

A recipe is a TOML file that a user can write (docs/recipes.md). The packaged one is called `builtin`.
The same recipe drives the offline engine (evidence and labels) and the schema an LLM is held to
(names and descriptions), so its sizes are limited.
"""

import hashlib
import re
import tomllib
from functools import cached_property, lru_cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator

from tasks.check_digits import NumberKind
from tasks.documents import Stage, Value
from tasks.errors import ConfigError
from tasks.model_names import ModelName
from tasks.recipe_images import ImageClassifierUse, listed_labels
from tasks.recipe_lines import line_of

BUILTIN = "builtin"
OTHER = "other"
"""The category of what fits no other; every recipe has it."""
MAIL_HEADERS = "@mail-headers"
"""As an evidence word: the text begins with the headers of a mail."""

_MAX_BYTES = 256 * 1024
_NAME = r"[a-z][a-z0-9_]{0,39}"

Name = Annotated[str, StringConstraints(pattern=f"^{_NAME}$")]
Describe = Annotated[str, StringConstraints(min_length=1, max_length=400, strip_whitespace=True)]
Phrase = Annotated[str, StringConstraints(min_length=1, max_length=60, strip_whitespace=True)]

FieldType = Literal["text", "date", "amount", "currency", "identifier", "party"]
Role = Literal["party", "date", "amount", "currency", "number", "due", "net", "tax"]
COLUMN_ROLES: tuple[Role, ...] = ("party", "date", "amount", "currency")
"""Roles of fields that have a column of their own in the table."""

_REASONS = {  # by pydantic's error type, where its words are about Python rather than TOML
    "tuple_type": "must be a table or a list",
    "model_type": "must be a table",
    "extra_forbidden": "is not a key of a recipe",
    "missing": "is missing",
}

_TYPES_OF_ROLE: dict[Role, tuple[FieldType, ...]] = {
    "party": ("party", "text"),
    "date": ("date",),
    "amount": ("amount",),
    "currency": ("currency",),
    "number": ("identifier", "text"),
    "due": ("date",),
    "net": ("amount",),
    "tax": ("amount",),
}


class RecipeError(ConfigError):
    """A recipe is missing or wrong; the message names file, line and field."""


class FieldSpec(Value):
    """One value that documents of a category have."""

    name: Name
    type: FieldType
    describe: Describe
    role: Role | None = None
    """What the field is to the table and to checks. At most one field of a category has a given role."""
    check: NumberKind | None = None
    """What kind of number it is, if its check digits are to be checked."""
    labels: tuple[Phrase, ...] = Field(default=(), max_length=80)
    """Words that stand beside the value in documents, the best first; ` … ` stands for anything between."""

    @model_validator(mode="after")
    def _role_fits_type(self) -> Self:
        if self.role and self.type not in _TYPES_OF_ROLE[self.role]:
            allowed = " or ".join(_TYPES_OF_ROLE[self.role])
            raise ValueError(f"role {self.role!r} needs type {allowed}, not {self.type!r}")
        return self

    @model_validator(mode="after")
    def _check_fits_type(self) -> Self:
        if self.check and self.type not in {"identifier", "text"}:
            raise ValueError(f"check {self.check!r} needs type identifier or text, not {self.type!r}")
        return self


class Evidence(Value):
    """A word or phrase that speaks for a category. A leading `*` matches any beginning (`*rechnung`)."""

    word: Phrase
    weight: float = Field(gt=0, le=10)


class Category(Value):
    """A kind of document."""

    name: Name
    describe: Describe
    fields: tuple[FieldSpec, ...] = Field(default=(), max_length=40)
    evidence: tuple[Evidence, ...] = Field(default=(), max_length=200)
    model: ModelName | None = None
    """The language model that analyses its documents; None: the recipe's."""

    @model_validator(mode="after")
    def _roles_are_unique(self) -> Self:
        roles = [field.role for field in self.fields if field.role]
        for role in roles:
            if roles.count(role) > 1:
                raise ValueError(f"more than one field has the role {role!r}")
        return self

    def field_with_role(self, role: Role) -> FieldSpec | None:
        """The field with this role, if the category has one."""
        return next((field for field in self.fields if field.role == role), None)


class RecipeModels(Value):
    """The language models of a recipe, by stage; None: that of the settings."""

    classify: ModelName | None = None
    analyse: ModelName | None = None
    """For the categories that name none of their own."""


class Recipe(Value):
    """The categories a document may get. `other` is always among them, at most 40 in all."""

    name: Name
    categories: tuple[Category, ...] = Field(min_length=1, max_length=40)
    models: RecipeModels = RecipeModels()
    image_classifier: ImageClassifierUse | None = Field(default=None, exclude_if=lambda use: use is None)
    """What looks at the pages before the text is classified, if anything does."""

    @model_validator(mode="after")
    def _labels_mean_categories(self) -> Self:
        labels = self.image_classifier.labels if self.image_classifier else ()
        for label in labels:
            if label.category not in self.category_names:
                raise ValueError(
                    f"the label {label.name!r} of the image classifier means {label.category!r}, "
                    "which is no category"
                )
        return self

    @cached_property
    def version(self) -> str:
        """Twelve hex digits that change with the content; part of the key of stored results.

        Not with the models: that key names the one that made the result, so another model for one category
        makes nothing stale that others have read. Nor with what looks at images, on which no reading depends.
        """
        without: Any = {"models": True, "image_classifier": True, "categories": {"__all__": {"model"}}}
        return hashlib.sha256(self.model_dump_json(exclude=without).encode()).hexdigest()[:12]

    def model_for(self, stage: Stage, category: str = "") -> str | None:
        """The language model that the recipe names for a stage, or for analyse of a category, if it does."""
        if stage is Stage.CLASSIFY:
            return self.models.classify
        own = next((one.model for one in self.categories if one.name == category), None)
        return own or self.models.analyse

    @property
    def category_names(self) -> tuple[str, ...]:
        """The names, in the recipe's order."""
        return tuple(category.name for category in self.categories)

    def category(self, name: str) -> Category:
        """The category of that name.

        Raises:
            KeyError: the recipe has no such category.
        """
        for category in self.categories:
            if category.name == name:
                return category
        raise KeyError(name)


def load_recipe(name: str, recipes_dir: Path) -> Recipe:
    """Read the recipe `name`: the packaged one for `builtin`, else `name`.toml in `recipes_dir`.

    Raises:
        RecipeError: there is no such recipe, or its file is wrong; names file, line and field.
    """
    if name == BUILTIN:
        return _builtin()
    path = recipes_dir / f"{name}.toml"
    if name not in list_recipes(recipes_dir):
        known = ", ".join(list_recipes(recipes_dir))
        raise RecipeError(
            f"There is no recipe {name!r} in {recipes_dir}.",
            f"Write {path.name} there or use one of: {known}.",
        )
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise RecipeError(f"{path} cannot be read: {error.strerror}.", "Make the file readable.") from error
    return parse_recipe(raw, name, str(path))


def list_recipes(recipes_dir: Path) -> tuple[str, ...]:
    """`builtin`, then the user's own by name. Files whose name is no recipe name are left out."""
    stems = {path.stem for path in recipes_dir.glob("*.toml") if path.is_file()}
    return (BUILTIN, *sorted(stem for stem in stems if re.fullmatch(_NAME, stem) and stem != BUILTIN))


def parse_recipe(raw: bytes, name: str, origin: str) -> Recipe:
    """Check the TOML of a recipe. `origin` is what error messages call the file.

    Raises:
        RecipeError: too large, not UTF-8, not TOML, or not a recipe; names file, line and field.
    """
    if len(raw) > _MAX_BYTES:
        raise RecipeError(f"{origin} is larger than {_MAX_BYTES // 1024} kB.", "Shorten the recipe.")
    try:
        source = raw.decode("utf-8")
        data = tomllib.loads(source)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise RecipeError(f"{origin}, line {line}: not UTF-8.", "Save the file as UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{origin} is not valid TOML: {error}.", "Correct the line it names.") from error
    except RecursionError as error:
        raise RecipeError(f"{origin} is nested without end.", "Correct the recipe.") from error
    listed = _tables_to_lists(data, name)
    try:
        return Recipe.model_validate(listed)
    except ValidationError as error:
        raise _recipe_error(error, listed, source, origin) from error


@lru_cache(maxsize=1)
def _builtin() -> Recipe:
    source = resources.files("tasks").joinpath("builtin_recipe.toml")
    return parse_recipe(source.read_bytes(), BUILTIN, "builtin_recipe.toml")


def _tables_to_lists(data: dict[str, Any], name: str) -> dict[str, Any]:
    """Turn `[categories.NAME]` tables into the lists of the models, and add `other` if it is not there."""
    if "image_classifier" in data:
        data = {**data, "image_classifier": listed_labels(data["image_classifier"])}
    categories = data.get("categories")
    if not isinstance(categories, dict):
        return {**data, "name": name, "categories": None}
    listed = [
        {**body, "name": key, **_listed_parts(body)} if isinstance(body, dict) else body
        for key, body in categories.items()
    ]
    if OTHER not in categories:
        listed.append(_builtin().category(OTHER).model_dump())
    return {**data, "name": name, "categories": listed}


def _listed_parts(body: dict[str, Any]) -> dict[str, Any]:
    fields, evidence = body.get("fields", {}), body.get("evidence", {})
    return {
        "fields": [{**spec, "name": key} if isinstance(spec, dict) else spec for key, spec in fields.items()]
        if isinstance(fields, dict)
        else None,
        "evidence": [{"word": word, "weight": weight} for word, weight in evidence.items()]
        if isinstance(evidence, dict)
        else None,
    }


def _recipe_error(error: ValidationError, listed: dict[str, Any], source: str, origin: str) -> RecipeError:
    first = error.errors()[0]
    path = _toml_path(first["loc"], listed)
    line = line_of(source, path)
    where = f"{origin}, line {line}" if line else origin
    field = ".".join(path) or "the recipe"
    reason = _REASONS.get(first["type"]) or first["msg"].removeprefix("Value error, ")
    return RecipeError(
        f"{where}: {field}: {reason}.", "Correct the recipe; docs/recipes.md says what it may hold."
    )


def _toml_path(loc: tuple[str | int, ...], listed: Any) -> list[str]:
    """The keys a user wrote, from pydantic's location in the listed form."""
    path: list[str] = []
    node = listed
    for part in loc:
        try:
            node = node[part]
        except (KeyError, IndexError, TypeError):
            node = None
        if isinstance(part, str):
            path.append(part)
        elif isinstance(node, dict):
            path.append(str(node.get("name") or node.get("word") or part))
        # Other list items, such as one label of many, belong to the key that holds the list.
    is_of_evidence = path[-1:] == ["weight"] and "evidence" in path
    if len(path) > 1 and (path[-1] in {"name", "word"} or is_of_evidence):
        path.pop()  # the key itself is the name, and evidence is written `word = weight`
    return path
