"""The webhook: a signed POST of JSON to the address that the settings name."""

import hashlib
import hmac
import ipaddress
import json
from typing import TYPE_CHECKING, Any

from tasks.notify.outbox import Batch, Notice, iso_time

if TYPE_CHECKING:
    from pydantic import SecretStr

TIMEOUT_SECONDS = 10.0
"""For all of it: name, connection, request and the beginning of the reply."""
USER_AGENT = "Shoebox"
DELIVERY = "X-Shoebox-Delivery"
TIMESTAMP = "X-Shoebox-Timestamp"
SIGNATURE = "X-Shoebox-Signature"

_WORDS = {  # by the name of httpx's error; their own text may hold the address, and with it a token
    "ConnectTimeout": "it could not be reached in time",
    "ConnectError": "nothing answers there, or its certificate is not good",
    "ReadTimeout": "it did not answer in time",
    "WriteTimeout": "it did not take the request in time",
    "RemoteProtocolError": "it closed the connection without an answer, or does not speak HTTP",
    "ReadError": "the connection broke",
    "WriteError": "the connection broke",
    "ProxyError": "the proxy refused",
    "UnsupportedProtocol": "its address is not one of http or https",
}


class WebhookError(Exception):
    """It was not delivered. The words never hold the address or the secret."""


def delivery_id(home: str, batch: int) -> str:
    """The id of a batch, the same however often it is sent."""
    return f"{home}-{batch}"


def body_of(home: str, batch: Batch) -> bytes:
    """The JSON of a batch. The same batch always gives the same bytes."""
    return _json(delivery_id(home, batch.id), [_event(home, notice) for notice in batch.notices])


def trial_body(delivery: str, now: float) -> bytes:
    """The JSON of a test."""
    return _json(delivery, [{"id": delivery, "kind": "test", "at": iso_time(now)}])


def _event(home: str, notice: Notice) -> dict[str, Any]:
    event = {"id": f"{home}-{notice.id}", "kind": notice.kind.value, "at": iso_time(notice.created_at)}
    if notice.document:
        event |= {"document": notice.document, "state": notice.state}
    return event | notice.payload


def _json(delivery: str, events: list[dict[str, Any]]) -> bytes:
    return json.dumps({"version": 1, "delivery": delivery, "events": events}).encode("ascii")


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """HMAC-SHA256 of timestamp, a dot and the body, as the header has it."""
    code = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256)
    return f"sha256={code.hexdigest()}"


def post(
    url: "SecretStr",
    secret: "SecretStr | None",
    delivery: str,
    body: bytes,
    now: float,
    timeout: float = TIMEOUT_SECONDS,
) -> int:
    """Send a body; returns the status, which is 200 to 299. The reply's body is not even read.

    Raises:
        WebhookError: it was not accepted, in words.
    """
    import asyncio

    timestamp = str(int(now))
    headers = {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        DELIVERY: delivery,
        TIMESTAMP: timestamp,
    }
    if secret is not None:
        headers[SIGNATURE] = signature(secret.get_secret_value(), timestamp, body)
    status = asyncio.run(_send(url.get_secret_value(), headers, body, timeout))
    if 300 <= status < 400:
        raise WebhookError(f"it answered {status}, a redirect, which is not followed")
    if not 200 <= status < 300:
        raise WebhookError(f"it answered {status}")
    return status


async def _send(url: str, headers: dict[str, str], body: bytes, timeout: float) -> int:
    """An event loop, because only there one limit holds for the whole: a reply that drips is cut off too."""
    import asyncio
    import logging

    import httpx

    for telling in ("httpx", "httpcore"):  # httpx would log the whole address, and with it a token
        logging.getLogger(telling).setLevel(logging.WARNING)
    try:
        # A proxy has no business with a receiver on this machine: it would be told what need not leave it.
        # With a transport of its own the client asks the environment for certificates, not for proxies.
        address = httpx.URL(url)
        # Certificates are read only for those who show one: that takes longer than the delivery.
        needs_certificates = address.scheme != "http"
        direct = httpx.AsyncHTTPTransport(verify=needs_certificates) if _is_loopback(address.host) else None
        async with asyncio.timeout(timeout), httpx.AsyncClient(timeout=timeout, transport=direct) as client:
            request = client.stream("POST", url, headers=headers, content=body, follow_redirects=False)
            async with request as response:
                return response.status_code
    except TimeoutError:
        raise WebhookError(f"it did not answer within {timeout:g} seconds") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
        words = _WORDS.get(type(error).__name__, f"it cannot be asked ({type(error).__name__})")
        raise WebhookError(words) from None


def _is_loopback(host: str) -> bool:
    """Whether a host is this machine by its very name; nobody is asked."""
    name = host.casefold().rstrip(".")
    try:
        address = ipaddress.ip_address(name)
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return (mapped or address).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
