"""Routes: server-sent events."""

from typing import Annotated

from fastapi import APIRouter, Header
from starlette.responses import Response

from app.api.description import Responses, content, problems
from app.api.headers import DocumentId
from app.api.records import row_of
from app.api.service import Api
from app.api.sse import all_events, check_room, document_events, event_id, event_stream

router = APIRouter(tags=["events"])

LastEventId = Annotated[
    str | None,
    Header(alias="Last-Event-ID", description="The last one that was seen; browsers send it by themselves."),
]
_STREAM: Responses = {200: content("Events until the client leaves.", "text/event-stream")}


@router.get(
    "/documents/{document}/events",
    operation_id="followDocument",
    response_class=Response,
    responses={**_STREAM, **problems(404, 503)},
)
async def follow_document(api: Api, document: DocumentId) -> Response:
    """Follow a document until it has ended.

    `document` (how it stands, at first and after each change), `text` (what a language model writes, as it
    writes), `end`. A lost connection loses nothing: the stream begins with how it stands now.
    """
    await api.readers.run(lambda ledger: row_of(ledger, document))
    check_room(api)
    return event_stream(document_events(api, document))


@router.get(
    "/events", operation_id="followAll", response_class=Response, responses={**_STREAM, **problems(503)}
)
async def follow_all(api: Api, last: LastEventId = None) -> Response:
    """Follow all documents.

    `counts` (documents in each state, at first), `document` (one has changed), `text`, and `reset`: events
    may have been lost, so read the documents again. With Last-Event-ID what came since is repeated.
    """
    check_room(api)
    return event_stream(all_events(api, event_id(last)))
