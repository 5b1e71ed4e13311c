"""What Shoebox writes is for its user alone, whatever umask it was started with."""

import os

_PRIVATE = 0o077
_given: int | None = None


def be_private() -> None:
    """From now on new files and folders of this process and its children are closed to others."""
    global _given  # noqa: PLW0603 - the umask is one of the process, too
    before = os.umask(_PRIVATE)
    if _given is None:
        _given = before


def users_umask() -> int:
    """The umask that Shoebox was started with, for programs that are not its own; -1 if it was not changed.

    As `subprocess` takes it.
    """
    return -1 if _given is None else _given
