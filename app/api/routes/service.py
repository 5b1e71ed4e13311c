"""Routes: whether the service is up, and what it can do."""

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from app.api.description import content, problems
from app.api.models import Alive, Ready, Version
from app.api.problems import problem
from app.api.reference import reference_page
from app.api.replies import json_reply
from app.api.service import Api, Service
from tasks.home import Home
from tasks.homes import homes_up
from tasks.ledger import Ledger
from tasks.planning import HOME_QUEUE
from tasks.schema import MIGRATIONS
from tasks.version import VERSION

router = APIRouter(tags=["service"])

_PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"


@router.get(
    "/health", operation_id="health", responses={200: {"model": Alive, "description": "The API answers."}}
)
async def health() -> Response:
    """Say that the API is alive. Touches nothing else; needs no token."""
    return json_reply(Alive(status="alive"), headers={"Cache-Control": "no-store"})


@router.get(
    "/ready",
    operation_id="ready",
    responses={200: {"model": Ready, "description": "Documents can be read."}, **problems(503)},
)
async def ready(api: Api) -> Response:
    """Say whether ledger, Redis and the home worker are there, 503 with what is missing. Needs no token."""
    found = {
        "ledger": await _has_ledger(api),
        "redis": await api.follower.is_redis_up(),
        "home_worker": False,
    }
    if found["redis"]:
        found["home_worker"] = await _has_home_worker(api)
    missing = [name.replace("_", " ") for name, is_there in found.items() if not is_there]
    if missing:
        detail = f"Not ready: {', '.join(missing)}."
        return problem(503, detail, "`./run.sh up` starts what is missing.", {"Retry-After": "5"}, **found)
    body = Ready(status="ready", ledger=True, redis=True, home_worker=True)
    return json_reply(body, headers={"Cache-Control": "no-store"})


async def _has_ledger(api: Service) -> bool:
    def look(ledger: Ledger) -> bool:
        ledger.db.execute("SELECT 1 FROM documents LIMIT 1").fetchone()
        return True

    try:
        return await api.readers.run(look)
    except Exception:  # whatever it is, it is not ready
        return False


async def _has_home_worker(api: Service) -> bool:
    def look(home: Home) -> bool:
        ticks = home.ledger.home in homes_up(home.exchange)
        return ticks and any(HOME_QUEUE in one.queues for one in home.exchange.presence())

    try:
        return await api.slow.run(look)
    except Exception:
        return False


@router.get(
    "/version",
    operation_id="version",
    responses={200: {"model": Version, "description": "The version."}},
)
async def version() -> Response:
    """Say which version this is."""
    return json_reply(Version(version=VERSION, schema_version=len(MIGRATIONS)))


@router.get(
    "/docs",
    operation_id="docs",
    response_class=Response,
    responses={200: content("What there is.", "text/html")},
)
async def docs(request: Request) -> Response:
    """Show what there is, as a page without scripts. /openapi.json has all of it."""
    page = reference_page(request.app.openapi())
    return HTMLResponse(page, headers={"Content-Security-Policy": _PAGE_POLICY})
