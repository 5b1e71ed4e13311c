"""What a worker does before it works: which Redis it waits for, which it refuses, and which homes it fits."""

import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis import Redis

from app import joining
from app.joining import await_redis, check_version
from app.services import find_server
from app.services.redis_client import RedisAwayError, ask_redis
from tasks.errors import ServiceError
from tasks.exchange import Exchange
from tasks.homes import announce_home, fit, homes_up
from tasks.settings import Settings
from tasks.version import VERSION
from tests.conftest import patient
from tests.tls_proxy import ANOTHER_AUTHORITY, AUTHORITY, TlsProxy

PASSWORD = "a+b/c"


def using(url: str, folder: Path) -> Settings:
    return Settings(data_dir=folder / "data", redis_url=SecretStr(url))


@contextmanager
def server(folder: Path) -> Iterator[Path]:
    """A Redis with a password; yields its socket."""
    path = folder / "s.sock"
    command = [find_server(Settings(data_dir=folder)).binary, "--port", "0", "--unixsocket", path]
    command += ["--requirepass", PASSWORD, "--save", "", "--dir", folder]
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL)
    try:
        yield path
    finally:
        process.kill()
        process.wait()


# Redis


def test_a_redis_that_is_away_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings, pauses = using(f"unix://:a%2Bb%2Fc@{tmp_path}/s.sock", tmp_path), []
    starting = server(tmp_path)

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            starting.__enter__()

    monkeypatch.setattr(joining.time, "sleep", pause)
    try:
        await_redis(settings)
    finally:
        starting.__exit__(None, None, None)

    assert len(pauses) >= 3
    assert pauses[0] < pauses[1] < pauses[2]
    waiting, there = capsys.readouterr().err.splitlines()
    assert "cannot be reached" in waiting
    assert "trying again all the time" in waiting
    assert there.endswith("s.sock is there.")
    assert PASSWORD not in waiting + there


def test_a_supervised_worker_waits_for_a_password_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its supervisor starts it again later each time, so it would be late when the password is mended."""
    with (
        server(tmp_path) as path,
        Redis(unix_socket_path=str(path), password=PASSWORD, retry=patient()) as client,
    ):
        client.config_set("requirepass", "another")

        def mend(_: float) -> None:
            client.config_set("requirepass", PASSWORD)

        settings = using(f"unix://:a%2Bb%2Fc@{path}", tmp_path)
        with pytest.raises(ServiceError, match="refuses the user name or password"):
            await_redis(settings)
        monkeypatch.setattr(joining.time, "sleep", mend)
        await_redis(settings, for_ever=True)
    waiting, there = capsys.readouterr().err.splitlines()
    assert "refuses the user name or password" in waiting
    assert there.endswith("is there.")


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsProxy]:
    """TLS in front of a Redis with a password."""
    with server(tmp_path_factory.mktemp("tls")) as path, TlsProxy(path) as proxy:
        with Redis(unix_socket_path=str(path), password=PASSWORD, retry=patient()) as client:
            client.ping()
        yield proxy


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("rediss://:wrong@127.0.0.1:{port}?ssl_ca_certs={authority}", "refuses the user name or password"),
        (
            "rediss://:a%2Bb%2Fc@127.0.0.1:{port}?ssl_ca_certs={another}",
            "certificate that is not to be trusted",
        ),
        ("rediss://:a%2Bb%2Fc@127.0.0.1:{port}", "certificate that is not to be trusted"),
        ("rediss://:a%2Bb%2Fc@127.0.0.2:{port}?ssl_ca_certs={authority}", "cannot be reached"),
        (
            "rediss://:a%2Bb%2Fc@127.0.0.1:{port}?ssl_ca_certs=/no/ca.pem",
            "'/no/ca.pem', which cannot be read",
        ),
        ("http://127.0.0.1:{port}", "not the address of a Redis"),
    ],
)
def test_what_waiting_does_not_help_is_refused_at_once(
    tls: TlsProxy, tmp_path: Path, url: str, words: str
) -> None:
    address = url.format(port=tls.port, authority=AUTHORITY, another=ANOTHER_AUTHORITY)

    with pytest.raises(ServiceError) as refused:
        ask_redis(using(address, tmp_path))

    assert words in refused.value.message
    assert "a%2Bb" not in str(refused.value)
    assert PASSWORD not in str(refused.value)
    assert isinstance(refused.value, RedisAwayError) == ("cannot be reached" in words)


def test_a_server_without_tls_is_said_to_have_none(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        settings = using(f"rediss://127.0.0.1:{listening.getsockname()[1]}", tmp_path)

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"-ERR unknown command\r\n")

        answering = threading.Thread(target=answer)
        answering.start()
        with pytest.raises(ServiceError, match=r"does not speak TLS .*write redis://") as refused:
            ask_redis(settings)
        answering.join()
    assert not isinstance(refused.value, RedisAwayError)


# Homes


def test_homes_are_up_as_long_as_they_tick(exchange: Exchange) -> None:
    announce_home(exchange, "here")
    gone = {"version": "9.9", "until": exchange.now() - 1}
    exchange.redis.hset("shoebox:homes", "gone", json.dumps(gone))
    exchange.redis.hset("shoebox:homes", "strange", "not JSON")
    exchange.redis.hset("shoebox:homes", "newer", '{"in": "other words"}')

    assert homes_up(exchange) == {"here": VERSION}


@pytest.mark.parametrize(
    ("homes", "problem", "remedy", "serves_none"),
    [
        ({}, "", "", False),
        ({"a": "1.2.0"}, "", "", False),
        ({"a": "1.10.0"}, "Shoebox 1.2.0, but home has 1.10.0", "on this machine", True),
        ({"a": "1.1.0"}, "Shoebox 1.2.0, but home has 1.1.0", "where home is", True),
        ({"a": "1.2.0", "b": "1.3.0"}, "but 1 of 2 homes have 1.3.0", "on this machine", False),
        ({"a": "1.3.0", "b": "1.3.0"}, "but 2 of 2 homes have 1.3.0", "on this machine", True),
        ({"a": "\x1b[2J"}, "home has \\x1b[2J", "where home is", True),
    ],
)
def test_a_worker_needs_the_version_of_home(
    homes: dict[str, str], problem: str, remedy: str, serves_none: bool
) -> None:
    found = fit(homes, "1.2.0")

    assert problem in found.problem
    assert bool(found.problem) == bool(problem)
    assert remedy in found.remedy
    assert found.serves_none == serves_none


def test_a_worker_of_another_version_refuses_to_start_unless_it_can_serve_somebody(
    exchange: Exchange, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    socket_path = exchange.redis.connection_pool.connection_kwargs["path"]
    settings = using(f"unix://{socket_path}", tmp_path)
    check_version(settings, "9.9.9")  # nobody is up yet
    announce_home(exchange, "here")

    with pytest.raises(ServiceError, match=rf"9\.9\.9, but home has {VERSION}.*git pull"):
        check_version(settings, "9.9.9")
    assert capsys.readouterr().err == ""

    exchange.redis.hset("shoebox:homes", "b", json.dumps({"version": "9.9.9", "until": 2e9 * 2}))
    check_version(settings, "9.9.9")
    assert "The others are served" in capsys.readouterr().err
