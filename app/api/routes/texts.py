"""Routes: classifying and summarising a text. It is carried by an urgent document like any other."""

from collections.abc import Callable

from fastapi import APIRouter
from starlette.responses import Response

from app.api.description import Responses, problems
from app.api.finding_models import Classified, Summarised, TextIn
from app.api.headers import IdempotencyKey, Prefer, wait_seconds
from app.api.intake import accepted, recipe_named, take_upload
from app.api.once import Answered, fingerprint, once
from app.api.records import classified, no_document, summarised
from app.api.replies import json_reply
from app.api.service import Api, Service
from app.api.sse import await_document, check_room
from app.api.uploads import write_text
from app.progress import has_ended
from tasks.documents import Stage
from tasks.home import Home
from tasks.ledger import DocumentRow

router = APIRouter(tags=["texts"])

_ERRORS = problems(400, 409, 413, 422, 507)


def _answers(model: type[Classified]) -> Responses:
    return {
        200: {"model": model, "description": "It is known."},
        202: {"model": model, "description": "It is being read; look at /documents/{id}/result."},
        **_ERRORS,
    }


@router.post("/classify", operation_id="classify", status_code=202, responses=_answers(Classified))
async def classify(api: Api, text: TextIn, prefer: Prefer = None, key: IdempotencyKey = None) -> Response:
    """Say what a text is: a category of the recipe. Send `Prefer: wait=30` to wait for it.

    The same text again costs nothing. What was read is a document of its own; DELETE it if it is not wanted.
    """
    document = await _take(api, text, key)
    return await _known(api, document, wait_seconds(prefer), _is_classified, classified)


@router.post("/summarise", operation_id="summarise", status_code=202, responses=_answers(Summarised))
async def summarise(api: Api, text: TextIn, prefer: Prefer = None, key: IdempotencyKey = None) -> Response:
    """Say in short what a text says: title and summary, with its category. As `classify` otherwise."""
    document = await _take(api, text, key)
    return await _known(api, document, wait_seconds(prefer), has_ended, summarised)


def _is_classified(row: DocumentRow) -> bool:
    return has_ended(row) or (bool(row.category) and row.stage is Stage.ANALYSE)


async def _take(api: Service, text: TextIn, key: str | None) -> str:
    """The id of the document that carries the text."""
    recipe = recipe_named(api.settings, text.recipe)

    async def take_it() -> Answered:
        upload = await api.disk.run(lambda _: write_text(api.settings, text.name, text.text))
        try:

            def take(home: Home) -> tuple[int, str]:
                status, answer = accepted([take_upload(home, upload, recipe, urgent=True)])
                return status, answer.documents[0].id

            status, document = await api.writers.run(take)
        finally:
            if not upload.is_kept:
                upload.discard()
        if status == 202:
            api.release_soon()
        return status, {"id": document}

    _, body, _ = await once(api, key, fingerprint("text", [text.text, text.name, recipe]), take_it)
    return str(body["id"])


async def _known(
    api: Service,
    document: str,
    seconds: float,
    is_enough: Callable[[DocumentRow], bool],
    shown: Callable[[DocumentRow], Classified],
) -> Response:
    if seconds:
        check_room(api)
    row = await await_document(api, document, seconds, is_enough)
    if row is None:
        raise no_document(document)
    status = 200 if is_enough(row) else 202
    headers = {"Location": f"/documents/{document}/result"} | ({"Retry-After": "1"} if status == 202 else {})
    return json_reply(shown(row), status, headers)
