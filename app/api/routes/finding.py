"""Routes: search, and the table as a file."""

import tempfile
from collections.abc import AsyncIterator
from typing import IO, Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response, StreamingResponse

from app.api.description import content, tagged
from app.api.finding_models import FoundOut, SearchOut
from app.api.records import documents_by_id
from app.api.replies import tagged_reply
from app.api.service import Api, Service
from app.export import CsvForm, export
from tasks.documents import State
from tasks.home import Home
from tasks.search import Found, find_documents

router = APIRouter(tags=["finding"])

_MEANING_SECONDS = 2.0
_CHUNK = 256 * 1024
_MEDIA = {"csv": "text/csv", "jsonl": "application/jsonl", "md": "text/markdown"}


@router.get("/search", operation_id="search", responses=tagged(SearchOut, "What was found."))
async def search(
    request: Request,
    api: Api,
    q: Annotated[
        str, Query(min_length=1, max_length=1000, examples=["invoice category:invoice amount:>100"])
    ],
    limit: Annotated[int, Query(ge=1, le=200)] = 20,
    words_only: Annotated[bool, Query(description="By words only, not by meaning.")] = False,
) -> Response:
    """Find documents by words of their text, title and fields, and by what they mean; the best first.

    The query may say how a document must be: category: party: state: date: amount: and more, see search.md.
    """

    def find(home: Home) -> SearchOut:
        if words_only or not api.settings.vectors_path.exists():
            found, why = tuple(find_documents(home.ledger, q, limit)), ""
        else:
            from tasks.meaning.hybrid import search_both

            both = search_both(api.settings, home.ledger, q, limit, _MEANING_SECONDS)
            found, why = both.found, both.problem
        documents = documents_by_id(home.ledger, [one.document.id for one in found])
        shown = [_found(one, documents) for one in found if one.document.id in documents]
        return SearchOut(found=shown, problem=why)

    return tagged_reply(request, await api.slow.run(find))


def _found(one: Found, documents: dict[str, Any]) -> FoundOut:
    return FoundOut.model_validate(
        {
            "document": documents[one.document.id],
            "page": one.hit.page,
            "pages": one.hit.pages,
            "snippet": one.hit.snippet,
            "marks": one.hit.marks,
            "found_by": list(one.by),
        }
    )


@router.get(
    "/export",
    operation_id="export",
    response_class=Response,
    responses={200: content("The table.", *_MEDIA.values())},
)
async def export_table(
    api: Api,
    form: Annotated[Literal["csv", "jsonl", "md"], Query(alias="format")] = "csv",
    state: Annotated[list[State], Query(description="Only these; may be repeated.")] = [],  # noqa: B006
    bom: Annotated[bool, Query(description="Byte order mark, for Excel.")] = False,
    delimiter: Literal[",", ";", "tab"] = ",",
) -> Response:
    """Download the table: csv for spreadsheets, jsonl with everything, md to read."""
    csv_form = CsvForm(bom=bom, delimiter="\t" if delimiter == "tab" else delimiter)
    file = await api.slow.run(lambda home: _written(home, state, form, csv_form))
    headers = {
        "Content-Disposition": f'attachment; filename="shoebox.{form}"',
        "Content-Length": str(file.seek(0, 2)),
    }
    file.seek(0)
    return StreamingResponse(_pieces(api, file), headers=headers, media_type=_MEDIA[form])


def _written(home: Home, states: list[State], form: str, csv_form: CsvForm) -> IO[bytes]:
    """The table in a file without a name, so that a slow client holds no connection to the ledger."""
    file = tempfile.TemporaryFile(dir=home.settings.data_dir)  # noqa: SIM115 - closed when it was sent
    try:
        for piece in export(home.ledger, home.ledger.documents(states=states), form, csv_form):
            file.write(piece.encode())
        file.flush()
    except BaseException:
        file.close()
        raise
    return file


async def _pieces(api: Service, file: IO[bytes]) -> AsyncIterator[bytes]:
    with file:
        while piece := await api.disk.run(lambda _: file.read(_CHUNK)):
            yield piece
