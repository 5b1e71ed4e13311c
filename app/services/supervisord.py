"""Starting supervisord and giving it orders."""

import http.client
import os
import re
import socket
import subprocess
import sys
import xmlrpc.client
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from app.services.folders import run_dir
from app.services.programs import child_environment, config_path, supervisor_log, supervisor_socket
from tasks.broker_url import check_private
from tasks.errors import ServiceError
from tasks.settings import Settings

ANSWER_SECONDS = 5.0
START_SECONDS = 30.0


@dataclass(frozen=True)
class ProgramState:
    """One program as supervisord sees it."""

    name: str
    group: str
    state: str
    """STOPPED, STARTING, RUNNING, BACKOFF, STOPPING, EXITED, FATAL or UNKNOWN (supervisord's words)."""
    pid: int
    """0 if it does not run."""
    uptime_seconds: int
    exit_status: int
    """Of its last end; -1 after a signal, 0 also if it never ended."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=ANSWER_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(ANSWER_SECONDS)
        self.sock.connect(str(self._path))


class _Transport(xmlrpc.client.Transport):
    """XML-RPC over a unix socket, with a time-out: supervisor's own transport would wait for ever."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = _Connection(self._path)
        self._connection = host, connection  # what the parent's close() closes
        return connection


class Supervisor:
    """A running supervisord.

    Every method raises ServiceError if it does not answer.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def programs(self) -> list[ProgramState]:
        """Every program it looks after."""
        found = cast("list[dict[str, Any]]", self._order("supervisor.getAllProcessInfo"))
        return [
            ProgramState(
                name=one["name"],
                group=one["group"],
                state=one["statename"],
                pid=one["pid"],
                uptime_seconds=max(0, one["now"] - one["start"]) if one["pid"] else 0,
                exit_status=one["exitstatus"],
            )
            for one in found
        ]

    def start(self, program: ProgramState) -> None:
        """Start a program; return at once."""
        self._order("supervisor.startProcess", f"{program.group}:{program.name}", False)

    def shutdown(self) -> None:
        """Stop all programs, then itself; return at once."""
        self._order("supervisor.shutdown")

    def _check_folder(self) -> None:
        """Somebody else's supervisor is none of ours: after a clean-up of /tmp its name may be taken."""
        with suppress(FileNotFoundError):  # what asks says that
            check_private(supervisor_socket(self._settings).parent)

    def _order(self, method: str, *arguments: object) -> object:
        self._check_folder()
        transport = _Transport(supervisor_socket(self._settings))
        try:
            with xmlrpc.client.ServerProxy("http://localhost", transport) as server:
                return getattr(server, method)(*arguments)
        except (OSError, http.client.HTTPException, xmlrpc.client.Error) as error:
            raise ServiceError(
                f"The supervisor does not answer ({type(error).__name__}).",
                "End it and what it runs with ./run.sh down, then ./run.sh up.",
            ) from error


def launch(settings: Settings) -> None:
    """Start supervisord as a daemon, with the configuration that was written before.

    Raises:
        ServiceError: it does not start; with its own words.
    """
    # The supervisor opens its log before it sets the umask of its configuration.
    log = os.open(supervisor_log(settings), os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    os.fchmod(log, 0o600)
    os.close(log)
    command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(config_path(settings).absolute())]
    try:
        started = subprocess.run(
            command,
            env=child_environment(settings),
            cwd=run_dir(settings),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ServiceError(
            "The supervisor did not start in time.", "Run ./run.sh down and try again."
        ) from error
    if started.returncode != 0:
        words = (started.stderr or started.stdout).strip()
        raise ServiceError(f"The supervisor did not start: {words}", "Run ./run.sh doctor.")


def restarts(settings: Settings, name: str) -> int:
    """How often a program was started again since the supervisor started, from the supervisor's log."""
    try:
        log = supervisor_log(settings).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return 0
    since_start = log[log.rfind("supervisord started with pid") :]
    return max(0, len(re.findall(rf"spawned: '{re.escape(name)}' with pid", since_start)) - 1)
