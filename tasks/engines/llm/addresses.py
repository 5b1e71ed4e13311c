"""Where a model server is: its URL from what people write, and whether it stands in the open internet."""

import ipaddress
import socket
from urllib.parse import SplitResult, urlsplit

from tasks.errors import ConfigError

OLLAMA_PORT = 11434


def ollama_url(host: str) -> str:
    """The URL of an Ollama server from the value of OLLAMA_HOST, in every form that Ollama itself takes.

    Raises:
        ConfigError: it is no address.
    """
    text = host.strip()
    parts = _split(text)
    port = parts.port or (OLLAMA_PORT if "://" not in text else 443 if parts.scheme == "https" else 80)
    name = parts.hostname or "127.0.0.1"
    if name in ("0.0.0.0", "::"):  # noqa: S104  # what a server listens on stands in the same variable
        name = "127.0.0.1"
    name = f"[{name}]" if ":" in name else name
    return f"{parts.scheme}://{name}:{port}{parts.path.rstrip('/')}"


def openai_url(base_url: str) -> str:
    """The URL of an OpenAI-compatible server up to and with `/v1`, which is added where no path is given.

    Raises:
        ConfigError: it is no address.
    """
    parts = _split(base_url.strip())
    if not parts.hostname:
        raise _no_address(base_url)
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/') or '/v1'}"


def shown(url: str) -> str:
    """The URL without a password that may stand in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the open internet: not this machine, a home network or a VPN."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_global


def is_this_machine(url: str) -> bool:
    """Whether the server of a URL runs on this machine, by its address: only such a one can be bound to.

    Asks the resolver for a name; an address of another machine, a container's included, is none of ours.
    """
    name = urlsplit(url).hostname or ""
    try:
        found = socket.getaddrinfo(name, 0, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):  # the latter for a name that can be none
        return False
    return any(_can_bind(family, address) for family, _, _, _, address in found)


def _can_bind(family: int, address: object) -> bool:
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind(address)  # type: ignore[arg-type]  # as getaddrinfo gave it
    except OSError:
        return False
    return True


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        valid = parts.scheme in ("http", "https") and (parts.port is None or parts.port > 0)
    except ValueError:
        valid = False
    if not valid or any(c.isspace() or not c.isprintable() for c in text):
        raise _no_address(text)
    return parts


def _no_address(text: str) -> ConfigError:
    shown_text = text.rpartition("@")[2]  # what stands before may be a password
    return ConfigError(
        f"{shown_text!r} is not the address of a model server.", "Write it as http://HOST:PORT, or HOST:PORT."
    )
