"""Routes: handing in documents, and what was found in them."""

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from app.api.description import Responses, body_of, content, parsed, problems, reference, tagged
from app.api.headers import Cursor, DocumentId, IdempotencyKey
from app.api.intake import accepted, recipe_named, take_path, take_upload
from app.api.models import (
    Accepted,
    Document,
    DocumentList,
    PathIn,
    ProgressOut,
    RefusedFile,
    Result,
    Taken,
    TextOut,
)
from app.api.once import Answered, fingerprint, once
from app.api.originals import download, open_unchanged
from app.api.problems import ApiError
from app.api.records import document_list, existing_document, progress_of, result_of, row_of, text_of
from app.api.replies import json_reply, tagged_reply
from app.api.service import Api, Service
from app.api.uploads import Upload, discard_original, received
from tasks.documents import State
from tasks.home import Home

router = APIRouter(tags=["documents"])

MAX_PAGE = 500
_FILE = {"type": "string", "format": "binary"}
_FORM = {
    "schema": {
        "type": "object",
        "required": ["file"],
        "properties": {
            "file": {"type": "array", "items": _FILE, "minItems": 1},
            "urgent": {"type": "boolean"},
            "recipe": {"type": "string"},
        },
    }
}
_BODY = body_of(
    ("multipart/form-data", _FORM),
    reference(PathIn, {"path": "/home/me/invoice.pdf"}),
    ("application/octet-stream", {"schema": _FILE}),
)
_ACCEPTED: Responses = {
    200: {"model": Accepted, "description": "All of it was known already."},
    202: {"model": Accepted, "description": "It is being read; `id` says where to look."},
    **problems(400, 403, 409, 413, 415, 422, 507),
}


@router.post(
    "/documents", operation_id="addDocuments", status_code=202, responses=_ACCEPTED, openapi_extra=_BODY
)
async def add_documents(
    request: Request,
    api: Api,
    name: Annotated[str, Query(max_length=1000, description="Of a file whose bytes are the body.")] = "",
    urgent: Annotated[bool, Query(description="Before everything that is not urgent.")] = False,
    recipe: Annotated[str | None, Query(max_length=64, description="The recipe to read by.")] = None,
    key: IdempotencyKey = None,
) -> Response:
    """Hand in files: as a form, as the body with ?name=, or by path.

    A file whose content is known already is recognised and not read again. Paths are those of the
    machine that Shoebox runs on, and only programs there may name them.
    """
    if is_json(request):
        asked = parsed(PathIn, await request.body())
        check_paths(request, api)
        recipe_of_path = recipe_named(api.settings, asked.recipe or recipe)
        print_ = fingerprint("documents", asked.model_dump())

        async def take_it() -> Answered:
            path = Path(asked.path)

            def take(home: Home) -> Taken | RefusedFile:
                return take_path(home, path, recipe_of_path, urgent=asked.urgent)

            return _done(api, [await api.writers.run(take)])

        return _reply(*await once(api, key, print_, take_it))
    async with received(request, api.settings, api.disk, name) as form:
        urgent = form.fields.get("urgent", str(urgent)).lower() in {"true", "1", "on", "yes"}
        chosen = recipe_named(api.settings, form.fields.get("recipe") or recipe)
        print_ = fingerprint("documents", [form.fingerprint(), urgent, chosen])

        async def take_all() -> Answered:
            return _done(api, await take_uploads(api, form.uploads, chosen, urgent=urgent))

        return _reply(*await once(api, key, print_, take_all))


async def take_uploads(
    api: Service, uploads: list[Upload], recipe: str, *, urgent: bool
) -> list[Taken | RefusedFile]:
    """Take files one by one, so that others get their turn between them."""
    results = []
    for upload in uploads:

        def take(home: Home, upload: Upload = upload) -> Taken | RefusedFile:
            return take_upload(home, upload, recipe, urgent=urgent)

        results.append(await api.writers.run(take))
    return results


