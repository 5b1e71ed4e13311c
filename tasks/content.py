"""The content of open files: its hash, and copying it."""

import hashlib
import os

_CHUNK = 1 << 20


def hash_of(descriptor: int) -> str:
    """SHA-256 of an open file from where it stands to its end, in hex. The file stays open."""
    with open(descriptor, "rb", buffering=0, closefd=False) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def copy_hashed(source: int, target: int) -> str:
    """Copy an open file to another, reading it once; returns its SHA-256 in hex.

    Raises:
        OSError: it cannot be read, or the target cannot be written.
    """
    digest = hashlib.sha256()
    while chunk := os.read(source, _CHUNK):
        digest.update(chunk)
        view = memoryview(chunk)
        while view:
            view = view[os.write(target, view) :]
    return digest.hexdigest()
