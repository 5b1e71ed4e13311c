"""Who else has a file open."""

import fcntl
import signal
import threading
from contextlib import suppress


def is_being_written(descriptor: int) -> bool:
    """Whether a program has the file open for writing, as far as this system tells.

    Linux grants a read lease only on a file that nobody has open for writing or mapped so (fcntl(2)). It is
    given back at once. Where there are no leases, as for files of other users and on network shares, the
    answer is False.
    """
    if not hasattr(fcntl, "F_SETLEASE"):
        return False
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    with suppress(OSError):
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def survive_broken_leases() -> None:
    """Ignore the signal that the kernel sends when a program wants to write where this one has a lease.

    Its default action would end this process. Only the main thread may set it; elsewhere nothing is done.
    """
    if hasattr(signal, "SIGIO") and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGIO, signal.SIG_IGN)
