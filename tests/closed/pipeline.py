"""Everything that Shoebox does, in a closed place: what was tried there besides loopback."""

import ctypes
import json
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tasks.errors import ExitCode
from tasks.ledger import Ledger
from tasks.meaning.standing import standing
from tests.closed.papers import PAPERS
from tests.closed.place import GATEWAY, ClosedPlace, listeners
from tests.hooks import Receiver, receiving
from tests.ollama import ModelSpec, OllamaDouble
from tests.system import System, running
from tests.terminal import Terminal
from tests.test_llm_system import await_models

MODELS = (
    ModelSpec(name="shoebox-small", parameter_size="1.5B", context_length=32768, scripted=True),
    ModelSpec(name="shoebox-large", parameter_size="3B", context_length=32768, scripted=True),
    ModelSpec(name="nomic-embed-text", parameter_size="137M", capabilities=("embedding",), scripted=True),
)
QUESTION = "When is the summer party?"
_QUIT = "\x11"
_CONTROL_ADDRESS, _NATIVE_ADDRESS = "192.0.2.80", "192.0.2.81"
CONTROL_NAME = "control.example"


def control(place: ClosedPlace) -> dict[str, Any]:
    """A process that looks up a name, connects, and connects past Python: what is seen of it."""
    command = [sys.executable, "-m", "tests.closed", "--control"]
    subprocess.run(command, env={**os.environ, **place.environment}, check=True)
    seen = place.look()
    return {
        "name_asked_for": any(f"UDP to {GATEWAY} port 53" in packet for packet in seen.packets),
        "name_noted": CONTROL_NAME in seen.targets,
        "connection_caught": any(f"TCP to {_CONTROL_ADDRESS} port 443" in one for one in seen.packets),
        "connection_noted": _CONTROL_ADDRESS in seen.targets,
        "native_caught": any(f"TCP to {_NATIVE_ADDRESS} port 443" in one for one in seen.packets),
        "native_noted": _NATIVE_ADDRESS in seen.targets,
    }


def try_to_reach_others() -> None:
    """What the control does. Nothing waits: the attempt is what counts."""
    with suppress(socket.gaierror):
        socket.getaddrinfo(CONTROL_NAME, 443)
    with socket.socket() as attempt:
        attempt.setblocking(False)
        attempt.connect_ex((_CONTROL_ADDRESS, 443))
    with socket.socket() as attempt:
        attempt.setblocking(False)
        where = struct.pack("=HH4s8x", socket.AF_INET, socket.htons(443), socket.inet_aton(_NATIVE_ADDRESS))
        ctypes.CDLL(None).connect(attempt.fileno(), where, len(where))


def measure(folder: Path) -> dict[str, Any]:
    """Run it all below `folder`, in a namespace of this process's own; returns what was seen."""
    with ClosedPlace(folder) as place:
        seen_of_control = control(place)
        with _system(folder, place) as (system, receiver):
            done = _everything(system)
            told = len(receiver.received)
            heard_elsewhere = listeners()
        seen = place.look()
    return {
        "control": seen_of_control,
        "done": done,
        "told": told,
        "listens_elsewhere": heard_elsewhere,
        "packets": seen.packets,
        "notes": seen.notes,
        "watched": seen.loaded,
    }


@contextmanager
def _system(folder: Path, place: ClosedPlace) -> Iterator[tuple[System, Receiver]]:
    """A system that is up, its model server, and somebody who is told."""
    os.environ.update(place.environment)  # for the double and all else that is started from here
    with (
        OllamaDouble(MODELS, folder=_made(folder / "double")) as double,
        receiving() as receiver,
        running(
            folder / "system",
            OLLAMA_HOST=double.url,
            SHOEBOX_WEBHOOK_URL=receiver.url,
            SHOEBOX_LARGE_NUM_CTX="8192",
            SHOEBOX_OCR_THREADS="1",
            **place.environment,
        ) as system,
    ):
        yield system, receiver


def _everything(system: System) -> dict[str, Any]:
    """Every stage and every face; returns what came of each, so that nobody passes by doing nothing."""
    papers = _made(system.folder / "papers")
    for name, make in PAPERS.items():
        (papers / name).write_bytes(make())
    await_models(system)
    added = system.run("add", papers, "--wait", check=False)
    system.await_true(lambda: _indexed(system), what="pages have vectors")
    rows = {row["name"]: row for row in system.json("ls")}
    system.run("watch", papers, "--background", "--only-new")
    answer = system.run("ask", QUESTION, check=False)
    return {
        "added": added.returncode,
        "states": {name: row["state"] for name, row in rows.items()},
        "engines": sorted({str(row.get("engine", "")) for row in rows.values()}),
        "ocr": [
            unit.state.value
            for document in system.documents()
            for unit in system.units(document.id)
            if unit.stage == "ocr"
        ],
        "searched": [hit["found_by"] for hit in json.loads(system.run("search", "--json", "party").stdout)],
        "asked": answer.returncode in (0, ExitCode.UNANSWERED),
        "digest": "scan.png" in system.run("digest").stdout,
        "exported": len(system.run("export", "--format", "jsonl").stdout.splitlines()),
        "tidied": system.run("tidy", system.folder / "tree", check=False).returncode,
        "models": "shoebox-small" in system.run("models", "--check", check=False).stdout,
        "notified": system.run("notify", "--test", check=False).returncode,
        "doctor": "Ollama" in system.run("doctor", check=False).stdout,
        "ui": _ui(system),
    }


def _ui(system: System) -> int:
    """The terminal UI opened and left; its exit status."""
    terminal = Terminal([sys.executable, "-m", "app"], system.environment)
    try:
        terminal.await_text("Redis ok")
        terminal.await_text("page.html")
        terminal.send(_QUIT)
        return terminal.await_end()
    finally:
        terminal.close()


def _indexed(system: System) -> bool:
    with Ledger.open(system.settings) as ledger:
        found = standing(system.settings, ledger)
    return 0 < found.indexed == found.pages


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
