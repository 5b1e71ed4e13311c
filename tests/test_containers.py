"""Containerfiles and Compose files, read by small readers of our own: no engine runs where tests do."""

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from pydantic import ValidationError
from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError

from app.cli import shoebox
from app.services import find_server
from app.services.redis_client import ask_redis
from app.systemd.units import DRAIN_SECONDS
from tasks.broker_url import celery_broker_url, redis_url
from tasks.settings import Settings
from tests.conftest import patient
from tests.system import ROOT

FOLDER = ROOT / "docs" / "deployment"
CONTAINERFILES = sorted(path for path in FOLDER.glob("Containerfile.*") if path.suffix != ".dockerignore")
TOGETHER = [("compose.yaml",), ("compose.yaml", "compose.gpu.yaml"), ("compose.worker.yaml",)]
"""The files that are given to Compose at once."""
# fmt: off
INSTRUCTIONS = {
    "FROM", "ARG", "RUN", "COPY", "ENV", "WORKDIR", "USER", "VOLUME", "STOPSIGNAL",
    "HEALTHCHECK", "ENTRYPOINT", "CMD",
}
# fmt: on


@dataclass(frozen=True)
class Instruction:
    """One instruction of a Containerfile."""

    word: str
    rest: str

    @property
    def words(self) -> list[str]:
        """Its arguments, of the JSON form where it has that."""
        if self.rest.startswith("["):
            words = json.loads(self.rest)
            assert all(isinstance(word, str) for word in words)
            return list(words)
        return self.rest.split()


def read_containerfile(path: Path) -> list[Instruction]:
    """Instructions, without comments, their continued lines joined."""
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    text = re.sub(r"\\\n\s*", "", "\n".join(lines))
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        word, _, rest = line.partition(" ")
        assert word in INSTRUCTIONS, line
        assert rest, line
        found.append(Instruction(word, rest.strip()))
    return found


def all_of(found: list[Instruction], word: str) -> list[Instruction]:
    return [one for one in found if one.word == word]


def is_command_of_ours(words: list[str]) -> None:
    """`python -m app COMMAND ...`, or its arguments: the command is there and takes these options."""
    arguments = words[3:] if words[:3] == ["python", "-m", "app"] else words
    command = shoebox.commands[arguments[0]]
    options = {
        option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
    }
    assert {word for word in arguments[1:] if word.startswith("--")} <= options


def test_all_four_are_there() -> None:
    assert [path.suffix for path in CONTAINERFILES] == [".home", ".ollama", ".redis", ".worker"]


@pytest.mark.parametrize("path", CONTAINERFILES, ids=lambda path: path.suffix[1:])
def test_a_containerfile_is_sound(path: Path) -> None:
    found = read_containerfile(path)
    assert found[0].word == "FROM"
    [base] = [one.rest for one in all_of(found, "FROM")]
    assert re.fullmatch(r"[a-z/]+:[0-9]+\.[0-9]+\.[0-9]+[a-z0-9.-]*", base), (
        base
    )  # one version, never `latest`

    sources = [word for one in all_of(found, "COPY") for word in one.words[:-1] if not word.startswith("--")]
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
    ignored = path.with_name(path.name + ".dockerignore").read_text().splitlines()
    assert ignored[1] == "*"
    assert sorted(line[1:] for line in ignored if line.startswith("!")) == sorted(sources)

    user = all_of(found, "USER")[-1].rest
    assert user not in {"root", "0"}
    assert not [one for one in found[found.index(all_of(found, "USER")[-1]) :] if one.word in {"RUN", "COPY"}]
    [health] = all_of(found, "HEALTHCHECK")
    options, _, command = health.rest.partition("CMD ")
    assert re.fullmatch(r"(--[a-z-]+=[0-9]+s? )+", options)
    words = json.loads(command)
    if words[0] == "python":
        is_command_of_ours(words)
        assert all_of(found, "ENTRYPOINT")[0].words == ["python", "-m", "app"]
        is_command_of_ours(all_of(found, "CMD")[0].words)
    assert not re.search(r"(?i)(password|secret|token)=[^$]", path.read_text())


