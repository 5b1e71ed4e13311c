"""The services for as long as this process lives: under systemd, and as the first process of a container."""

import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import TYPE_CHECKING

from app.services import folders
from app.services.lifecycle import UpResult, down, up
from app.services.processes import service_processes, supervisors
from app.services.programs import Program, supervisor_log
from tasks.errors import ServiceError
from tasks.settings import Settings

if TYPE_CHECKING:
    import psutil  # type: ignore[import-untyped]

_LOOK_SECONDS = 1.0


class _StopAsked(BaseException):
    """A signal that asks this process to end."""


def stay_up(
    settings: Settings, say: Callable[[UpResult], None], programs: Sequence[Program] | None = None
) -> None:
    """Start the services as `up` does, stay, and stop them at SIGTERM, SIGINT or SIGHUP.

    Returns as well when somebody else stops them with `down`. `programs` as for `up`.

    Raises:
        ServiceError: something does not start, or the supervisor ended by itself.
        ConfigError: as `up`.
    """
    began = time.time()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _ask_to_stop)
    try:
        say(up(settings, programs))
        _tell_systemd("READY=1")
        while running := supervisors(service_processes(settings)):
            _wait_for_end(running)
    except _StopAsked:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        _tell_systemd("STOPPING=1")
        down(settings)
        return
    if folders.stopped_at(settings) < began:
        raise ServiceError("The supervisor of the services ended.", f"Its log is {supervisor_log(settings)}.")


def _ask_to_stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a signal handler's form
    raise _StopAsked


def _wait_for_end(running: "list[psutil.Process]") -> None:
    """Return when one of these has ended; looking at a process that is known costs next to nothing."""
    import psutil

    try:
        while all(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in running):
            time.sleep(_LOOK_SECONDS)
    except psutil.NoSuchProcess:
        return


def _tell_systemd(words: str) -> None:
    """As sd_notify(3) does it; does nothing elsewhere."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notice:
        notice.sendto(words.encode(), address)
