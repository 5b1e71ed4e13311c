"""Questions about paths where asking may fail: a folder closed to us, a share that is gone, a name too long.

`Path.exists` and its kin raise there up to Python 3.13; these say no.
"""

import os
from pathlib import Path


def exists(path: Path) -> bool:
    """Whether something is there, as far as we may look."""
    return os.path.exists(path)  # noqa: PTH110 - see the module


def is_folder(path: Path) -> bool:
    """Whether a folder is there, as far as we may look."""
    return os.path.isdir(path)  # noqa: PTH112 - see the module
