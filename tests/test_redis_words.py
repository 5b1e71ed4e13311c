"""What a person is told of a Redis that cannot be used: real servers, with real faults."""

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from celery import Celery
from celery.beat import SchedulingError
from pydantic import SecretStr
from redis.exceptions import RedisError

from app import services
from app.cli import main
from app.services import redis_client
from app.services.redis_client import RedisAwayError, RedisRefusesError, ask_redis
from tasks.ledger import Ledger
from tasks.redis_words import redis_words, refusal_of
from tasks.settings import Settings, get_settings
from tasks.steady_beat import SteadyScheduler
from tests.own_redis import PASSWORD, BadLine, OwnRedis
from tests.proxy import free_port
from tests.redis_faults import Ground
from tests.tls_proxy import TlsProxy


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnRedis]:
    folder = tmp_path_factory.mktemp("own")
    with OwnRedis(folder, f'unixsocket "{folder}/s"') as server:
        yield server


@pytest.fixture
def ground(own: OwnRedis, tmp_path: Path) -> Ground:
    return Ground(own.client, tmp_path, own)


def using(url: str, folder: Path) -> Settings:
    return Settings(data_dir=folder / "data", redis_url=SecretStr(url))


def refusal(url: str, folder: Path) -> RedisRefusesError:
    """Why a Redis is refused, without the password."""
    with pytest.raises(RedisRefusesError) as refused:
        ask_redis(using(url, folder))
    assert "a%2Bb" not in str(refused.value)
    assert PASSWORD not in str(refused.value)
    return refused.value


# A server that can be reached and takes no work: said, and nobody who starts is kept from it


def test_a_good_server_gets_no_warning_and_keeps_nothing(own: OwnRedis, tmp_path: Path) -> None:
    assert ask_redis(using(own.url, tmp_path)).warning == ""
    with own.client() as client:
        assert 0 < client.pttl("shoebox:probe") <= 1000


def test_a_full_memory_is_said(ground: Ground, own: OwnRedis, tmp_path: Path) -> None:
    with ground.set_to(maxmemory=1, maxmemory_policy="noeviction"):
        assert "memory that it may use is full. Give it more" in ask_redis(using(own.url, tmp_path)).warning


def test_a_server_that_throws_keys_away_is_said(ground: Ground, own: OwnRedis, tmp_path: Path) -> None:
    with ground.client() as client:
        full = int(client.info("memory")["used_memory"]) + 500_000
        with ground.set_to(maxmemory=full, maxmemory_policy="allkeys-lru"):
            with client.pipeline(transaction=False) as pipe:
                for number in range(3000):
                    pipe.set(f"filler:{number}", "x" * 1000)
                pipe.execute()
            assert client.info("stats")["evicted_keys"] > 0
            warning = ask_redis(using(own.url, tmp_path)).warning
    assert "throws work away" in warning
    assert "keys away so far" in warning


def test_a_copy_is_said(own: OwnRedis, tmp_path: Path) -> None:
    with own.client() as client:
        client.replicaof("127.0.0.1", "1")
        try:
            assert "read-only copy" in ask_redis(using(own.url, tmp_path)).warning
        finally:
            client.replicaof("NO", "ONE")


# A server that cannot be used


def test_another_server_is_not_waited_for(own: OwnRedis, tmp_path: Path) -> None:
    wrong_number = own.url.removesuffix("/0") + "/99"
    assert "no database of that number" in str(refusal(wrong_number, tmp_path))
    wrong_password = own.url.replace("a%2Bb", "a%2Bc")
    found = refusal(wrong_password, tmp_path)
    assert "refuses the user name or password" in str(found)
    assert not isinstance(found, RedisAwayError)


@pytest.mark.parametrize("rights", ["~* +@all -@write", "~other:* +@all", "~* +@all -eval -evalsha"])
def test_missing_rights_are_said_before_work_is_lost_to_them(
    own: OwnRedis, tmp_path: Path, rights: str
) -> None:
    with own.client() as client:
        client.execute_command("ACL", "SETUSER", "poor", "reset", "on", ">pw", *rights.split())
    found = refusal(f"redis://poor:pw@127.0.0.1:{own.port}/0", tmp_path)
    assert "does not let this user do what Shoebox needs" in str(found)
    assert "docs/redis.md" in found.remedy


@contextmanager
def somebodys_script(own: OwnRedis) -> Iterator[None]:
    """A script that runs until it is killed."""

    def spin() -> None:
        with own.client() as client, suppress(RedisError):
            client.eval("redis.call('get', 'x') while true do end", 0)

    with own.client() as client:
        client.config_set("busy-reply-threshold", 10)
        thread = threading.Thread(target=spin)
        thread.start()
        try:
            yield
        finally:
            while thread.is_alive():
                with suppress(RedisError):
                    client.script_kill()
                thread.join(0.05)