@pytest.mark.parametrize("name", ["home", "worker"])
def test_images_hold_what_the_program_reads(name: str) -> None:
    """All that git keeps of the program, its locks by hash, and the settings that it knows."""
    found = read_containerfile(FOLDER / f"Containerfile.{name}")
    [pip] = [one.rest for one in all_of(found, "RUN") if one.rest.startswith("pip")]
    assert "--require-hashes" in pip
    assert "--no-deps" in pip
    environment = dict(word.split("=", 1) for one in all_of(found, "ENV") for word in one.words)
    assert environment["PYTHONPATH"] == "/opt/shoebox"
    given = {key for key in environment if key.startswith("SHOEBOX_")}
    assert {key.removeprefix("SHOEBOX_").lower() for key in given} <= set(Settings.model_fields)


def compose(*names: str) -> dict[str, Any]:
    """The services of Compose files, a later one laid over the earlier."""
    merged: dict[str, Any] = {}
    for name in names:
        text = re.sub(r"\$\{(\w+):\?[^}]*\}", r"<\1>", (FOLDER / name).read_text())
        merged = laid_over(merged, yaml.safe_load(re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)))
    return merged


def laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = laid_over(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


# fmt: off
SERVICE_KEYS = {
    "build", "image", "command", "environment", "secrets", "volumes", "networks", "ports",
    "depends_on", "stop_grace_period", "restart", "init", "cap_drop", "security_opt", "logging", "read_only",
    "tmpfs", "healthcheck", "deploy",
}
# fmt: on


@pytest.mark.parametrize("names", TOGETHER)
def test_a_compose_file_is_sound_and_private(names: tuple[str, ...]) -> None:
    whole = compose(*names)
    assert {key for key in whole if not key.startswith("x-")} <= {
        *("name", "services", "volumes", "networks", "secrets")
    }
    services = whole["services"]
    for name, service in services.items():
        assert service.keys() <= SERVICE_KEYS, name
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        if build := service.get("build"):
            assert (FOLDER / build["context"]).resolve() == ROOT
            assert (ROOT / build["dockerfile"]).is_file()
        assert not service["image"].endswith(":latest")
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
        assert set(service.get("networks", ())) <= whole["networks"].keys()
        assert set(service.get("secrets", ())) <= whole["secrets"].keys()
        assert set(service.get("depends_on", ())) <= services.keys()
        for volume in service.get("volumes", ()):
            source, target = volume.split(":")[:2]
            assert source in whole["volumes"] or source.startswith("<")
            assert target.startswith("/")
        for key, value in service.get("environment", {}).items():
            assert key.removeprefix("SHOEBOX_").lower() in Settings.model_fields
            assert not re.search(r"//[^/]*:[^/@]*@", value), "a password in an address"
        if "command" in service:
            is_command_of_ours(service["command"])
    assert "<<" not in json.dumps(whole)


def test_redis_is_reached_by_nobody_outside_and_keeps_what_it_holds() -> None:
    whole = compose("compose.yaml", "compose.gpu.yaml")
    redis = whole["services"]["redis"]
    assert "ports" not in redis
    assert [whole["networks"][name] for name in redis["networks"]] == [{"internal": True}]
    assert redis["volumes"] == ["redis:/data"]
    home = whole["services"]["home"]["environment"]
    for name in ("api", "worker"):
        assert whole["services"][name]["environment"] == home


def test_the_gpu_is_reserved_and_workers_have_time_to_drain() -> None:
    for names in (("compose.yaml", "compose.gpu.yaml"), ("compose.worker.yaml",)):
        services = compose(*names)["services"]
        for name in ("ollama", "worker"):
            [device] = services[name]["deploy"]["resources"]["reservations"]["devices"]
            assert device == {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}
        assert int(services["worker"]["stop_grace_period"].rstrip("s")) >= DRAIN_SECONDS + 60
    assert "deploy" not in compose("compose.yaml")["services"]["ollama"]


@pytest.mark.parametrize("names", TOGETHER)
def test_compose_itself_reads_them(names: tuple[str, ...], tmp_path: Path) -> None:
    version = ["docker", "compose", "version"]
    if shutil.which("docker") is None or subprocess.run(version, capture_output=True, check=False).returncode:
        pytest.skip("docker has no compose here")
    files = [word for name in names for word in ("-f", str(FOLDER / name))]
    variables = {"SHOEBOX_PAPERS": str(tmp_path), "SHOEBOX_REDIS_URL": "redis://shoebox@nas/0"}
    command = ["docker", "compose", *files, "config", "--quiet"]
    done = subprocess.run(
        command, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


# ---------------------------------------------------------------- Redis by our start script


def test_redis_starts_with_our_user_alone(tmp_path: Path) -> None:
    """The script of the image, with a real server: our rights do, others have none, and the file is kept."""
    secret, data = tmp_path / "password", tmp_path / "data"
    secret.write_text("p@s/s #word\n")
    data.mkdir()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "redis-server").symlink_to(find_server(Settings(data_dir=tmp_path / "d")).binary)
    socket = tmp_path / "r.sock"
    process = subprocess.Popen(
        ["sh", FOLDER / "redis-start.sh", "--unixsocket", str(socket)],
        env={
            **os.environ,
            "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
            "REDIS_PASSWORD_FILE": str(secret),
            "REDIS_DIR": str(data),
            "REDIS_PORT": "0",
            "REDIS_BIND": "127.0.0.1",
        },
        stdout=subprocess.DEVNULL,
    )
    try:
        settings = Settings(
            data_dir=tmp_path / "d", redis_url=f"unix://shoebox@{socket}?db=0", redis_password_file=secret
        )
        with Redis.from_url(redis_url(settings), retry=patient()) as redis:
            redis.set("shoebox:x", 1)
            redis.xadd("shoebox:events", {"a": 1})
            for forbidden in (lambda: redis.set("other", 1), lambda: redis.config_get("*"), redis.flushall):
                with pytest.raises(NoPermissionError):
                    forbidden()
        info = ask_redis(settings)
        assert (info.version[:1].isdigit(), info.warning) == (True, "")
        with Redis(unix_socket_path=str(socket)) as stranger, pytest.raises(AuthenticationError):
            stranger.ping()
        assert list(data.rglob("*.aof"))
        assert "p@s/s" not in Path(f"/proc/{process.pid}/cmdline").read_text()
    finally:
        process.terminate()
        process.wait()


def test_without_a_password_redis_does_not_start(tmp_path: Path) -> None:
    script = FOLDER / "redis-start.sh"
    environment = {**os.environ, "REDIS_PASSWORD_FILE": str(tmp_path / "none")}
    done = subprocess.run(["sh", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "holds no password" in done.stderr


# ---------------------------------------------------------------- the password by a file


def test_a_worker_begins_again_with_address_and_file_out_of_sight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All users see the arguments of all processes."""
    begun: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr(os, "execve", lambda _, command, environment: begun.append((command, environment)))
    monkeypatch.setattr("app.commands.working._serve_headless", lambda *_: 0)
    monkeypatch.setattr("tasks.logs.configure", lambda *_: None)
    monkeypatch.setenv("SHOEBOX_REDIS_PASSWORD_FILE", "")  # so that it is put back afterwards
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p").write_text("canary")
    arguments = ["worker", "--redis", "rediss://me@nas/0", "--password-file", "p", "--drain-seconds", "60"]
    CliRunner().invoke(shoebox, [*arguments, "--queues", "cpu"])
    [(command, environment)] = begun
    assert command[1:] == ["-m", "app", "worker", "--queues", "cpu", "--drain-seconds", "60.0"]
    assert environment["SHOEBOX_REDIS_URL"] == "rediss://me@nas/0"
    assert environment["SHOEBOX_REDIS_PASSWORD_FILE"] == str(tmp_path / "p")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://nas:1/0", "redis://:p%40s%2Fs%20%23@nas:1/0"),
        ("rediss://u@nas/0?ssl_ca_certs=/x", "rediss://u:p%40s%2Fs%20%23@nas/0?ssl_ca_certs=/x"),
        ("unix:///tmp/x.sock?db=1", "unix://:p%40s%2Fs%20%23@/tmp/x.sock?db=1"),
    ],
)
def test_the_password_of_a_file_gets_into_the_address(tmp_path: Path, url: str, expected: str) -> None:
    (tmp_path / "p").write_text("p@s/s #\n")
    settings = Settings(redis_url=url, redis_password_file=tmp_path / "p")
    assert redis_url(settings) == expected
    assert celery_broker_url(expected)
    assert "p@s" not in repr(settings)


def test_a_password_file_that_does_not_do_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "p").write_text("canary")
    for url, file, words in (
        ("redis://nas/0", tmp_path / "none", "cannot be read"),
        ("redis://nas/0", tmp_path / "empty", "holds no password"),
        ("redis://:canary2@nas/0", tmp_path / "p", "a password already"),
        ("redis://nas/0", Path("relative"), "absolute"),
    ):
        with pytest.raises(ValidationError) as caught:
            Settings(redis_url=url, redis_password_file=file)
        assert words in str(caught.value)
        assert "canary" not in str(caught.value)
