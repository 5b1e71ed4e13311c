"""A process that must not outlive the supervisor that started it."""

import os
import signal
import sys

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
