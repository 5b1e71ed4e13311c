"""The embedded services, with a real Redis, a real supervisor and small real programs."""

import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psutil
import pytest
import redis
from pydantic import SecretStr
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.services import Program, ServicesStatus, default_programs, down, find_server, folders, status, up
from app.services import lifecycle as lifecycle_module
from app.services import supervisord as supervisord_module
from app.services.folders import program_log
from app.services.processes import service_processes, supervisors
from app.services.programs import supervisor_log, supervisor_socket
from app.services.redis_data import damage_note, damaged_folder
from app.services.redis_server import FORBIDDEN_COMMANDS
from tasks.broker_url import (
    celery_broker_url,
    redis_config_path,
    redis_socket,
    redis_url,
    runtime_dir,
    runtime_link,
)
from tasks.errors import ServiceError
from tasks.settings import Settings


def program(name: str, what: str = "work") -> Program:
    return Program(name, (sys.executable, "-m", "tests.supervised", what))


REDIS = program("redis", "redis")
PROGRAMS = (REDIS, program("home"), program("cpu"))


def eventually(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"still waiting for {condition}"
        threading.Event().wait(0.02)


@pytest.fixture(autouse=True, scope="module")
def _no_settings_of_the_user() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith(("SHOEBOX_", "XDG_")):
                patch.delenv(name)
        patch.setenv("SHOEBOX_CONFIG", "/nonexistent/config.toml")
        yield


@contextmanager
def services_of(settings: Settings) -> Iterator[Settings]:
    try:
        yield settings
    finally:
        down(settings)


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    with services_of(Settings(data_dir=tmp_path / "data")) as made:
        yield made


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Services that several tests look at, in a folder with a long and awkward name."""
    folder = tmp_path_factory.mktemp("home") / f"my 100% papers 'é' {'x' * 120}"
    with services_of(Settings(data_dir=folder)) as made:
        up(made, PROGRAMS)
        yield made


def program_pid(settings: Settings, name: str) -> int:
    return next((one.pid for one in status(settings).programs if one.name == name), 0)


def has_new_pid(settings: Settings, name: str, old: int) -> bool:
    return program_pid(settings, name) not in (0, old)


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def nothing_left(settings: Settings) -> bool:
    return not service_processes(settings) and not runtime_dir(settings).exists()


# --- Running


def test_a_second_up_changes_nothing(running: Settings) -> None:
    before = {process.pid for process in service_processes(running)}
    result = up(running, PROGRAMS)
    assert result.already_up
    assert set(result.programs) == {"redis", "home", "cpu"}
    assert {process.pid for process in service_processes(running)} == before


def test_status_says_what_runs(running: Settings) -> None:
    found = status(running)
    assert found.running
    assert found.problems == ()
    assert found.redis.up
    assert found.redis.embedded
    assert found.redis.memory_bytes > 0
    assert {one.name: one.state for one in found.programs} == dict.fromkeys(
        ("redis", "home", "cpu"), "RUNNING"
    )
    assert all(psutil.pid_exists(one.pid) for one in found.programs)
    # The stand-in prints its line once its interpreter is up, which `up` does not wait for.
    log = next(one.log for one in found.programs if one.name == "cpu")
    eventually(lambda: folders.log_tail(log) == "work")


def test_redis_is_private_and_keeps_what_it_holds(running: Settings) -> None:
    with redis.Redis.from_url(redis_url(running)) as client:
        found = client.info()
        assert (found["maxmemory_policy"], found["aof_enabled"], found["tcp_port"]) == ("noeviction", 1, 0)
        for command in FORBIDDEN_COMMANDS:
            with pytest.raises(redis.ResponseError, match="unknown command"):
                client.execute_command(command, "help")
    stranger = redis.Redis(unix_socket_path=str(redis_socket(running)), retry=Retry(NoBackoff(), 0))
    with stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    assert stat.S_IMODE(redis_socket(running).parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(redis_config_path(running).stat().st_mode) == 0o600
    assert stat.S_IMODE(running.data_dir.stat().st_mode) == 0o700


def test_the_password_is_on_no_command_line(running: Settings) -> None:
    password = redis_url(running).split("@")[0].rpartition(":")[2]
    assert len(password) == 64
    lines = [" ".join(process.cmdline()) for process in service_processes(running)]
    assert len(lines) == 4
    assert not any(password in line for line in lines)


def test_celery_reaches_redis_with_the_same_address(running: Settings) -> None:
    from kombu import Connection

    with Connection(celery_broker_url(redis_url(running))) as connection:
        connection.SimpleQueue("probe").put("a unit")
        assert connection.SimpleQueue("probe").get(timeout=5).payload == "a unit"
        assert "***" not in connection.as_uri()
        assert redis_url(running).split("@")[0].rpartition(":")[2] not in connection.as_uri()


def test_another_environment_finds_the_same_sockets(
    running: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = runtime_dir(running)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert runtime_dir(running) == before
    assert status(running).redis.up


def test_children_get_a_small_environment(running: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    names = set(psutil.Process(program_pid(running, "cpu")).environ())
    assert "PYTEST_CURRENT_TEST" not in names
    assert {"PATH", "SHOEBOX_DATA_DIR", "PYTHONSAFEPATH"} <= names


def test_up_starts_what_is_missing(running: Settings) -> None:
    control = (sys.executable, "-m", "supervisor.supervisorctl", "-s", f"unix://{supervisor_socket(running)}")
    subprocess.run([*control, "stop", "workers:cpu", "redis"], check=True, capture_output=True)
    assert any("cpu is stopped" in problem for problem in status(running).problems)
    assert not up(running, PROGRAMS).already_up
    assert status(running).problems == ()


# --- What dies is started again


def test_what_is_killed_comes_back_and_redis_keeps_its_data(running: Settings) -> None:
    with redis.Redis.from_url(redis_url(running)) as client:
        client.set("unit", "waiting")
    before = {one.name: one.restarts for one in status(running).programs}
    old = {name: program_pid(running, name) for name in ("home", "redis")}
    for pid in old.values():
        os.kill(pid, signal.SIGKILL)
    for name, pid in old.items():
        eventually(partial(has_new_pid, running, name, pid))
    eventually(lambda: status(running).redis.up)
    with redis.Redis.from_url(redis_url(running)) as client:
        assert client.get("unit") == b"waiting"
    after = {one.name: one.restarts for one in status(running).programs}
    assert after == {name: count + (name in old) for name, count in before.items()}


def test_a_killed_supervisor_leaves_nothing_and_up_starts_afresh(settings: Settings) -> None:
    up(settings, PROGRAMS)
    (supervisor,) = supervisors(service_processes(settings))
    supervisor.kill()
    if sys.platform == "linux":
        eventually(lambda: not service_processes(settings))
    stale = folders.run_dir(settings) / "supervisord.pid"
    stale.write_text(f"{os.getpid()}\n")  # the number now belongs to a stranger: this test
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(redis_socket(settings)))
    assert not up(settings, PROGRAMS).already_up
    assert status(settings).problems == ()


def test_down_ends_the_orphans_of_a_killed_supervisor(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle_module, "ORPHAN_SECONDS", 0.2)
    up(settings, (REDIS, program("home", "deaf")))
    eventually(lambda: folders.log_tail(folders.program_log(settings, "home")) == "deaf")
    supervisors(service_processes(settings))[0].kill()
    eventually(lambda: "killed" in " ".join(status(settings).problems))
    result = down(settings)
    assert result.was_running
    assert result.killed == 1
    assert nothing_left(settings)


def test_a_hanging_supervisor_is_reported_and_ended(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisord_module, "ANSWER_SECONDS", 0.3)
    monkeypatch.setattr(lifecycle_module, "ORPHAN_SECONDS", 0.2)
    up(settings, PROGRAMS)
    supervisors(service_processes(settings))[0].suspend()
    found: ServicesStatus = status(settings)
    assert found.running
    assert "does not answer" in found.problems[0]
    with pytest.raises(ServiceError, match=r"does not answer.*\./run\.sh down"):
        up(settings, PROGRAMS)
    assert down(settings).killed >= 1
    assert nothing_left(settings)


# --- Down


def test_down_leaves_nothing_running_and_can_be_repeated(settings: Settings) -> None:
    up(settings, PROGRAMS)
    processes = service_processes(settings)
    assert len(processes) == 4
    assert down(settings).was_running
    assert not any(is_alive(process) for process in processes)
    assert nothing_left(settings)
    assert not runtime_link(settings).is_symlink()
    assert not down(settings).was_running
    with pytest.raises(ServiceError, match=r"not running.*\./run\.sh up"):
        redis_url(settings)


def test_down_stands_against_what_was_asked_for_before_it(settings: Settings) -> None:
    """As by a clerk that comes to its first request when its terminal has long been closed."""
    folders.prepare_folders(settings)
    asked_at = time.time()
    down(settings)
    with pytest.raises(ServiceError, match=r"stopped meanwhile.*\./run\.sh up"):
        up(settings, PROGRAMS, asked_at=asked_at)
    assert nothing_left(settings)
    assert not up(settings, PROGRAMS, asked_at=time.time()).already_up


def test_down_without_a_data_directory_does_nothing(settings: Settings) -> None:
    assert not down(settings).was_running
    assert not settings.data_dir.exists()
    assert status(settings).problems == ()


def test_two_ups_at_once_start_one_supervisor(settings: Settings) -> None:
    source = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parent.parent)!r})
from tests.test_services import PROGRAMS, Settings, up
print(up(Settings(data_dir={str(settings.data_dir)!r}), PROGRAMS).already_up)
"""
    both = [
        subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    assert sorted(one.communicate(timeout=60)[0].strip() for one in both) == ["False", "True"]
    assert len(supervisors(service_processes(settings))) == 1


# --- Clear errors


def test_a_program_that_fails_is_named_with_its_last_words_and_nothing_is_left(settings: Settings) -> None:
    broken = program("gpu", "fail")
    with pytest.raises(ServiceError, match="gpu does not start") as caught:
        up(settings, (*PROGRAMS, broken))
    assert r"no GPU \x1b[31mhere" in caught.value.message
    assert "gpu.log" in caught.value.remedy
    assert nothing_left(settings)
    assert "spawned: 'gpu'" in supervisor_log(settings).read_text()


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with services_of(Settings(data_dir=tmp_path / "data", redis_port=port)) as settings:
            with pytest.raises(ServiceError, match=rf"Port {port} .*SHOEBOX_REDIS_PORT"):
                up(settings, PROGRAMS)
            assert nothing_left(settings)


def test_redis_listens_on_the_port_when_asked(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with services_of(Settings(data_dir=tmp_path / "data", redis_port=port)) as settings:
        up(settings, (REDIS,))
        stranger = redis.Redis(port=port, retry=Retry(NoBackoff(), 0))
        with stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()


def test_a_taken_socket_is_not_stolen(settings: Settings) -> None:
    runtime_dir(settings).mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(redis_socket(settings)))
        other.listen()
        with pytest.raises(ServiceError, match="already listens"):
            up(settings, PROGRAMS)


def test_a_runtime_folder_of_somebody_else_is_refused(settings: Settings, tmp_path: Path) -> None:
    trap = runtime_dir(settings)
    trap.symlink_to(tmp_path)
    try:
        with pytest.raises(ServiceError, match="not a private folder"):
            up(settings, PROGRAMS)
        assert list(tmp_path.iterdir()) == [settings.data_dir]
    finally:
        trap.unlink()


def test_a_full_disk_is_named(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "MIN_FREE_BYTES", 2**60)
    with pytest.raises(ServiceError, match=r"disk that holds .* is full"):
        up(settings, PROGRAMS)
    assert nothing_left(settings)


def test_a_disk_that_fills_up_is_named(settings: Settings) -> None:
    full = Path("/dev/full")
    with pytest.raises(ServiceError, match=r"disk that holds .* is full"), folders.clear_refusals(full):
        full.write_text("x")


def test_a_file_in_the_place_of_the_data_directory_is_named(settings: Settings) -> None:
    settings.data_dir.write_text("a letter")
    with pytest.raises(ServiceError, match=r"in the way.*SHOEBOX_DATA_DIR"):
        up(settings, PROGRAMS)


def test_data_that_cannot_be_read_are_set_aside(settings: Settings) -> None:
    folder = redis_config_path(settings).parent
    (folder / "appendonlydir").mkdir(parents=True)
    (folder / "appendonlydir" / "appendonly.aof.1.base.rdb").write_bytes(b"REDIS9999" + b"\0" * 20)
    (folder / "appendonlydir" / "appendonly.aof.manifest").write_text(
        "file appendonly.aof.1.base.rdb seq 1 type b\n"
    )
    up(settings, (REDIS,))
    assert (damaged_folder(settings) / "appendonlydir" / "appendonly.aof.1.base.rdb").exists()
    assert "set aside" in program_log(settings, "redis").read_text()
    assert "Nothing is lost" in damage_note(settings)


def test_a_file_that_a_power_cut_left_with_zeros_is_set_aside_by_the_supervised_server(
    settings: Settings,
) -> None:
    up(settings, (REDIS,))
    with redis.Redis.from_url(redis_url(settings)) as client:
        client.set("a", "b")
        pid = client.info("server")["process_id"]
    [file] = (redis_config_path(settings).parent / "appendonlydir").glob("*.incr.aof")
    with file.open("ab") as end:
        end.write(bytes(4096))
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: damaged_folder(settings).exists())
    eventually(lambda: status(settings).redis.up)


# --- A Redis of the user's own


@contextmanager
def foreign_redis(folder: Path, password: str) -> Iterator[Path]:
    """A Redis that Shoebox did not start; yields its socket."""
    path = folder / "foreign.sock"
    config = f"port 0\nunixsocket {path}\nrequirepass {password}\nsave ''\ndir {folder}\n"
    server = subprocess.Popen(
        [find_server(Settings(data_dir=folder)).binary, "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    try:
        assert server.stdin is not None
        server.stdin.write(config.encode())
        server.stdin.close()
        eventually(path.exists)
        yield path
    finally:
        server.kill()
        server.wait()


@contextmanager
def fake_server(reply: bytes) -> Iterator[int]:
    """A server that answers whatever it is told with `reply`; yields its port."""

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                while client.recv(4096):
                    client.sendall(reply)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def using(url: str, folder: Path) -> Settings:
    return Settings(data_dir=folder / "data", redis_url=SecretStr(url))


def test_a_redis_of_the_user_is_used_and_not_stopped(tmp_path: Path, short_folder: Path) -> None:
    with (
        foreign_redis(short_folder, "right") as path,
        services_of(using(f"unix://:right@{path}", tmp_path)) as settings,
    ):
        assert up(settings, PROGRAMS[1:]).programs == ("cpu", "home")
        down(settings)
        assert status(settings).redis.up


def test_a_wrong_password_is_named_and_not_shown(tmp_path: Path, short_folder: Path) -> None:
    with foreign_redis(short_folder, "right") as path:
        settings = using(f"unix://:hush-hush@{path}", tmp_path)
        with services_of(settings), pytest.raises(ServiceError, match="refuses the user name") as caught:
            up(settings, PROGRAMS[1:])
        assert "hush-hush" not in str(caught.value)
        assert "hush-hush" not in repr(status(settings))
        assert nothing_left(settings)


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "is not a Redis"),
        (b"$19\r\nredis_version:5.0.0\r\n", "version 5.0.0; Shoebox needs 6.2"),
        (b"-LOADING Redis is loading the dataset in memory\r\n", "still loading"),
        (b"-NOPERM this user has no permissions\r\n", "does not let this user"),
    ],
)
def test_a_strange_server_is_named(reply: bytes, words: str, tmp_path: Path) -> None:
    with fake_server(reply) as port:
        settings = using(f"redis://127.0.0.1:{port}/0", tmp_path)
        with services_of(settings), pytest.raises(ServiceError, match=words):
            up(settings, PROGRAMS[1:])


