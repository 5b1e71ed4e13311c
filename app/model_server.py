"""This machine's Ollama, asked without its package: what `doctor` says of it."""

import json
import os
import socket
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from app.model_uses import model_uses
from tasks.circuit import load_circuit
from tasks.engines.llm.addresses import is_public
from tasks.errors import ConfigError
from tasks.ledger import Ledger
from tasks.routing import KnownModels, same_model
from tasks.settings import Settings

SERVER_SECONDS = 1.0
_MOST_BYTES = 2_000_000
"""Of an answer; the list of a thousand models has half of that."""


@dataclass(frozen=True, slots=True)
class ModelServer:
    """An Ollama. What it says of itself is untrusted text."""

    place: str
    """Host and port, without a password."""
    version: str = ""
    """Empty: nothing answers there."""
    models: tuple[str, ...] | None = None
    """The names of its models; None where it does not say."""


def ask_model_server(settings: Settings) -> ModelServer:
    """Ask the Ollama of this machine. Directly: a proxy has no business with a local server.

    Raises:
        ConfigError: its address has no valid port, or is in the open internet, which has to be allowed.
    """
    address = settings.ollama_host or os.environ.get("OLLAMA_HOST") or "127.0.0.1:11434"
    parts = urlsplit(address if "://" in address else f"http://{address}")
    host = (parts.hostname or "127.0.0.1").replace("0.0.0.0", "127.0.0.1")  # noqa: S104 - a server's word
    secure = parts.scheme == "https"
    usual_port = (443 if secure else 80) if "://" in address else 11434
    try:
        port = parts.port or usual_port
    except ValueError as error:
        raise ConfigError("OLLAMA_HOST has no valid port", "Correct OLLAMA_HOST.") from error
    place = f"{host}:{port}"
    if not settings.allow_remote_models and _is_public(host, port):
        raise ConfigError(
            f"{place} is in the open internet, so nothing is sent there",
            "Use a server in your own network, or allow remote models in the settings.",
        )
    with closing((HTTPSConnection if secure else HTTPConnection)(host, port, timeout=SERVER_SECONDS)) as http:
        told = _ask(http, f"{parts.path.rstrip('/')}/api/version")
        version = told.get("version") if isinstance(told, dict) else None
        if not isinstance(version, str) or not version or len(version) > 40:
            return ModelServer(place)
        return ModelServer(place, version, _names(_ask(http, f"{parts.path.rstrip('/')}/api/tags")))


def missing_models(settings: Settings, server: ModelServer) -> list[str]:
    """The models that Shoebox is to use and that neither this server nor any worker has, with their uses."""
    if server.models is None or settings.engine in {"offline", "openai"}:
        return []
    known = KnownModels()
    if settings.ledger_path.exists():
        with Ledger.open(settings) as ledger:
            known = load_circuit(ledger).known
    uses = model_uses(settings)
    return [
        f"{name} for {' and '.join(use.words for use in uses.of(name))}"
        for name in uses.models
        if not any(same_model(name, one) for one in server.models) and known.find(name) is None
    ]


def last_failure(settings: Settings) -> str:
    """What the last calls to language models failed with, in words; empty if they did not."""
    if not settings.ledger_path.exists():
        return ""
    with Ledger.open(settings) as ledger:
        circuit = load_circuit(ledger)
    broken = [f"{model}: {breaker.problem}" for model, breaker in circuit.broken.items()]
    return " ".join([circuit.problem, *broken] if circuit.failures else broken)


def _is_public(host: str, port: int) -> bool:
    """Whether all addresses of a host are in the open internet; a name that has none is no such host."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    return bool(found) and all(is_public(str(address[0])) for *_, address in found)


def _ask(http: HTTPConnection, path: str) -> object:
    try:
        http.request("GET", path)
        return json.loads(http.getresponse().read(_MOST_BYTES))
    except (OSError, HTTPException, ValueError, RecursionError):
        return None


def _names(told: object) -> tuple[str, ...] | None:
    models = told.get("models") if isinstance(told, dict) else None
    if not isinstance(models, list):
        return None
    names = (model.get("name") for model in models if isinstance(model, dict))
    return tuple(name for name in names if isinstance(name, str))
