"""Routes: what people decide about documents."""

from fastapi import APIRouter
from starlette.responses import Response

from app.api.description import Responses, problems
from app.api.headers import DocumentId
from app.api.models import Changes, Document, RetryIn, UrgentIn
from app.api.problems import ApiError
from app.api.records import existing_document, row_of
from app.api.replies import json_reply
from app.api.service import Api
from tasks.documents import State
from tasks.home import Home
from tasks.ledger import DocumentRow
from tasks.said import CATEGORY
from tasks.typed_values import CorrectionError

router = APIRouter(tags=["decisions"])

_ANSWERS: Responses = {
    200: {"model": Document, "description": "How it stands now."},
    **problems(404, 409, 422),
}


@router.post("/documents/{document}/cancel", operation_id="cancelDocument", responses=_ANSWERS)
async def cancel_document(api: Api, document: DocumentId) -> Response:
    """Stop reading a document. One that has ended stays as it is."""

    def cancel(home: Home) -> Document:
        home.cancel(row_of(home.ledger, document))
        return existing_document(home.ledger, document)

    found = await api.writers.run(cancel)
    api.release_soon()
    return json_reply(found)


@router.post(
    "/documents/{document}/retry",
    operation_id="retryDocument",
    status_code=202,
    responses={202: {"model": Document, "description": "It is read again."}, **problems(404, 409, 422)},
)
async def retry_document(api: Api, document: DocumentId, how: RetryIn | None = None) -> Response:
    """Read a document again. What is known of its content is not computed again."""

    def retry(home: Home) -> Document:
        home.retry(row_of(home.ledger, document), urgent=how.urgent if how else None)
        return existing_document(home.ledger, document)

    found = await api.writers.run(retry)
    api.release_soon()
    return json_reply(found, 202, {"Location": f"/documents/{found.id}"})


@router.post("/documents/{document}/urgent", operation_id="setUrgent", responses=_ANSWERS)
async def set_urgent(api: Api, document: DocumentId, how: UrgentIn | None = None) -> Response:
    """Read a document before all that are not urgent, or no longer so."""

    def change(home: Home) -> Document:
        row = row_of(home.ledger, document)
        home.set_urgent(row, urgent=how.urgent if how else True)
        return existing_document(home.ledger, document)

    found = await api.writers.run(change)
    api.release_soon()
    return json_reply(found)


@router.post("/documents/{document}/accept", operation_id="acceptDocument", responses=_ANSWERS)
async def accept_document(api: Api, document: DocumentId) -> Response:
    """Say that a document is right as it is. Its values count as confirmed by a person."""

    def accept(home: Home) -> Document:
        row = row_of(home.ledger, document)
        try:
            home.accept(row)
        except CorrectionError as error:
            raise ApiError(409, error.message, error.remedy) from error
        return existing_document(home.ledger, document)

    return json_reply(await api.writers.run(accept))


@router.patch("/documents/{document}", operation_id="correctDocument", responses=_ANSWERS)
async def correct_document(api: Api, document: DocumentId, changes: Changes) -> Response:
    """Say what is right: the category, or fields. It stands, whatever is read later.

    After another category its fields are read anew, so correct them when that has ended. Corrections are
    entered one by one: `entered` of an error names those that were, before the one that is wrong.
    """
    words = {} if changes.category is None else {CATEGORY: changes.category}
    words |= changes.fields
    if not words:
        raise ApiError(422, "Nothing is corrected.", 'Send {"category": ...}, {"fields": {...}}, or both.')

    def correct(home: Home) -> Document:
        row = row_of(home.ledger, document)
        entered: list[str] = []
        for field, value in words.items():
            _correct(home, row, field, value, entered)
            entered.append(field)
        return existing_document(home.ledger, document)

    found = await api.writers.run(correct)
    api.release_soon()
    return json_reply(found)


def _correct(home: Home, document: DocumentRow, field: str, value: str, entered: list[str]) -> None:
    try:
        home.correct(document, field, value)
    except CorrectionError as error:
        now = row_of(home.ledger, document.id)
        status = 422 if now.state in {State.DONE, State.REVIEW} else 409
        raise ApiError(status, error.message, error.remedy, entered=entered) from error
