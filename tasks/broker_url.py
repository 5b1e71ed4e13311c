"""Where Redis is: the address of the user's own server, or of the embedded one.

The embedded server listens on a unix socket. Its path is kept short, in a private folder outside the data
directory, because the kernel takes at most 107 bytes (103 on macOS) of it. `up` leaves a link to that folder
in the data directory, so that a caller with another environment (cron, ssh) finds the same server.
"""

import hashlib
import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from tasks.errors import ServiceError

if TYPE_CHECKING:
    from tasks.settings import Settings

MAX_SOCKET_PATH_BYTES = 103
"""The shorter of the two systems' limits (sun_path in sys/un.h, less the final zero byte)."""
NO_ADDRESS = (
    "SHOEBOX_REDIS_URL is not the address of a Redis.",
    "Write it as redis://, rediss:// or unix://, with special characters of the password as %XX.",
)
"""Message and remedy."""
LONGEST_SOCKET_NAME = "supervisor.sock.2147483647"
"""supervisord binds under its process number first, then renames."""


def redis_config_path(settings: "Settings") -> Path:
    """The embedded server's configuration, mode 0600: it holds the password."""
    return settings.data_dir / "redis" / "redis.conf"


def runtime_link(settings: "Settings") -> Path:
    """The link to the folder of sockets; it is there from `up` to `down`."""
    return settings.data_dir / "run" / "sockets"


def runtime_dir(settings: "Settings") -> Path:
    """The folder of the sockets: the one in use, else the one that `up` should make.

    That is a folder in XDG_RUNTIME_DIR if there is one that can be written, else in /tmp. Nothing is created.
    """
    link = runtime_link(settings)
    if link.is_symlink() and link.is_dir():
        return link.readlink()
    name = hashlib.sha256(os.fsencode(settings.data_dir.absolute())).hexdigest()[:16]
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    if Path(base).is_absolute() and os.access(base, os.W_OK | os.X_OK):
        candidate = Path(base) / f"shoebox-{name}"
        if len(os.fsencode(candidate / LONGEST_SOCKET_NAME)) <= MAX_SOCKET_PATH_BYTES:
            return candidate
    return Path(f"/tmp/shoebox-{os.getuid()}-{name}")  # noqa: S108 - check_private() guards it


def redis_socket(settings: "Settings") -> Path:
    """The embedded server's socket."""
    return runtime_dir(settings) / "redis.sock"


def check_private(folder: Path) -> None:
    """Make sure that nobody else can put a server of their own into this folder.

    Raises:
        FileNotFoundError: it is not there.
        ServiceError: it is a link or a file, another user's, or open to others.
    """
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise ServiceError(
            f"{folder} is not a private folder of yours, so it cannot hold Shoebox's sockets.",
            "Remove it (its owner or root can), or set XDG_RUNTIME_DIR to a folder of your own.",
        )


def redis_url(settings: "Settings") -> str:
    """The address in redis-py's form. It contains the password: never log it.

    Raises:
        ServiceError: the embedded Redis was never started, is stopped, or its folder is not safe.
    """
    if settings.redis_url is not None:
        return settings.redis_url.get_secret_value()
    socket = redis_socket(settings)
    try:
        check_private(socket.parent)
        config = redis_config_path(settings).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ServiceError("Shoebox's own Redis is not running.", "Start it with: ./run.sh up") from error
    password = re.search(r'^requirepass "([0-9a-f]+)"$', config, re.MULTILINE)
    if password is None:
        raise ServiceError(
            f"{redis_config_path(settings)} has no password.", "Make it anew: ./run.sh down; ./run.sh up"
        )
    return f"unix://:{password[1]}@{quote(str(socket))}?db=0"


def celery_broker_url(url: str) -> str:
    """The same address in kombu's form; `url` is what redis_url() gave.

    kombu reads sockets as `redis+socket://user:password@/path?virtual_host=0` (kombu/transport/redis.py,
    `_connparams`), takes the database from the path only, and without `ssl_cert_reqs` checks no certificate
    (kombu/connection.py, "rediss"), where redis-py checks it.

    Raises:
        ServiceError: the address is none that redis-py takes.
    """
    from redis.connection import parse_url

    try:
        wanted = parse_url(url)  # type: ignore[no-untyped-call]
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ServiceError(*NO_ADDRESS) from None  # the cause's text may hold the password
    login = f"{quote(wanted.get('username') or '', safe='')}:{quote(wanted.get('password') or '', safe='')}@"
    login = "" if login == ":@" else login
    database = wanted.get("db", 0)
    if parts.scheme == "unix":
        return f"redis+socket://{login}{quote(parts.path, safe='/%')}?virtual_host={database}"
    host = parts.netloc.rpartition("@")[2]
    tls = {name: str(value) for name, value in wanted.items() if name.startswith("ssl_")}
    if parts.scheme == "rediss":
        tls.setdefault("ssl_cert_reqs", "required")
    return urlunsplit((parts.scheme, f"{login}{host}", f"/{database}", urlencode(tls), ""))
