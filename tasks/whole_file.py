"""Writing a text file whole or not at all."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def whole_file(
    target: Path, put_in_place: Callable[[Path, Path], object] = Path.replace
) -> Iterator[IO[str]]:
    """A file to write, in UTF-8 with lines as they are given. It gets its name once all of it is on the disk.

    Only its owner can read it. After an error nothing is left of it.

    Args:
        target: the name it gets.
        put_in_place: gives it that name; by default it replaces what had it.

    Raises:
        OSError: it cannot be written, or whatever `put_in_place` raises.
    """
    # Temporary files have mode 0600.
    with tempfile.NamedTemporaryFile(
        "w", dir=target.parent, prefix=".shoebox-", encoding="utf-8", newline="", delete=False
    ) as file:
        new = Path(file.name)
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())  # else a power cut can leave the new name with nothing in it
            file.close()
            put_in_place(new, target)
        finally:
            new.unlink(missing_ok=True)
