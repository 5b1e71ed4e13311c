"""Recordings of a real Ollama 0.32.15: what was sent, and what came back.

Taken on a CPU with random tiny models. Replaced in them: line ends, the folder of the model files, and the
address of a name server.
"""

import http.client
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

FOLDER = Path(__file__).parent / "recordings"


@dataclass(frozen=True)
class Exchange:
    """A request's answer, recorded or just received."""

    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes
    """Without chunk framing."""
    complete: bool
    """The body came to its proper end."""

    @property
    def lines(self) -> list[Any]:
        """Every line of the body as JSON."""
        return [json.loads(line) for line in self.body.split(b"\n") if line.strip()]

    @property
    def is_json(self) -> bool:
        return "json" in self.headers.get("content-type", "")


@dataclass(frozen=True)
class Recording:
    """One file."""

    name: str
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    answer: Exchange

    @property
    def json(self) -> dict[str, Any]:
        """The request's body; empty if it is none."""
        try:
            return dict(json.loads(self.body))
        except ValueError:
            return {}

    def replay(self, url: str) -> Exchange:
        """Send the same request to another server."""
        return send(url, self.method, self.path, self.body, self.headers)


def names() -> list[str]:
    """Every recording that is kept here."""
    return sorted(path.stem for path in FOLDER.glob("*.txt"))


def load(name: str) -> Recording:
    """Read one recording."""
    data = (FOLDER / f"{name}.txt").read_bytes()
    comment, _, rest = data.partition(b"##### REQUEST\n")
    request, _, rest = rest.partition(b"\n##### RESPONSE HEADERS\n")
    head, _, answer_body = rest.partition(b"\n##### RESPONSE BODY (de-chunked)\n")
    request_head, _, body = request.partition(b"\n\n")
    method, path, _ = request_head.split(b"\n", 1)[0].decode().split(" ", 2)
    status = int(head.split(b" ", 2)[1])
    complete = b"terminating 0-chunk seen: False" not in comment
    # A recording ends with the newline that its writer added.
    answer = Exchange(status, _headers(head), answer_body.removesuffix(b"\n"), complete)
    return Recording(name, method, path, _headers(request_head), body.rstrip(b"\n"), answer)


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode().split("\n")[1:]
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}


def send(url: str, method: str, path: str, body: bytes, headers: dict[str, str] | None = None) -> Exchange:
    """One request over a connection of its own."""
    address = urlsplit(url)
    kept = {k: v for k, v in (headers or {}).items() if k not in ("host", "content-length", "connection")}
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
    try:
        connection.request(method, path, body if method in ("POST", "DELETE") else None, kept)
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        try:
            return Exchange(response.status, found, response.read(), complete=True)
        except http.client.IncompleteRead as cut:
            return Exchange(response.status, found, cut.partial, complete=False)
    finally:
        connection.close()


def shape(value: Any) -> Any:
    """The form of a JSON value: keys and types, the members of a list merged."""
    if isinstance(value, dict):
        return {key: "bytes" if key == "bytes" else shape(member) for key, member in value.items()}
    if isinstance(value, list):
        return [json.loads(form) for form in sorted({json.dumps(shape(m), sort_keys=True) for m in value})]
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "null" if value is None else "string"
