"""Whether a backup is whole: every byte of it is read and compared before anything is believed."""

import hashlib
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from app.backup.archive import Manifest, Member, Progress, Reader
from tasks.errors import ConfigError, FileError, NotFoundError
from tasks.upgrading import LATEST


@dataclass(frozen=True)
class Checked:
    """What a whole backup holds."""

    manifest: Manifest
    size: int
    """Of all its files, in bytes."""


def check_backup(path: Path, progress: Progress = lambda _: None) -> Checked:
    """Read a whole backup and compare every file with its hash.

    Raises:
        NotFoundError: there is no such file.
        FileError: it is no backup, is not whole, or was changed.
        ConfigError: a newer version made it.
    """
    return read_backup(path, None, progress)


def read_backup(
    path: Path, put: Callable[[Member], AbstractContextManager[IO[bytes]]] | None, progress: Progress
) -> Checked:
    """As `check_backup`; `put` says where each file is written to meanwhile.

    Raises:
        FileError, NotFoundError, ConfigError: as `check_backup`.
        OSError: a file cannot be written.
    """
    found: dict[str, tuple[int, str]] = {}
    with _opened(path) as file:
        reader = Reader(path, file)
        for member in reader.members():
            with put(member) if put else nullcontext() as target:
                found[member.name] = _copied(member, target, progress)
    manifest = reader.manifest
    if manifest is None:  # members() has refused that
        raise FileError(f"{path} is no whole backup of Shoebox.")
    for name, entry in manifest.files.items():
        if found[name] != (entry.size, entry.sha256):
            raise FileError(
                f"{path} was changed or is damaged: {name!r} is not what was backed up.",
                "Take another backup, or copy it anew from where it came. Nothing was changed.",
            )
    _refuse_newer(path, manifest)
    return Checked(manifest, sum(size for size, _ in found.values()))


def _opened(path: Path) -> IO[bytes]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotFoundError(f"{path} does not exist.", "Check the name.") from error
    except OSError as error:
        raise FileError(f"{path} cannot be opened: {error.strerror}.", "Check its rights.") from error
    if not path.is_file():
        os.close(descriptor)
        raise FileError(f"{path} is no file.", "Name the file that ./run.sh backup has written.")
    return os.fdopen(descriptor, "rb")


def _copied(member: Member, target: IO[bytes] | None, progress: Progress) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    for piece in member.pieces:
        digest.update(piece)
        size += len(piece)
        if target is not None:
            target.write(piece)
        progress(len(piece))
    return size, digest.hexdigest()


def _refuse_newer(path: Path, manifest: Manifest) -> None:
    if manifest.schema_number > LATEST:
        raise ConfigError(
            f"{path} was made by a newer Shoebox ({manifest.shoebox}, schema {manifest.schema_number}; this"
            f" one knows {LATEST}).",
            "Update this Shoebox, then restore again. Nothing was changed.",
        )