def is_json(request: Request) -> bool:
    """Whether the body is JSON, by what the client says."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"


def check_paths(request: Request, api: Service) -> None:
    """Let only programs on this machine name paths, and only if the settings let them.

    Raises:
        ApiError: 403.
    """
    if not (api.settings.api_paths and request.scope["caller"].is_local):
        raise ApiError(
            403,
            "Files may not be named by their path here.",
            "Send the file itself; SHOEBOX_API_PATHS lets programs on Shoebox' machine name paths.",
        )


def _done(api: Service, results: list[Taken | RefusedFile]) -> Answered:
    status, answer = accepted(results)
    if status == 202:
        api.release_soon()
    return status, answer.model_dump(mode="json")


def _reply(status: int, body: dict[str, Any], replayed: bool) -> Response:
    headers = {"Location": f"/documents/{body['documents'][0]['id']}"}
    if replayed:
        headers["Idempotent-Replayed"] = "true"
    return json_reply(body, status, headers)


@router.get(
    "/documents", operation_id="listDocuments", responses=tagged(DocumentList, "A page of documents.")
)
async def list_documents(
    request: Request,
    api: Api,
    state: Annotated[list[State], Query(description="Only these; may be repeated.")] = [],  # noqa: B006
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    newest_first: bool = False,
) -> Response:
    """List documents in order of arrival, a page at a time."""

    def look(ledger: Any) -> DocumentList:
        return document_list(ledger, state, cursor, limit, newest_first=newest_first)

    return tagged_reply(request, await api.readers.run(look))


@router.get(
    "/documents/{document}",
    operation_id="getDocument",
    responses=tagged(Document, "How it stands.") | problems(404),
)
async def get_document(request: Request, api: Api, document: DocumentId) -> Response:
    """Show how a document stands, and its row of the table. Made for polling: send the ETag."""
    found = await api.readers.run(lambda ledger: existing_document(ledger, document))
    return tagged_reply(request, found, {} if found.ended else {"Retry-After": "1"})


@router.get(
    "/documents/{document}/result",
    operation_id="getResult",
    responses=tagged(Result, "What was found.") | problems(404),
)
async def get_result(
    request: Request,
    api: Api,
    document: DocumentId,
    trace: Annotated[bool, Query(description="With every call to a language model.")] = False,
) -> Response:
    """Show everything that was found, each value with its page and the words it came from.

    What is known so far, if the document has not ended.
    """
    found = await api.readers.run(lambda ledger: result_of(ledger, document, with_trace=trace))
    return tagged_reply(request, found)


@router.get(
    "/documents/{document}/text",
    operation_id="getText",
    responses=tagged(TextOut, "Its pages.") | problems(404),
)
async def get_text(
    request: Request,
    api: Api,
    document: DocumentId,
    page: Annotated[int | None, Query(ge=1, le=1_000_000, description="Only this one.")] = None,
) -> Response:
    """Show the text that was read, page by page."""
    return tagged_reply(request, await api.readers.run(lambda ledger: text_of(ledger, document, page)))


@router.get(
    "/documents/{document}/progress",
    operation_id="getProgress",
    responses=tagged(ProgressOut, "How far it is.") | problems(404),
)
async def get_progress(request: Request, api: Api, document: DocumentId) -> Response:
    """Show how far a document is: its stage, and the units of that."""
    return tagged_reply(request, await api.readers.run(lambda ledger: progress_of(ledger, document)))


@router.get(
    "/documents/{document}/original",
    operation_id="getOriginal",
    response_class=Response,
    responses={200: content("The file.", "*/*"), **problems(404, 410)},
)
async def get_original(api: Api, document: DocumentId) -> Response:
    """Download the file that was read."""
    row = await api.readers.run(lambda ledger: row_of(ledger, document))
    file = await api.disk.run(lambda _: open_unchanged(api.settings, row))
    return await download(file, row, api.disk)


@router.delete(
    "/documents/{document}", operation_id="removeDocument", status_code=204, responses=problems(404)
)
async def remove_document(api: Api, document: DocumentId) -> Response:
    """Forget a document: its text, fields and results. The original stays, unless it was sent by the API."""

    def remove(home: Home) -> None:
        row = row_of(home.ledger, document)
        home.remove(row)
        discard_original(api.settings, row.path)

    await api.writers.run(remove)
    api.release_soon()
    return Response(status_code=204)
