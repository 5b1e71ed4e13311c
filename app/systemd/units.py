"""What the units say."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.services.lifecycle import ORPHAN_SECONDS, STOP_SECONDS
from app.systemd.quoting import command_line, path_value
from tasks.errors import ExitCode
from tasks.lifeline import SUPERVISED

UNITS = ("home", "worker", "watch", "api")
DRAIN_SECONDS = 60
"""A worker that is stopped gives the units back that it has not finished after so long."""
_STOP_SECONDS = int(STOP_SECONDS + ORPHAN_SECONDS) + 20
_CARRIED = ("SHOEBOX_", "OLLAMA_", "CUDA_", "PADDLE_")
_CARRIED_NAMES = frozenset(
    ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR", "OMP_NUM_THREADS")
)

# Not among them: PrivateTmp= and the like, which need namespaces that a user's systemd may not have, and
# which would hide the sockets in /tmp where there is no XDG_RUNTIME_DIR. OOMPolicy: a file that
# takes all memory costs its own process, and the supervisor sees to that.
_COMMON = """\
UMask=0077
OOMPolicy=continue
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
"""


@dataclass(frozen=True)
class UnitOptions:
    """What the units are written with."""

    program: tuple[str, ...]
    """The command of Shoebox, as words."""
    environment: Path
    """The file with the settings."""
    folders: tuple[Path, ...] = ()
    """To be watched."""
    queues: str | None = None
    """That the worker serves; None: as `worker` chooses."""


def unit_name(unit: str) -> str:
    """Its name in systemd."""
    return f"shoebox-{unit}.service"


def unit_text(unit: str, options: UnitOptions) -> str:
    """The whole unit.

    Raises:
        ConfigError: a path cannot be written in one.
    """
    return {"home": _home, "worker": _worker, "watch": _watch, "api": _api}[unit](options)


def carried_environment() -> dict[str, str]:
    """The settings in this environment, which systemd's own does not have."""
    carried = {
        name: value
        for name, value in os.environ.items()
        if (name.startswith(_CARRIED) or name in _CARRIED_NAMES) and name != SUPERVISED
    }
    for name in ("SHOEBOX_DATA_DIR", "SHOEBOX_CONFIG", "SHOEBOX_VENV"):
        if carried.get(name):  # the unit runs in another folder
            carried[name] = str(Path(carried[name]).absolute())
    return carried


def _home(options: UnitOptions) -> str:
    start = _command(options, "up", "--foreground")
    return f"""\
[Unit]
Description=Shoebox: Redis and the local workers
StartLimitIntervalSec=10min
StartLimitBurst=10

[Service]
Type=notify
{_environment(options)}ExecStart={start}
Restart=on-failure
RestartSec=20
RestartPreventExitStatus={int(ExitCode.CONFIG)}
KillMode=mixed
TimeoutStartSec=15min
TimeoutStopSec={_STOP_SECONDS}
{_COMMON}
[Install]
WantedBy=default.target
"""


def _worker(options: UnitOptions) -> str:
    queues = () if options.queues is None else ("--queues", options.queues)
    start = _command(options, "worker", *queues, "--drain-seconds", str(DRAIN_SECONDS))
    return f"""\
[Unit]
Description=Shoebox: a worker for a home elsewhere
StartLimitIntervalSec=0

[Service]
Type=exec
{_environment(options)}ExecStart={start}
Restart=always
RestartSec=20
RestartPreventExitStatus={int(ExitCode.CONFIG)}
KillMode=mixed
TimeoutStopSec={DRAIN_SECONDS + 60}
{_COMMON}
[Install]
WantedBy=default.target
"""


def _watch(options: UnitOptions) -> str:
    folders = [str(folder.absolute()) for folder in options.folders]
    on = _command(options, "watch", "--background", "--", *folders)
    off = _command(options, "watch", "--off", "--", *folders)
    return f"""\
[Unit]
Description=Shoebox: watched folders
Requires={unit_name("home")}
After={unit_name("home")}

[Service]
Type=oneshot
RemainAfterExit=yes
{_environment(options)}ExecStart={on}
ExecStop={off}
{_COMMON}
[Install]
WantedBy=default.target
"""


def _api(options: UnitOptions) -> str:
    return f"""\
[Unit]
Description=Shoebox: the HTTP API
Wants={unit_name("home")}
After={unit_name("home")}
StartLimitIntervalSec=10min
StartLimitBurst=10

[Service]
Type=exec
{_environment(options)}ExecStart={_command(options, "api", "--no-services")}
Restart=on-failure
RestartSec=20
RestartPreventExitStatus={int(ExitCode.CONFIG)}
KillMode=mixed
TimeoutStopSec=30
{_COMMON}
[Install]
WantedBy=default.target
"""


def _command(options: UnitOptions, *arguments: str) -> str:
    words: Sequence[str] = (*options.program, *arguments)
    return command_line(words)


def _environment(options: UnitOptions) -> str:
    return f"EnvironmentFile={path_value(options.environment)}\n"
