"""Opening an original in the desktop's own viewer."""

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from shutil import which
from typing import BinaryIO

from app.plain_text import visible
from app.private_files import users_umask
from tasks.errors import FileError, ServiceError


def open_original(path: bytes) -> None:
    """Hand a file to the desktop. Returns at once; the viewer outlives this process.

    Raises:
        FileError: the file is gone, or no regular file.
        ServiceError: there is no desktop to show it.
    """
    original = Path(os.fsdecode(path)).absolute()
    shown = visible(str(original))
    try:
        found = original.stat()
    except OSError as error:
        raise _not_there(shown, error) from error
    if not stat.S_ISREG(found.st_mode):
        raise _no_file(shown)
    command = _viewer()
    if command is None:
        raise ServiceError(
            "There is no desktop here to show a file.", f"Open it where you have one; it is at {shown}"
        )
    try:
        # No shell, and an absolute path: nothing in a name can be taken for an option or a command.
        viewer = subprocess.Popen(
            [command, str(original)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            umask=users_umask(),
        )
    except OSError as error:
        raise ServiceError(
            f"{command} cannot be started: {error.strerror}.", f"The file is at {shown}"
        ) from error
    threading.Thread(target=viewer.wait, daemon=True).start()  # or it would stay in the table of processes


def original_file(path: bytes) -> BinaryIO:
    """An original, opened to be handed to somebody's browser.

    Raises:
        FileError: the file is gone, cannot be read, or is no regular file.
    """
    shown = visible(os.fsdecode(path))
    try:
        # Without waiting: a pipe that lies there by now would never open.
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    except OSError as error:
        raise _not_there(shown, error) from error
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise _no_file(shown)
    return file


def _not_there(shown: str, error: OSError) -> FileError:
    return FileError(
        f"{shown} cannot be opened: {error.strerror}.",
        "It was there when it was read; if it was moved, add it again from its new place.",
    )


def _no_file(shown: str) -> FileError:
    return FileError(f"{shown} is no regular file.", "Nothing was opened.")


def _viewer() -> str | None:
    """The program that knows the desktop's viewers; None without a desktop."""
    if sys.platform == "darwin":
        return which("open")
    if "WSL_DISTRO_NAME" in os.environ:
        return which("wslview") or which("xdg-open")
    if not any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")):
        return None
    return which("xdg-open") or which("gio-open")