def test_a_busy_server_is_waited_for(own: OwnRedis, tmp_path: Path) -> None:
    with somebodys_script(own), own.client() as client:
        while True:  # it begins to answer that it is busy
            with suppress(RedisError):
                client.ping()
                continue
            break
        found = refusal(own.url, tmp_path)
    assert isinstance(found, RedisAwayError)
    assert "while a script of somebody else runs" in str(found)


def test_a_server_without_a_free_connection_is_waited_for(
    ground: Ground, own: OwnRedis, tmp_path: Path
) -> None:
    with ground.set_to(maxclients=2), own.client() as one, own.client() as other:
        one.ping()
        other.ping()
        found = refusal(own.url, tmp_path)
        other.close()
    assert isinstance(found, RedisAwayError)
    assert "no connection left for us" in str(found)


def test_an_old_server_is_refused(own: OwnRedis, tmp_path: Path) -> None:
    with BadLine(own.port) as line:
        line.version = "5.0.9"
        assert "is version 5.0.9; Shoebox needs 6.2 or later. Update that server." in str(
            refusal(line.url, tmp_path)
        )


def test_a_line_that_went_dead_is_said_soon(
    own: OwnRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_client, "ANSWER_SECONDS", 0.3)
    with BadLine(own.port) as line:
        line.holds = True
        found = refusal(line.url, tmp_path)
    assert isinstance(found, RedisAwayError)
    assert "does not answer" in str(found)


def test_a_name_that_is_not_known_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    found = refusal("redis://box.invalid/0", tmp_path)
    assert isinstance(found, RedisAwayError)
    assert "host name that cannot be found" in str(found)


def test_tls_is_hinted_at(own: OwnRedis, tmp_path: Path) -> None:
    with TlsProxy(own.folder / "s") as proxy:
        assert "write rediss://" in refusal(f"redis://:a%2Bb%2Fc@127.0.0.1:{proxy.port}", tmp_path).remedy


# What goes on without it


def test_files_are_taken_in_while_redis_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As after `up`, with a Redis that is gone: there is nobody to wait for, and nothing is lost."""
    url = f"redis://:a%2Bb%2Fc@127.0.0.1:{free_port()}/0"
    settings = using(url, tmp_path)

    def up(settings: Settings) -> None:
        ask_redis(settings)

    monkeypatch.setattr(services, "up", up)
    monkeypatch.setattr(services, "is_up", lambda _: True)
    monkeypatch.setenv("SHOEBOX_REDIS_URL", url)
    monkeypatch.setenv("SHOEBOX_DATA_DIR", str(settings.data_dir))
    get_settings.cache_clear()
    (tmp_path / "letter.txt").write_text("Dear Sir")
    with pytest.raises(SystemExit) as ended:
        monkeypatch.setattr(sys, "argv", ["run.sh", "add", str(tmp_path / "letter.txt")])
        main()
    assert ended.value.code == 0
    said = capsys.readouterr()
    assert (
        "cannot be reached. Start it, or correct SHOEBOX_REDIS_URL. Until then the documents wait" in said.err
    )
    assert "a%2Bb" not in said.err + said.out
    with Ledger.open(settings) as ledger:
        assert [document.name for document in ledger.documents()] == ["letter.txt"]


def test_beat_says_once_that_ticks_are_not_sent(caplog: pytest.LogCaptureFixture) -> None:
    class CutOff(SteadyScheduler):
        def apply_async(self, *_: object, **__: object) -> None:
            raise SchedulingError("Couldn't apply scheduled task") from ConnectionRefusedError("refused")

    app = Celery(broker="memory://", set_as_current=False)
    app.conf.beat_schedule = {"tick": {"task": "tick", "schedule": 1}}
    scheduler = CutOff(app)
    for _ in range(4):
        scheduler.apply_entry(scheduler.schedule["tick"])
    lines = [line for line in caplog.text.splitlines() if line.strip()]
    assert len(lines) == 1
    assert "Ticks are not sent." in lines[0]


# Errors as they reach the workers


def test_what_ended_a_transaction_is_found_in_it(ground: Ground, own: OwnRedis) -> None:
    with ground.set_to(maxmemory=1, maxmemory_policy="noeviction"), own.client() as client:
        with client.pipeline(transaction=True) as pipe, pytest.raises(RedisError) as transaction:
            pipe.set("a", 1).execute()
        with client.pipeline(transaction=False) as pipe, pytest.raises(RedisError) as row:
            pipe.set("a", 1).execute()
    for error in (transaction.value, row.value):
        assert redis_words(error) == "Redis takes no writes: the memory that it may use is full."


def test_an_error_that_nobody_knows_is_quoted_in_a_line() -> None:
    found = refusal_of(RedisError("strange things\nhappened" + "x" * 999))
    assert found.words == "refuses: strange things."
