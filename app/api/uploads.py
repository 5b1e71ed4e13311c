"""Files that are sent: streamed into a folder of the data directory, which makes them originals.

Nothing of them ever lies elsewhere: no temporary folder, and no more than a megabyte in memory.
"""

import asyncio
import errno
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.api.problems import ApiError
from app.plans.names import safe_file_name
from tasks.ledger import Ledger
from tasks.settings import Settings

if TYPE_CHECKING:
    from starlette.requests import Request

    from app.api.pools import Pool

_FLUSH_BYTES = 1024 * 1024
_LEFT_SECONDS = 3600.0
"""A folder that no document needs is removed after so long: its request may still be under way before."""


@dataclass(slots=True)
class Upload:
    """A file that was received."""

    path: Path
    sha256: str = ""
    size: int = 0
    is_kept: bool = False
    """Whether a document's original is here now."""

    @property
    def name(self) -> str:
        """Its safe name."""
        return self.path.name

    def discard(self) -> None:
        """Remove it, with the folder that is its own."""
        shutil.rmtree(self.path.parent, ignore_errors=True)


@dataclass(slots=True)
class Form:
    """What a client sent: files, and what it said about them."""

    uploads: list[Upload] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)

    def fingerprint(self) -> list[list[str]]:
        """What makes this the same request as another: names and contents, whatever they were wrapped in."""
        return [[one.name, one.sha256] for one in self.uploads]


class Writer:
    """Writes one file, a megabyte at a time, in a thread."""

    def __init__(self, settings: Settings, disk: "Pool[None]", name: str) -> None:
        folder = settings.uploads_dir / secrets.token_hex(8)
        self.upload = Upload(folder / safe_file_name(name))
        self._disk = disk
        self._most = settings.max_file_bytes
        self._hash = hashlib.sha256()
        self._waiting = bytearray()
        self._descriptor = -1

    async def write(self, data: bytes) -> None:
        """Take a piece.

        Raises:
            ApiError: 413: the file is too large; 507: the disk is full.
        """
        self.upload.size += len(data)
        if self.upload.size > self._most:
            raise ApiError(
                413,
                f"{self.upload.name} has more than {self._most / 1e6:,.1f} MB.",
                "Raise SHOEBOX_MAX_FILE_BYTES if you mean it.",
            )
        self._waiting += data
        if len(self._waiting) >= _FLUSH_BYTES:
            await self._flush()

    async def _flush(self) -> None:
        data, self._waiting = bytes(self._waiting), bytearray()
        writing = asyncio.ensure_future(self._disk.run(lambda _: self._put(data)))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            with suppress(Exception):  # the file must not be closed under the thread that writes to it
                await writing
            raise

    def _put(self, data: bytes) -> None:
        with _disk_refusals():
            if self._descriptor < 0:
                self.upload.path.parent.parent.mkdir(mode=0o700, exist_ok=True)
                self.upload.path.parent.mkdir(mode=0o700)
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                self._descriptor = os.open(self.upload.path, flags, 0o600)
            view = memoryview(data)
            while view:
                view = view[os.write(self._descriptor, view) :]
            self._hash.update(data)

    async def finish(self) -> Upload:
        """The file is whole."""
        await self._flush()
        self.upload.sha256 = self._hash.hexdigest()
        self.close()
        return self.upload

    def close(self) -> None:
        """Close the file, whole or not."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


@contextmanager
def _disk_refusals() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise ApiError(
                507, "The disk of the data directory is full.", "Free some space there."
            ) from error
        raise ApiError(
            503, f"The data directory cannot be written: {error.strerror}.", "`./run.sh doctor` checks it."
        ) from error


@asynccontextmanager
async def received(
    request: "Request", settings: Settings, disk: "Pool[None]", name: str
) -> AsyncIterator[Form]:
    """What a request carries: a form of files, or one file with this name. What is not kept is removed.

    Raises:
        ApiError: 400, 413, 415 or 507.
    """
    from app.api.multipart import FormReader, boundary_of

    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    reader: Any = None
    form = Form()
    try:
        if kind == "multipart/form-data":
            reader = FormReader(boundary_of(request.headers["content-type"]), settings, disk, form)
            await reader.read(request.stream())
        else:
            reader = _RawReader(request, settings, disk, form, name)
            await reader.read(request.stream())
        yield form
    finally:
        if reader is not None:
            reader.close()
        left = [upload for upload in form.uploads if not upload.is_kept]
        for upload in left:
            upload.discard()


class _RawReader:
    """A body that is one file."""

    def __init__(
        self, request: "Request", settings: Settings, disk: "Pool[None]", form: Form, name: str
    ) -> None:
        if not name.strip():
            raise ApiError(
                415 if request.headers.get("content-type") else 400,
                "The body is neither a form of files, nor JSON, nor a file with a name.",
                "Send multipart/form-data, JSON as described, or (to /documents) a file's bytes with ?name=.",
            )
        self._writer = Writer(settings, disk, name)
        form.uploads.append(self._writer.upload)

    async def read(self, chunks: AsyncIterator[bytes]) -> None:
        async for chunk in chunks:
            await self._writer.write(chunk)
        if not self._writer.upload.size:
            raise ApiError(
                400, f"{self._writer.upload.name} is empty.", "Send the bytes of the file as the body."
            )
        await self._writer.finish()

    def close(self) -> None:
        self._writer.close()


def write_text(settings: Settings, name: str, text: str) -> Upload:
    """A text as a file of its own, as if it had been sent."""
    upload = Upload(settings.uploads_dir / secrets.token_hex(8) / safe_file_name(f"{name or 'text'}.txt"))
    data = text.encode("utf-8", "replace")
    with _disk_refusals():
        upload.path.parent.parent.mkdir(mode=0o700, exist_ok=True)
        upload.path.parent.mkdir(mode=0o700)
        descriptor = os.open(upload.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    upload.sha256, upload.size = hashlib.sha256(data).hexdigest(), len(data)
    return upload


def discard_original(settings: Settings, path: bytes) -> None:
    """Remove the original of a document that was removed, if it came in by the API. Others stay."""
    original = Path(os.fsdecode(path))
    if original.parent.parent == settings.uploads_dir.absolute() and not original.is_symlink():
        shutil.rmtree(original.parent, ignore_errors=True)


def tidy_uploads(settings: Settings, ledger: Ledger) -> int:
    """Remove what requests that were broken off, and documents removed elsewhere, left behind."""
    root = settings.uploads_dir.absolute()
    if not root.is_dir():
        return 0
    rows = ledger.db.execute("SELECT path FROM documents").fetchall()
    needed = {Path(os.fsdecode(row["path"])).parent for row in rows}
    removed = 0
    for folder in root.iterdir():
        with suppress(FileNotFoundError):
            is_old = time.time() - folder.lstat().st_mtime > _LEFT_SECONDS
            if folder not in needed and is_old and folder.is_dir() and not folder.is_symlink():
                shutil.rmtree(folder, ignore_errors=True)
                removed += 1
    return removed
