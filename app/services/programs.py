"""What runs under the supervisor, written down as its configuration."""

import os
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import app
from app.services.folders import run_dir, write_private
from app.worker_plan import PlannedWorker, plan_workers
from tasks.broker_url import runtime_dir
from tasks.errors import ExitCode, ServiceError
from tasks.lifeline import SUPERVISED
from tasks.planning import CPU_QUEUE, GPU_QUEUE, HOME_QUEUE
from tasks.settings import Settings

REDIS = "redis"
"""The program that starts first and stops last."""
WORKERS = "workers"
"""The group of all others: they start together and stop together."""
WORKER_START_SECONDS = 2
"""A worker that cannot be imported or configured ends within this time."""
HOPELESS_EXIT = int(ExitCode.CONFIG)
"""A program that ends with this is not started again: only a person can mend what is wrong."""

LOG_BYTES = 5 * 1024 * 1024
"""A program's log is put aside when it has grown to this."""
LOGS_ASIDE = 2
"""So many of a program are kept beside the present one."""

# fmt: off
KEPT_VARIABLES = frozenset((
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH",
    "PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE", "OMP_NUM_THREADS", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "DISPLAY", "WAYLAND_DISPLAY", "DBUS_SESSION_BUS_ADDRESS",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
))
# fmt: on
KEPT_PREFIXES = ("SHOEBOX_", "LC_", "XDG_", "OLLAMA_", "CUDA_", "NVIDIA_", "PADDLE_")


@dataclass(frozen=True)
class Program:
    """One supervised program."""

    name: str
    command: tuple[str, ...]
    stop_seconds: int = 10
    """From SIGTERM to SIGKILL. A unit that is cut off is issued again, so it need not last a whole unit."""
    start_seconds: int = 1
    """It counts as running once it has lived so long."""
    environment: dict[str, str] = field(default_factory=dict)
    """What it has beside the supervisor's."""


def default_programs(settings: Settings) -> tuple[Program, ...]:
    """Redis, unless the user has one, and the local workers."""

    def shoebox(name: str, *arguments: str, environment: dict[str, str] | None = None) -> Program:
        command = (sys.executable, "-m", "app", *arguments)
        return Program(name, command, start_seconds=WORKER_START_SECONDS, environment=environment or {})

    def worker(planned: PlannedWorker) -> Program:
        name = planned.name()
        arguments = ("worker", "--queues", planned.queue, "--name", name, "--local")
        return shoebox(name, *arguments, environment=planned.environment)

    workers = (
        *map(worker, plan_workers((HOME_QUEUE, CPU_QUEUE, GPU_QUEUE), metrics_port=settings.metrics_port)),
        shoebox("beat", "_beat"),
        shoebox("watch", "_watch"),
        *((shoebox("scaler", "_scaler"),) if settings.extra_worker_command else ()),
    )
    if settings.redis_url is not None:
        return workers
    return (Program(REDIS, (sys.executable, "-m", "app", "_serve-redis")), *workers)


def outlast_start() -> None:
    """Under the supervisor, wait until this program counts as running.

    supervisord starts whatever ends before that again and again, with whatever status it ends.
    """
    if SUPERVISED in os.environ:
        time.sleep(WORKER_START_SECONDS + 1)


def child_environment(settings: Settings) -> dict[str, str]:
    """The environment of the supervisor and of everything under it: little, so that it is always the same.

    PYTHONSAFEPATH keeps modules in the working directory from being taken for ours.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in KEPT_VARIABLES or name.startswith(KEPT_PREFIXES)
    }
    data_dir = str(settings.data_dir.absolute())
    return kept | {
        "SHOEBOX_DATA_DIR": data_dir,
        SUPERVISED: data_dir,
        "PYTHONPATH": str(Path(app.__file__).resolve().parent.parent),
        "PYTHONSAFEPATH": "1",
        "PYTHONUNBUFFERED": "1",
    }


def config_path(settings: Settings) -> Path:
    """The supervisor's configuration."""
    return run_dir(settings) / "supervisord.conf"


def supervisor_socket(settings: Settings) -> Path:
    """Where the supervisor takes orders."""
    return runtime_dir(settings) / "supervisor.sock"


def supervisor_log(settings: Settings) -> Path:
    """The supervisor's own log: each start and end of a program."""
    return settings.log_dir / "supervisord.log"


def write_config(settings: Settings, programs: Sequence[Program]) -> None:
    """Write the supervisor's configuration for these programs.

    Its paths are relative to its own folder, where the supervisor runs: that takes any data directory.

    Raises:
        ServiceError: a command cannot be written in it.
    """
    sections = [
        f"""[supervisord]
logfile=../logs/supervisord.log
logfile_maxbytes={LOG_BYTES}
logfile_backups={LOGS_ASIDE}
pidfile=supervisord.pid
identifier=shoebox
umask=077
minfds=256
minprocs=32
nocleanup=true

[unix_http_server]
file={_value(str(supervisor_socket(settings)))}
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""
    ]
    sections += [_program_section(program) for program in programs]
    workers = [program.name for program in programs if program.name != REDIS]
    if workers:
        sections.append(f"[group:{WORKERS}]\nprograms={','.join(workers)}\npriority=10\n")
    write_private(config_path(settings), "\n".join(sections))


def _program_section(program: Program) -> str:
    """Redis starts with the supervisor; the rest is started once Redis has answered.

    supervisord waits one second longer after each failed start. With this many retries it never gives up: a
    worker may have to wait for a Redis elsewhere. One that ends with HOPELESS_EXIT after it has counted as
    running (`outlast_start`) is left alone. SIGTERM goes to the program alone, because a worker's pool
    would lose what it is doing; SIGKILL goes to all that is left of it.
    """
    is_redis = program.name == REDIS
    variables = ",".join(f'{name}="{_value(value)}"' for name, value in program.environment.items())
    environment = f"environment={variables}\n" if variables else ""
    return f"""[program:{program.name}]
command={_value(shlex.join(program.command))}
{environment}autostart={str(is_redis).lower()}
autorestart=unexpected
exitcodes={HOPELESS_EXIT}
startsecs={program.start_seconds}
startretries=1000000
stopsignal=TERM
stopwaitsecs={program.stop_seconds}
stopasgroup=false
killasgroup=true
priority={1 if is_redis else 10}
redirect_stderr=true
stdout_logfile=../logs/{program.name}.log
stdout_logfile_maxbytes={LOG_BYTES}
stdout_logfile_backups={LOGS_ASIDE}
"""


def _value(text: str) -> str:
    """A value as supervisord reads it back: `%` expands, and ` ;` or ` #` would begin a comment."""
    if " ;" in text or " #" in text or not text.isprintable():
        raise ServiceError(
            f"{text!r} holds ' ;', ' #' or a control character: the supervisor cannot take it.",
            "Move Shoebox, or its SHOEBOX_VENV, to a folder with a simpler name.",
        )
    return text.replace("%", "%%")
