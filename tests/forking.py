"""Doing something in a process of its own, which may be killed over it."""

import os
from collections.abc import Callable


def in_child(work: Callable[[], object]) -> int:
    """Do something in a process of its own; its status as waitpid gives it. 0: nothing was raised."""
    return os.waitpid(begin_child(work), 0)[1]


def begin_child(work: Callable[[], object]) -> int:
    """Begin something in a process of its own; its number, for waitpid."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return child
