"""The forms that replies are held to: pydantic models made from the recipe, and bounded JSON schemas.

A text without `maxLength` may be generated for ever. Grammars do not enforce everything that a schema says
(number ranges, formats), so each reply is validated by the same model afterwards.
"""

from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, create_model

from tasks.recipes import Category

TITLE_CHARS, SUMMARY_CHARS = 120, 600
VALUE_CHARS, QUOTE_CHARS = 160, 240


class _Reply(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SummaryReply(_Reply):
    """Title and summary."""

    title: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=TITLE_CHARS)]
    summary: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=SUMMARY_CHARS)]


class FoundValue(_Reply):
    """A value with the words it was read from. The quote comes first: a model that has copied it reads it."""

    quote: Annotated[str, StringConstraints(max_length=QUOTE_CHARS)]
    value: Annotated[str, StringConstraints(max_length=VALUE_CHARS)]


class FieldsReply(_Reply):
    """Base of the replies made by `fields_reply`."""

    def found(self) -> dict[str, FoundValue | None]:
        """By name of the field; None where the document does not say it."""
        return {info.alias or name: getattr(self, name) for name, info in type(self).model_fields.items()}


class CategoryReply(_Reply):
    """Base of the replies made by `category_reply`."""

    category: str


@lru_cache(maxsize=64)
def category_reply(names: tuple[str, ...]) -> type[CategoryReply]:
    """A reply whose category is one of the names."""
    allowed: Any = Literal[names]
    return create_model("Category", __base__=CategoryReply, category=(allowed, ...))


def fields_reply(category: Category) -> type[FieldsReply]:
    """A reply with a value or null for each field. All keys are required: null is said, not implied."""
    return _fields_reply(tuple(spec.name for spec in category.fields))


@lru_cache(maxsize=64)  # making a model and its schema takes longer than all else that is done with a reply
def _fields_reply(names: tuple[str, ...]) -> type[FieldsReply]:
    # A recipe may call a field `copy` or `json`, which pydantic's own methods are called: hence the aliases.
    fields: dict[str, Any] = {
        f"field_{index}": (FoundValue | None, Field(alias=name)) for index, name in enumerate(names)
    }
    return create_model("Fields", __base__=FieldsReply, **fields)


def json_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a reply, without pydantic's titles and descriptions, which only cost tokens."""
    return _bare(_full_schema(model))


@lru_cache(maxsize=64)
def _full_schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema(by_alias=True)


def _bare(schema: dict[str, Any], *, names: bool = False) -> dict[str, Any]:
    """`names`: the keys are names of properties, which may be called `title` as well."""
    return {
        key: _bare_value(value, names=key in ("properties", "$defs") and not names)
        for key, value in schema.items()
        if names or key not in ("title", "description")
    }


def _bare_value(value: Any, *, names: bool) -> Any:
    if isinstance(value, dict):
        return _bare(value, names=names)
    if isinstance(value, list):
        return [_bare_value(each, names=False) for each in value]
    return value
