"""The HTTP API as an ASGI application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from app.api.access import Access
from app.api.batch_models import BatchIn
from app.api.description import openapi
from app.api.gate import Gate
from app.api.models import PathIn
from app.api.problems import Problems
from app.api.routes import asking, batches, decisions, documents, finding, metrics, service, streams, texts
from app.api.service import Service
from tasks.errors import ShoeboxError
from tasks.settings import Settings
from tasks.version import VERSION

ROUTERS = (documents, decisions, streams, finding, asking, texts, batches, service, metrics)
"""Modules with a `router`. What else is served is one more."""


def create_app(settings: Settings, token: str, *, needs_token: bool) -> FastAPI:
    """The application. What it needs is opened when it starts, and closed when it ends.

    Args:
        settings: of this home.
        token: that clients send.
        needs_token: whether those on this machine have to, too.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        running = app.state.service = Service(settings)
        await running.start()
        try:
            yield
        finally:
            await running.stop()

    app = FastAPI(
        title="Shoebox",
        version=VERSION,
        lifespan=lifespan,
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    problems = Problems(settings)
    app.add_exception_handler(ShoeboxError, problems.shoebox)
    app.add_exception_handler(HTTPException, problems.http)
    app.add_exception_handler(RequestValidationError, problems.validation)
    for module in ROUTERS:
        app.include_router(module.router)
    app.state.routes = [route for module in ROUTERS for route in module.router.routes]
    app.add_middleware(
        Gate, settings=settings, access=Access(settings, token, needs_token=needs_token), problems=problems
    )

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = openapi(app, (PathIn, BatchIn))
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]
    return app
