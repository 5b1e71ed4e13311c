"""The HTTP API of a whole running system: a file in, its events and result, the table out, an orderly end."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx

from tests.api import parsed_events
from tests.proxy import free_port
from tests.system import ROOT, System

LETTER = "Rechnung Nr. 17\nDatum: 03.02.2026\nNordlicht Energie GmbH\nRechnungsbetrag 119,00 EUR\n"


def serve(system: System, port: int, log: Path, *options: str) -> subprocess.Popen[bytes]:
    """The real command, running."""
    command = [sys.executable, "-m", "app", "api", "--port", str(port), *options]
    with log.open("wb") as out:
        return subprocess.Popen(command, env=system.environment, cwd=ROOT, stdout=out, stderr=out)


def await_ready(system: System, api: httpx.Client) -> None:
    """Wait until the API says that it is ready."""

    def is_ready() -> bool:
        try:
            return api.get("/ready").status_code == 200
        except httpx.TransportError:
            return False

    system.await_true(is_ready, 120, "the API is ready")


def test_a_file_goes_in_and_its_result_comes_out(own_system: Callable[..., System], tmp_path: Path) -> None:
    system = own_system(SHOEBOX_ENGINE="offline")
    port, log = free_port(), tmp_path / "api.log"
    process = serve(system, port, log, "--no-services")
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120, trust_env=False) as api:
            await_ready(system, api)
            taken = api.post("/documents", files={"file": ("bill.txt", LETTER.encode())})
            assert taken.status_code == 202, taken.text
            document = taken.json()["documents"][0]["id"]
            events = parsed_events(api.get(f"/documents/{document}/events").text)
            assert events[-1][1:] == ("end", {"id": document, "reason": "ended"})
            assert events[-2][2]["ended"] and events[-2][2]["amount"] == "119.00"
            result = api.get(f"/documents/{document}/result").json()
            assert (result["category"], result["currency"]) == ("invoice", "EUR")
            assert f"{document}," in api.get("/export?format=csv").text
            body = {"text": LETTER + "Mahnung", "name": "note"}
            known = api.post("/classify", json=body, headers={"Prefer": "wait=60"})
            assert (known.status_code, known.json()["category"] != "") == (200, True), known.text
            with api.stream("GET", "/events") as stream:
                lines = stream.iter_lines()
                while next(lines) != "event: counts":
                    pass
                process.send_signal(signal.SIGTERM)
                for _ in lines:  # the stream ends by itself
                    pass
    finally:
        process.terminate()
        status = process.wait(60)
    assert status == 0, log.read_text()
    assert "Traceback" not in log.read_text() and "POST /documents 202" in log.read_text()
