"""Where lines go: the standard error of a program under the supervisor, or a file of bounded size."""

import fcntl
import logging
import os
import sys
from pathlib import Path

MAX_FILE_BYTES = 5 * 1024 * 1024
"""Then the file becomes `.1` and a new one begins. As the supervisor's `stdout_logfile_maxbytes`."""
STANDARD_ERROR = 2


class Output(logging.Handler):
    """Writes each line at once and whole, so that lines of several processes never mix."""

    def descriptor(self) -> int:
        """Where to write."""
        return STANDARD_ERROR

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record. That nobody takes it, or that the disk is full, must not stop the work."""
        try:
            line = self.format(record).encode("utf-8", "backslashreplace") + b"\n"
            descriptor = self.descriptor()
            while line:
                line = line[os.write(descriptor, line) :]
        except (OSError, ValueError):
            return


class BoundedFile(Output):
    """Appends to a file of the user's alone, and keeps one old one. Several processes may share it.

    With `takes_stderr` the process' standard error goes there too, whatever writes to it.
    """

    def __init__(self, path: Path, *, takes_stderr: bool = False, max_bytes: int = MAX_FILE_BYTES) -> None:
        super().__init__()
        self._path = path
        self._takes_stderr = takes_stderr
        self._max_bytes = max_bytes
        self._descriptor = -1
        if takes_stderr:
            self.descriptor()

    def descriptor(self) -> int:
        """The file, opened where needed and put aside where it is too long."""
        if self._descriptor < 0 or not self._is_in_place():
            self._open()
        if os.fstat(self._descriptor).st_size >= self._max_bytes:
            self._put_aside()
        return self._descriptor

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        super().close()

    def _is_in_place(self) -> bool:
        """Whether the file that is open is still the one of that name."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), os.lstat(self._path))
        except OSError:
            return False

    def _open(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        opened = os.open(self._path, flags, 0o600)
        os.fchmod(opened, 0o600)  # an older version made it by the umask
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = opened
        if self._takes_stderr:
            sys.stderr.flush()
            os.dup2(opened, STANDARD_ERROR)

    def _put_aside(self) -> None:
        """One process does it; the others find the new file."""
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)  # goes with the descriptor
        if self._is_in_place():
            self._path.replace(self._path.with_name(self._path.name + ".1"))
        self._open()
