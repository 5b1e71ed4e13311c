"""What to type on another machine so that it works for this home."""

import ipaddress
import shlex
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from tasks.broker_url import redis_socket, redis_url
from tasks.settings import Settings
from tasks.version import VERSION

TUNNEL_PORT = 16379
"""On the other machine's loopback; not Redis' own port, which may be in use there."""
PASSWORD = "PASSWORD"  # noqa: S105 - the word that stands in its place


def invitation(settings: Settings, *, show_password: bool = False) -> str:
    """How another machine gets to this home's Redis, and how a worker is started there.

    Lines for a person; those that are to be typed begin with two spaces.

    Raises:
        ServiceError: the embedded Redis is not up.
    """
    url = redis_url(settings)
    target = _only_here(settings, url)
    address = _without_secret(_through_tunnel(url) if target else url, show_password)
    lines = [
        f"The other machine needs Shoebox {VERSION}, the version of this one, and nothing else of yours."
    ]
    if target:
        lines += ["", *_tunnel_lines(target)]
    lines += [
        "",
        "Start the worker there:",
        "",
        f"  SHOEBOX_REDIS_URL={shlex.quote(address)} ./run.sh worker",
    ]
    lines += ["", *_notes(url, address, settings, show_password)]
    return "\n".join(lines)


def _only_here(settings: Settings, url: str) -> str:
    """Where ssh finds a Redis that is only to be reached on this machine; empty for one on the network."""
    if settings.redis_url is None:
        port = settings.redis_port
        return f"127.0.0.1:{port}" if port else str(redis_socket(settings))
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return unquote(parts.path)
    host = parts.hostname or "localhost"
    is_here = host == "localhost" or _is_loopback(host)
    return f"{'[::1]' if ':' in host else '127.0.0.1'}:{parts.port or 6379}" if is_here else ""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _tunnel_lines(target: str) -> list[str]:
    forward = shlex.quote(f"127.0.0.1:{TUNNEL_PORT}:{target}")
    options = "-N -o ExitOnForwardFailure=yes -o ServerAliveInterval=10"
    return [
        "This home's Redis is only to be reached on this machine, so its way is a tunnel. Open it here,",
        "",
        f"  ssh {options} -R {forward} USER@OTHER-MACHINE",
        "",
        "or, where only the other machine reaches this one, there:",
        "",
        f"  ssh {options} -L {forward} USER@THIS-MACHINE",
    ]


def _through_tunnel(url: str) -> str:
    from redis.connection import parse_url

    wanted = parse_url(url)  # type: ignore[no-untyped-call]
    user, password = (quote(wanted.get(name) or "", safe="") for name in ("username", "password"))
    login = f"{user}:{password}@" if user or password else ""
    parts = urlsplit(url)
    scheme = "rediss" if parts.scheme == "rediss" else "redis"
    query = parts.query if scheme == "rediss" else ""
    address = f"{login}127.0.0.1:{TUNNEL_PORT}"
    return urlunsplit((scheme, address, f"/{wanted.get('db') or 0}", query, ""))


def _without_secret(url: str, show_password: bool) -> str:
    parts = urlsplit(url)
    if show_password or not parts.password:
        return url
    user, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}:{PASSWORD}@{host}"))


def _notes(url: str, address: str, settings: Settings, show_password: bool) -> list[str]:
    notes = []
    if not show_password and PASSWORD in address:
        whose = "this home's Redis" if settings.redis_url is None else "your Redis"
        notes.append(
            f"Put the password of {whose} in the place of {PASSWORD}:"
            " ./run.sh invite --show-password prints it."
        )
    elif not urlsplit(address).password:
        notes.append("Your Redis asks for no password: whoever reaches it sees your documents. Give it one.")
    if "ssl_ca_certs=" in url or "ssl_certfile=" in url:
        notes.append("The files that the address names must be on the other machine, too.")
    if urlsplit(address).scheme == "redis" and not _only_here(settings, url):
        notes.append("Page images and text go to that address unencrypted: use rediss:// or a tunnel by ssh.")
    notes.append(
        "To keep the password in a file, and out of the shell's history: leave it out of the address, and add"
        " --password-file FILE. To start it at each boot: the same with ./run.sh systemd worker --write."
    )
    notes.append("Stop it there with Ctrl-C: it finishes what it is on. docs/gpu-box.md says more.")
    return notes