def test_no_server_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with services_of(using(f"redis://:hush-hush@127.0.0.1:{port}/0", tmp_path)) as settings:
        with pytest.raises(ServiceError, match=rf"127\.0\.0\.1:{port} cannot be reached") as caught:
            up(settings, PROGRAMS[1:])
        assert "hush-hush" not in str(caught.value)
        assert status(settings).problems != ()


@pytest.mark.parametrize("url", ["http://:hush-hush@host", "redis://:hush-hush@host:port"])
def test_an_address_that_is_none_is_named(url: str, tmp_path: Path) -> None:
    with services_of(using(url, tmp_path)) as settings:
        with pytest.raises(ServiceError, match="SHOEBOX_REDIS_URL") as caught:
            up(settings, PROGRAMS[1:])
        assert "hush-hush" not in str(caught.value)
        with pytest.raises(ServiceError) as caught:
            celery_broker_url(url)
        assert "hush-hush" not in str(caught.value)


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for a socket's name."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="sb-", dir="/tmp") as folder:
        yield Path(folder)


# --- Addresses and programs


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://us:p%2Fw@h:1?db=4", "redis://us:p%2Fw@h:1/4"),
        ("redis://[::1]:3/1", "redis://[::1]:3/1"),
        ("rediss://:p;@h:7/2", "rediss://:p%3B@h:7/2?ssl_cert_reqs=required"),
        ("unix:///a%20b?db=2&password=x", "redis+socket://:x@/a%20b?virtual_host=2"),
        ("unix://us@/s", "redis+socket://us:@/s?virtual_host=0"),
    ],
)
def test_celery_gets_the_same_address_in_its_own_form(url: str, expected: str) -> None:
    assert celery_broker_url(url) == expected


def test_redis_is_started_only_without_one_of_the_user(tmp_path: Path) -> None:
    own = {program.name for program in default_programs(Settings(data_dir=tmp_path))}
    assert own == {"redis", "home", "cpu", "gpu", "beat", "watch"}
    assert {program.name for program in default_programs(using("redis://h", tmp_path))} == own - {"redis"}
