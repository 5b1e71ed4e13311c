"""Route: numbers for Prometheus."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.description import content
from app.api.numbers import Numbers
from app.api.service import Api

router = APIRouter(tags=["service"])


@router.get(
    "/metrics",
    operation_id="metrics",
    response_class=Response,
    responses={
        200: content(
            "The numbers, in the form that Prometheus reads.", "text/plain", "application/openmetrics-text"
        )
    },
)
async def metrics(request: Request, api: Api) -> Response:
    """Give numbers to Prometheus; docs/monitoring.md says which."""
    state = request.app.state
    if not hasattr(state, "numbers"):
        state.numbers = Numbers(api)
    body, media_type = await state.numbers.page(request.headers.get("accept", ""))
    return Response(body, 200, {"Content-Type": media_type, "Cache-Control": "no-store"})
