"""The form of a backup: a plain tar of known files, and last of all a manifest with their hashes.

The manifest comes last because files are hashed while they are written; so an archive that was cut off has
none. It is not compressed: most of it are PDF files and photographs, and what claims to be small is small.
"""

import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.backup.contents import is_ours
from tasks.errors import FileError

FORMAT = 1
MANIFEST = "shoebox-backup.json"
CHUNK = 1 << 20
_MOST_MANIFEST_BYTES = 1 << 28
_MOST_AT_ONCE = 1 << 22
"""No header is longer; Python's tarfile would read one of any length into memory."""


Progress = Callable[[int], object]
"""Is told how many bytes were done."""


class Entry(BaseModel):
    """One file of a backup."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(ge=0)
    """In bytes."""
    sha256: str
    mtime_ns: int


class Manifest(BaseModel):
    """What a backup says of itself."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: int
    shoebox: str
    """The version that made it."""
    schema_number: int = Field(ge=1)
    """Of its ledger."""
    made_at: float
    """Seconds since the epoch."""
    files: dict[str, Entry]


@dataclass(frozen=True)
class Member:
    """A file of an archive, and reading it."""

    name: str
    size: int
    pieces: Iterator[bytes]
    """Its content. Raises FileError where the archive is cut off."""


class Writer:
    """Puts files into an archive and notes what they were."""

    def __init__(self, file: IO[bytes], progress: Progress) -> None:
        self._tar = tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115
        self._tar.copybufsize = CHUNK  # type: ignore[attr-defined]
        self._progress = progress
        self.files: dict[str, Entry] = {}

    def add(self, name: str, source: Path) -> None:
        """Write a file.

        Raises:
            OSError: it cannot be read or written, or became shorter meanwhile.
        """
        descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            found = os.fstat(descriptor)
            content = _Hashed(file, self._progress)
            self._tar.addfile(_header(name, found.st_size, found.st_mtime_ns), content)
        self.files[name] = Entry(
            size=found.st_size, sha256=content.digest.hexdigest(), mtime_ns=found.st_mtime_ns
        )

    def finish(self, manifest: Manifest) -> None:
        """Write the manifest and the end."""
        text = manifest.model_dump_json(indent=1).encode()
        self._tar.addfile(_header(MANIFEST, len(text), int(manifest.made_at * 1e9)), io.BytesIO(text))
        self._tar.close()


class _Hashed(io.RawIOBase):
    """A file that is hashed while it is read."""

    def __init__(self, file: IO[bytes], progress: Progress) -> None:
        self._file = file
        self._progress = progress
        self.digest = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        chunk = self._file.read(size)
        self.digest.update(chunk)
        self._progress(len(chunk))
        return chunk


def _header(name: str, size: int, mtime_ns: int) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.size = size
    header.mtime = mtime_ns // 1_000_000_000
    header.mode = 0o600
    return header


class _Careful:
    """A file that hands out no more at once than an honest archive asks for."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MOST_AT_ONCE:
            raise tarfile.ReadError("a header is too long")
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


class Reader:
    """Reads an archive of which nothing is believed: first the files, then what the manifest says of them."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._path = path
        self._file = file
        self.manifest: Manifest | None = None
        """Known once all members were read."""

    def members(self) -> Iterator[Member]:
        """Every file. Names are relative, of known places, and come once.

        Raises:
            FileError: it is no backup, was cut off, or holds what no backup has.
        """
        seen: set[str] = set()
        try:
            careful: IO[bytes] = _Careful(self._file)  # type: ignore[assignment]
            with tarfile.open(fileobj=careful, mode="r:", errorlevel=2) as tar:
                while (header := tar.next()) is not None:
                    tar.members = []  # type: ignore[attr-defined]  # else every header stays in memory
                    self._check(header, seen)
                    seen.add(header.name)
                    content = tar.extractfile(header)
                    if content is None:  # _check() took it for a file
                        raise self._refused("it holds what is no file")
                    if header.name == MANIFEST:
                        self.manifest = self._read_manifest(header, content)
                    else:
                        yield Member(header.name, header.size, self._pieces(content))
        except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
            raise self._refused(str(error) or "it is no tar archive") from error
        if self.manifest is None:
            raise self._refused("its end is missing")
        if self.manifest.files.keys() != seen - {MANIFEST}:
            raise self._refused("it does not hold the files that it says")

    def _pieces(self, content: IO[bytes]) -> Iterator[bytes]:
        try:
            while piece := content.read(CHUNK):
                yield piece
        except tarfile.TarError as error:
            raise self._refused(str(error)) from error

    def _check(self, header: tarfile.TarInfo, seen: set[str]) -> None:
        if header.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or header.issparse():
            raise self._refused(f"{header.name!r} is no plain file")
        if header.name in seen:
            raise self._refused(f"{header.name!r} is in it twice")
        if self.manifest is not None:
            raise self._refused("something comes after its end")
        if header.name != MANIFEST and not is_ours(header.name):
            raise self._refused(f"{header.name!r} is no file of a data directory")
        if header.size < 0:
            raise self._refused("a size is negative")

    def _read_manifest(self, header: tarfile.TarInfo, content: IO[bytes]) -> Manifest:
        if header.size > _MOST_MANIFEST_BYTES:
            raise self._refused("its manifest is too long")
        text = b"".join(self._pieces(content))
        try:
            manifest = Manifest.model_validate_json(text)
        except ValidationError as error:
            raise self._refused("its manifest cannot be read") from error
        if manifest.format > FORMAT:
            raise FileError(
                f"{self._path} was made by a newer Shoebox ({manifest.shoebox}).", "Update this Shoebox."
            )
        return manifest

    def _refused(self, why: str) -> FileError:
        return FileError(
            f"{self._path} is no whole backup of Shoebox: {why}.",
            "Take another one, or copy it anew from where it came. Nothing was changed.",
        )
