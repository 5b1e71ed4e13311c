"""Loaded by every Python process of the closed place: notes whom it tries to reach.

Python runs this before anything else, because its folder is in PYTHONPATH. That is also where the notes are:
a variable of their own would not reach the services, which are given few. A note is one line of JSON, added
in one write, so that many processes can share the file. The first one of each says that it was loaded.
"""

import json
import os
import sys
from typing import Any

_NOTES = os.path.join(os.path.dirname(__file__), "notes.jsonl")  # noqa: PTH118, PTH120 -- before pathlib
_HERE = {
    "",
    "localhost",
    "127.0.0.1",
    "::1",
    "0.0.0.0",
    "::",
    None,
}  # the last two: this machine, to a client
_WHERE = {  # audit events, and the place of the address or name among their arguments
    "socket.connect": 1,
    "socket.sendto": 1,
    "socket.sendmsg": 1,
    "socket.getaddrinfo": 0,
    "socket.gethostbyname": 0,
    "socket.gethostbyaddr": 0,
}


def _stranger(event: str, arguments: tuple[Any, ...]) -> str | None:
    """Whom an event is about, if that is not this machine itself."""
    if event == "socket.getnameinfo":
        target = arguments[0][0]
    elif event in _WHERE:
        target = arguments[_WHERE[event]]
        if target is None or (isinstance(target, str | bytes) and "get" not in event):
            return None  # a connected socket, or the path of a unix socket
        if isinstance(target, tuple):
            if not target or not isinstance(target[0], str):  # netlink: the kernel
                return None
            target = target[0]
    else:
        return None
    if isinstance(target, bytes):
        target = target.decode(errors="replace")
    return None if target in _HERE else str(target)


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if not event.startswith("socket."):
        return
    target = _stranger(event, arguments)
    if target is None:
        return
    import traceback  # only where there is something to say: every process loads this file

    where = [f"{one.filename}:{one.lineno}" for one in traceback.extract_stack(sys._getframe(1), limit=12)]
    _append({"event": event, "target": target, "command": sys.orig_argv, "stack": where[::-1]})


def _append(note: dict[str, Any]) -> None:
    with open(_NOTES, "ab", buffering=0) as file:  # noqa: PTH123 -- before pathlib
        file.write(json.dumps(note).encode() + b"\n")


_append({"loaded": sys.orig_argv})
sys.addaudithook(_note)
