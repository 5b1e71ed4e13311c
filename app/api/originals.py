"""The original of a document as a download."""

import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from starlette.responses import StreamingResponse

from app.api.problems import ApiError
from app.disposition import disposition
from tasks.ledger import DocumentRow
from tasks.reading.kinds import Kind
from tasks.settings import Settings
from tasks.spool import spool_path

if TYPE_CHECKING:
    from app.api.pools import Pool

_CHUNK = 256 * 1024
_KINDS = frozenset(kind.value for kind in Kind)


def open_unchanged(settings: Settings, document: DocumentRow) -> IO[bytes]:
    """The file that was read: where it lay, if it is still the same, else the copy that is kept.

    Raises:
        ApiError: 410: there is neither.
    """
    for path, of_original in (
        (Path(os.fsdecode(document.path)), True),
        (spool_path(settings, document.sha256), False),
    ):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            continue
        file = os.fdopen(descriptor, "rb", buffering=0)
        found = os.fstat(descriptor)
        same = (found.st_size, found.st_mtime_ns) == (document.size, document.mtime_ns)
        if stat.S_ISREG(found.st_mode) and (same or not of_original):
            return file
        file.close()
    raise ApiError(
        410,
        f"The file of {document.name} is gone, or was changed since it was read.",
        "What was read of it is at /documents/{id}/text.",
    )


async def download(file: IO[bytes], document: DocumentRow, disk: "Pool[None]") -> StreamingResponse:
    """A file as a reply that a browser saves and never shows."""
    size = os.fstat(file.fileno()).st_size
    headers = {
        "Content-Length": str(size),
        "Content-Disposition": disposition(document.name),
        "Cache-Control": "private, no-store",
    }
    kind = document.mime if document.mime in _KINDS else "application/octet-stream"
    reply = StreamingResponse(_pieces(file, size, disk), headers=headers)
    reply.headers["Content-Type"] = kind  # Starlette would add a character set to text, which is not known
    return reply


async def _pieces(file: IO[bytes], left: int, disk: "Pool[None]") -> AsyncIterator[bytes]:
    with file:
        while left > 0:
            most = min(left, _CHUNK)
            piece = await disk.run(lambda _, most=most: file.read(most))  # type: ignore[misc]
            if not piece:  # it became shorter; the client sees that by the length
                return
            left -= len(piece)
            yield piece
