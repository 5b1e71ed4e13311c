"""Errors as problem+json (RFC 9457): what is wrong, with which thing, and what to do about it."""

import logging
from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from app.api.replies import json_reply
from tasks.errors import ConfigError, FileError, NotFoundError, ServiceError, ShoeboxError
from tasks.settings import Settings
from tasks.spool import StillWrittenError

log = logging.getLogger("shoebox.api")

PROBLEM_TYPE = "application/problem+json"
_MOST_ERRORS = 20
_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}  # 3.11 has the names of older standards


class ApiError(ShoeboxError):
    """An error with the HTTP status that it is answered with."""

    def __init__(
        self,
        status: int,
        message: str,
        remedy: str = "",
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(message, remedy)
        self.status = status
        self.headers = headers or {}
        self.more = more


def status_of(error: ShoeboxError) -> int:
    """The HTTP status that stands for an error."""
    match error:
        case ApiError():
            return error.status
        case NotFoundError():
            return HTTPStatus.NOT_FOUND
        case StillWrittenError():
            return HTTPStatus.CONFLICT
        case FileError() | ConfigError():
            return HTTPStatus.UNPROCESSABLE_ENTITY
        case ServiceError():
            return HTTPStatus.SERVICE_UNAVAILABLE
        case _:
            return HTTPStatus.CONFLICT


def problem(
    status: int, detail: str, remedy: str = "", headers: dict[str, str] | None = None, **more: Any
) -> Response:
    """A problem as a reply."""
    title = title_of(status)
    body = {
        "type": f"urn:shoebox:problem:{title.lower().replace(' ', '-')}",
        "title": title,
        "status": status,
        "detail": detail,
        "remedy": remedy,
        **more,
    }
    return json_reply(body, status, {"Cache-Control": "no-store", **(headers or {})}, PROBLEM_TYPE)


def _methods_at(request: Request) -> list[str]:
    """What is possible at the path of a request. Starlette names those of one route only."""
    paths = [
        route.methods or set()
        for route in request.app.state.routes
        if route.matches(request.scope)[0] is not Match.NONE
    ]
    return sorted(set().union(*paths))


def title_of(status: int) -> str:
    """The name of an HTTP status."""
    try:
        return _TITLES.get(status) or HTTPStatus(status).phrase
    except ValueError:
        return "Error"


class Problems:
    """Turns errors into replies. Says nothing of where on this machine Shoebox keeps its own files."""

    def __init__(self, settings: Settings) -> None:
        self._own = tuple(
            {
                str(settings.data_dir): None,
                str(settings.data_dir.absolute()): None,
                str(settings.recipes_path): None,
            }
        )

    def scrubbed(self, text: str) -> str:
        """The text without the places of Shoebox' own folders."""
        for own in self._own:
            text = text.replace(own, "(Shoebox' own folder)")
        return text

    def of(self, error: ShoeboxError) -> Response:
        """The reply to an error that has a text for people."""
        headers = dict(error.headers) if isinstance(error, ApiError) else {}
        more = error.more if isinstance(error, ApiError) else {}
        status = status_of(error)
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            headers.setdefault("Retry-After", "5")
        return problem(status, self.scrubbed(error.message), self.scrubbed(error.remedy), headers, **more)

    async def shoebox(self, _: Request, error: Exception) -> Response:
        """Handler of `ShoeboxError`."""
        assert isinstance(error, ShoeboxError)  # noqa: S101 - registered for these only
        return self.of(error)

    async def http(self, request: Request, error: Exception) -> Response:
        """Handler of what the framework refuses: no such path or method, a body that cannot be parsed."""
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for these only
        headers = dict(error.headers or {})
        match error.status_code:
            case 404:
                return problem(
                    404, f"There is nothing at {request.url.path}.", "GET /docs lists what there is."
                )
            case 405:
                allowed = ", ".join(_methods_at(request))
                what = f"{request.method} is not possible at {request.url.path}."
                return problem(405, what, f"Possible: {allowed}.", {"Allow": allowed})
            case status:
                return problem(status, f"{error.detail}.", "GET /docs says what is expected.", headers)

    async def validation(self, _: Request, error: Exception) -> Response:
        """Handler of parameters and bodies that are not as described. Values are not repeated."""
        assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for these only
        errors = [
            {"where": ".".join(str(part) for part in one["loc"]), "problem": str(one["msg"])}
            for one in error.errors()[:_MOST_ERRORS]
        ]
        first = errors[0] if errors else {"where": "request", "problem": "is not as described"}
        return problem(
            422,
            f"{first['where']}: {first['problem']}.",
            "GET /openapi.json describes what is expected.",
            errors=errors,
        )

    def unexpected(self, error: Exception) -> Response:
        """The reply to a fault of ours. What it was stands in the log only."""
        log.exception("a request failed", exc_info=error)
        return problem(500, "Something went wrong in Shoebox.", "Its log says what; try again, or report it.")
