"""How the API describes itself: tags, errors, and what FastAPI's own OpenAPI does not say."""

from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from app.api.models import Problem
from app.api.problems import PROBLEM_TYPE, title_of

if TYPE_CHECKING:
    from fastapi import FastAPI

M = TypeVar("M", bound=BaseModel)
Responses = dict[int | str, dict[str, Any]]

SUMMARY = "Drop your papers in, get a table you can trust. Nothing leaves your machines."
DESCRIPTION = """Files in, results out, by HTTP. Work is never done while a request waits: whoever hands
something in gets 202 with an id, and looks, or follows events, until it has ended.

Every error is problem+json (RFC 9457): `detail` says what is wrong, `remedy` what to do about it."""
TAGS = [
    {"name": "documents", "description": "Handing in files, and what was found in them."},
    {"name": "decisions", "description": "What people decide about documents."},
    {"name": "events", "description": "Server-sent events: what happens, as it happens."},
    {"name": "finding", "description": "Search, and the table as a file."},
    {"name": "asking", "description": "Questions over the documents, answered with citations."},
    {"name": "texts", "description": "Classifying and summarising a text."},
    {"name": "batches", "description": "Many files together, with what they add up to."},
    {"name": "service", "description": "Whether the service is up."},
]
_PROBLEM_REF = {"schema": {"$ref": "#/components/schemas/Problem"}}


def problems(*statuses: int) -> Responses:
    """The errors that an operation is known to answer with."""
    return {
        status: {"description": title_of(status), "content": {PROBLEM_TYPE: _PROBLEM_REF}}
        for status in statuses
    }


def content(description: str, *media_types: str) -> dict[str, Any]:
    """A reply that is no JSON."""
    schema = {"schema": {"type": "string"}}
    return {"description": description, "content": dict.fromkeys(media_types, schema)}


def tagged(model: type[BaseModel], description: str) -> Responses:
    """A reply with an entity tag, and the one to who has it already."""
    etag = {"ETag": {"description": "Send it as If-None-Match next time.", "schema": {"type": "string"}}}
    return {
        200: {"model": model, "description": description, "headers": etag},
        304: {"description": "It is as it was, by If-None-Match."},
    }


def body_of(*schemas: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    """A body that is read by hand, as OpenAPI describes it: media types and their schemas."""
    return {"requestBody": {"required": True, "content": dict(schemas)}}


def reference(model: type[BaseModel], example: Any = None) -> tuple[str, dict[str, Any]]:
    """The JSON body that a model describes."""
    described: dict[str, Any] = {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}
    if example is not None:
        described["example"] = example
    return "application/json", described


def parsed(model: type[M], body: bytes) -> M:
    """A body that is read by hand.

    Raises:
        RequestValidationError: it is not as the model describes.
    """
    from fastapi.exceptions import RequestValidationError

    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        errors = [{**one, "loc": ("body", *one["loc"])} for one in error.errors(include_context=False)]
        raise RequestValidationError(errors) from None


def openapi(app: "FastAPI", extra: tuple[type[BaseModel], ...]) -> dict[str, Any]:
    """The OpenAPI: FastAPI's, with our errors instead of its own, and the models that are read by hand."""
    from fastapi.openapi.utils import get_openapi

    described = get_openapi(
        title=app.title,
        version=app.version,
        summary=SUMMARY,
        description=DESCRIPTION,
        routes=app.routes,
        tags=TAGS,
    )
    components = described.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    models: tuple[type[BaseModel], ...] = (Problem, *extra)
    for model in models:
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = schema
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    components["securitySchemes"] = {
        "token": {
            "type": "http",
            "scheme": "bearer",
            "description": "Not needed on the machine itself, unless the settings say so.",
        }
    }
    described["security"] = [{}, {"token": []}]
    for path in described["paths"].values():
        for operation in path.values():
            responses = operation["responses"]
            if "HTTPValidationError" in str(responses.get("422")):
                del responses["422"]
            responses.setdefault("default", problems(500)[500] | {"description": "Any other problem."})
    return described
