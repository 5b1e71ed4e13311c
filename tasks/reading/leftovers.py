"""A folder for what unpacking a file leaves: private, and gone afterwards, whoever was killed."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.settings import Settings

_PREFIX = "reading-"


@contextmanager
def scratch_folder(settings: Settings) -> Iterator[Path]:
    """A folder in the spool that is removed at the end; those of processes that were killed go too."""
    settings.spool_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in settings.spool_dir.glob(f"{_PREFIX}*"):
        if not _is_alive(left.name.removeprefix(_PREFIX).partition("-")[0]):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(
        dir=settings.spool_dir, prefix=f"{_PREFIX}{os.getpid()}-", ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except ValueError:  # not a name of ours
        return True
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
