"""Our sockets on the network: where they listen, who reaches them, and under which names."""

import errno
import hmac
import socket
from collections.abc import Container
from ipaddress import ip_address

from tasks.errors import ServiceError

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
"""Under which this machine calls itself in the Host header of HTTP."""
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via")
"""Headers of a proxy."""
_WAITING_CONNECTIONS = 1_024


def is_loopback(host: str) -> bool:
    """Whether an address is one that only this machine reaches."""
    if host == "localhost":
        return True
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def is_from_here(client: str, headers: Container[str]) -> bool:
    """Whether a request comes from this machine, and through no proxy. `headers` finds names in any case."""
    return is_loopback(client) and not any(name in headers for name in _FORWARDED)


def name_of_host(host: str) -> str:
    """The name in a Host header, without the port."""
    name, bracket, _ = host.lower().rpartition("]")
    return name + bracket if bracket else host.lower().partition(":")[0]


def bound_socket(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        ServiceError: the port is taken or not allowed, or the address is none of this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError) as error:
        raise ServiceError(f"{host!r} is no address.", "Name one of this machine's with --host.") from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_WAITING_CONNECTIONS)
    except OSError as error:
        listener.close()
        raise _refused(host, port, error) from error
    return listener


def _refused(host: str, port: int, error: OSError) -> ServiceError:
    match error.errno:
        case errno.EADDRINUSE:
            return ServiceError(
                f"Port {port} of {host} is taken by another program.",
                "End that, or name another port with --port.",
            )
        case errno.EACCES:
            return ServiceError(
                f"Port {port} may not be used by everybody.", "Name one above 1023 with --port."
            )
        case errno.EADDRNOTAVAIL:
            return ServiceError(
                f"{host} is no address of this machine.",
                "Name one of its own with --host, or 0.0.0.0 for all.",
            )
        case _:
            return ServiceError(
                f"{host}, port {port}: {error.strerror}.", "Name another with --host and --port."
            )


def address_of(listener: socket.socket) -> str:
    """Where a socket listens, as the beginning of a URL."""
    host, port = listener.getsockname()[:2]
    return f"http://{in_url(host, port)}"


def in_url(host: str, port: int) -> str:
    """An address and a port as in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_secret(given: str, secret: str) -> bool:
    """Whether a secret was given, in a time that does not tell how much of it was right."""
    # What was sent as bytes that are no UTF-8 comes as lone surrogates.
    return hmac.compare_digest(given.encode("utf-8", "replace"), secret.encode())
