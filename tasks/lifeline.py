"""A process that must not outlive the supervisor that started it."""

import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

SUPERVISED = "SHOEBOX_SUPERVISED"
"""Set to the data directory in every process under the supervisor, and inherited by their children."""
PR_SET_PDEATHSIG = 1
"""From linux/prctl.h. The setting survives exec, not fork."""


def die_with_parent() -> None:
    """Have SIGTERM sent to this process when its supervisor ends, even by SIGKILL.

    Call it first thing. Does nothing on other systems than Linux, and nothing outside the supervisor: a
    worker started with nohup has to outlive its shell.
    """
    if sys.platform != "linux" or SUPERVISED not in os.environ:
        return
    import ctypes

    parent = os.getppid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:  # it ended before it could be watched
        os.kill(os.getpid(), signal.SIGTERM)


def become(parent: int, command: Sequence[str]) -> NoReturn:
    """Become another program, which is bound to its parent as `die_with_parent` binds.

    `parent` is the process that wants it. Nothing is started if that has ended already.
    """
    die_with_parent()
    if os.getppid() != parent:
        sys.exit("the process that wanted this one has ended")
    try:
        os.execvp(command[0], list(command))  # noqa: S606 - no shell is what is wanted
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        sys.exit(f"{command[0]!r} cannot be run: {why}")


if __name__ == "__main__":
    become(int(sys.argv[1]), sys.argv[2:])
