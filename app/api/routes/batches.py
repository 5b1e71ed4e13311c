"""Routes: many files together."""

from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from app.api.batch_models import MAX_BATCH, Batch, BatchIn, BatchList, BatchText
from app.api.batch_records import batch_list, batch_record, existing_batch
from app.api.description import Responses, body_of, parsed, problems, reference, tagged
from app.api.headers import Cursor, IdempotencyKey
from app.api.intake import recipe_named, take_path
from app.api.models import NAME_CHARS, RefusedFile, Taken
from app.api.once import Answered, fingerprint, once
from app.api.problems import ApiError
from app.api.replies import json_reply, tagged_reply
from app.api.routes.documents import check_paths, is_json, take_uploads
from app.api.service import Api, Service
from app.api.uploads import Upload, received, write_text
from app.intake import Skipped, find_files
from tasks.batches import NewItem, batch_items, enter_batch, forget_batch
from tasks.errors import NotFoundError
from tasks.home import Home

router = APIRouter(tags=["batches"])

BatchId = Annotated[str, Path(description="Its id.", max_length=64)]
_FORM = {
    "schema": {
        "type": "object",
        "required": ["file"],
        "properties": {
            "file": {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1},
            "name": {"type": "string"},
            "urgent": {"type": "boolean"},
            "recipe": {"type": "string"},
        },
    }
}
_EXAMPLE = {"name": "March", "paths": ["/home/me/scans"], "texts": [{"name": "note", "text": "Rent is due."}]}
_BODY = body_of(("multipart/form-data", _FORM), reference(BatchIn, _EXAMPLE))
_ANSWERS: Responses = {
    202: {"model": Batch, "description": "It is being read; `id` says where to look."},
    **problems(400, 403, 409, 413, 415, 422, 507),
}


@router.post("/batches", operation_id="addBatch", status_code=202, responses=_ANSWERS, openapi_extra=_BODY)
async def add_batch(request: Request, api: Api, key: IdempotencyKey = None) -> Response:
    """Hand in many files, folders or texts together. One that fails costs the others nothing.

    GET /batches/{id} shows partial results, and what all of it adds up to when the last has ended.
    """
    if is_json(request):
        asked = parsed(BatchIn, await request.body())
        if asked.paths:
            check_paths(request, api)
        recipe = recipe_named(api.settings, asked.recipe)
        if not asked.paths and not asked.texts:
            raise ApiError(422, "The batch is empty.", "Send paths, texts, or a form of files.")

        async def take_named() -> Answered:
            return await _enter(api, asked.name, await _take_named(api, asked, recipe))

        return await _reply(
            api, *await once(api, key, fingerprint("batches", asked.model_dump()), take_named)
        )
    async with received(request, api.settings, api.disk, "") as form:
        urgent = form.fields.get("urgent", "").lower() in {"true", "1", "on", "yes"}
        recipe = recipe_named(api.settings, form.fields.get("recipe"))
        name = form.fields.get("name", "")[:NAME_CHARS]

        async def take_all() -> Answered:
            results = await take_uploads(api, form.uploads, recipe, urgent=urgent)
            return await _enter(api, name, results)

        print_ = fingerprint("batches", [form.fingerprint(), name, urgent, recipe])
        return await _reply(api, *await once(api, key, print_, take_all))


async def _take_named(api: Service, asked: BatchIn, recipe: str) -> list[Taken | RefusedFile]:
    """Take paths and texts one by one."""
    results: list[Taken | RefusedFile] = []
    for found in await api.disk.run(lambda _: _files(asked.paths)):
        if isinstance(found, RefusedFile):
            results.append(found)
            continue

        def take(home: Home, path: FilePath = found) -> Taken | RefusedFile:
            return take_path(home, path, recipe, urgent=asked.urgent)

        results.append(await api.writers.run(take))
    uploads: list[Upload] = []
    try:
        for text in asked.texts:

            def write(_: None, text: BatchText = text) -> Upload:
                return write_text(api.settings, text.name, text.text)

            uploads.append(await api.disk.run(write))
        return results + await take_uploads(api, uploads, recipe, urgent=asked.urgent)
    finally:
        for upload in uploads:
            if not upload.is_kept:
                upload.discard()


def _files(paths: list[str]) -> list[FilePath | RefusedFile]:
    """The files at these paths, and what is passed over."""
    files: list[FilePath | RefusedFile] = []
    for path in paths:
        try:
            for found in find_files([FilePath(path)]):
                if isinstance(found, Skipped):
                    reason = RefusedFile(
                        name=found.path.name, detail=f"Passed over: {found.reason}.", remedy=""
                    )
                files.append(reason if isinstance(found, Skipped) else found)
                if len(files) > MAX_BATCH:
                    raise ApiError(
                        413, f"The batch has more than {MAX_BATCH:,} files.", "Send several batches."
                    )
        except NotFoundError as error:
            files.append(RefusedFile(name=FilePath(path).name, detail=error.message, remedy=error.remedy))
    return files


async def _enter(api: Service, name: str, results: list[Taken | RefusedFile]) -> Answered:
    """Enter the batch when all its files are in the ledger: there is never half a batch."""
    items = [
        NewItem(one.name, one.id)
        if isinstance(one, Taken)
        else NewItem(one.name, None, one.detail, one.remedy)
        for one in results
    ]

    row = await api.writers.run(lambda home: enter_batch(home.ledger, name, items))
    api.release_soon()
    return 202, {"id": row.id}


async def _reply(api: Service, status: int, body: dict[str, Any], replayed: bool) -> Response:
    """The batch as it stands: an answer that is given again names the same batch."""
    found = await api.readers.run(lambda ledger: batch_record(ledger, body["id"]))
    headers = {"Location": f"/batches/{found.id}"} | ({"Idempotent-Replayed": "true"} if replayed else {})
    return json_reply(found, status, headers)


@router.get("/batches", operation_id="listBatches", responses=tagged(BatchList, "A page of batches."))
async def list_batches(
    request: Request, api: Api, cursor: Cursor = None, limit: Annotated[int, Query(ge=1, le=500)] = 50
) -> Response:
    """List batches, the newest first."""
    return tagged_reply(request, await api.readers.run(lambda ledger: batch_list(ledger, cursor, limit)))


@router.get(
    "/batches/{batch}", operation_id="getBatch", responses=tagged(Batch, "How it stands.") | problems(404)
)
async def get_batch(request: Request, api: Api, batch: BatchId) -> Response:
    """Show how a batch stands: partial results, and the aggregate when all has ended."""
    return tagged_reply(request, await api.readers.run(lambda ledger: batch_record(ledger, batch)))


@router.post(
    "/batches/{batch}/cancel",
    operation_id="cancelBatch",
    responses={200: {"model": Batch, "description": "How it stands now."}, **problems(404)},
)
async def cancel_batch(api: Api, batch: BatchId) -> Response:
    """Stop reading what of a batch has not ended."""

    def cancel(home: Home) -> Batch:
        for item in batch_items(home.ledger, existing_batch(home.ledger, batch)):
            row = home.ledger.document(item.document) if item.document else None
            if row is not None:
                home.cancel(row)
        return batch_record(home.ledger, batch)

    found = await api.writers.run(cancel)
    api.release_soon()
    return json_reply(found)


@router.delete("/batches/{batch}", operation_id="forgetBatch", status_code=204, responses=problems(404))
async def forget(api: Api, batch: BatchId) -> Response:
    """Forget a batch. Its documents stay."""

    def remove(home: Home) -> None:
        existing_batch(home.ledger, batch)
        forget_batch(home.ledger, batch)

    await api.writers.run(remove)
    return Response(status_code=204)
