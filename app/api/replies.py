"""Replies: JSON that acts on no terminal, and an entity tag so that polling costs next to nothing."""

import hashlib
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from app.plain_text import visible_json

JSON = "application/json"


def json_text(body: BaseModel | Mapping[str, Any]) -> str:
    """A body as JSON on one line."""
    return visible_json(body.model_dump(mode="json") if isinstance(body, BaseModel) else body)


def json_reply(
    body: BaseModel | Mapping[str, Any],
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    media_type: str = JSON,
) -> Response:
    """A reply of JSON."""
    return Response(json_text(body).encode(), status, dict(headers or {}), media_type)


def tagged_reply(request: Request, body: BaseModel, headers: Mapping[str, str] | None = None) -> Response:
    """As `json_reply`; only 304 to a client that says that it has exactly this."""
    content = json_text(body).encode()
    tag = f'"{hashlib.blake2b(content, digest_size=12).hexdigest()}"'
    known = {one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")}
    if tag in known:
        return Response(None, 304, {"ETag": tag})
    return Response(content, 200, {"ETag": tag, **(headers or {})}, JSON)
