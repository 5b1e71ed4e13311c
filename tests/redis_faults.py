"""What can go wrong with a Redis, each as a beginning and an end, for `tests.bench_redis_faults`."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from tasks.queues import broker_lists
from tests.own_redis import PASSWORD, BadLine, OwnRedis
from tests.system import System


@dataclass
class Ground:
    """A Redis that faults are made to. Only one of the user's own has `own` and `line`."""

    client: Callable[[], Redis]
    """Makes a client past the line; it waits until the server answers."""
    folder: Path
    """For what a fault needs."""
    own: OwnRedis | None = None
    line: BadLine | None = None
    system: System | None = None
    """That which an embedded server belongs to."""

    @property
    def redis(self) -> OwnRedis:
        """The user's own."""
        assert self.own is not None
        return self.own

    @property
    def way(self) -> BadLine:
        """The line to the user's own."""
        assert self.line is not None
        return self.line

    @property
    def home(self) -> System:
        """The system with an embedded server."""
        assert self.system is not None
        return self.system

    @contextmanager
    def set_to(self, **options: str | int) -> Iterator[None]:
        """Have other options for a while; `_` stands for `-`."""
        with self.client() as client:
            wanted = {name.replace("_", "-"): value for name, value in options.items()}
            before = {name: client.config_get(name)[name] for name in wanted}
            for name, value in wanted.items():
                client.config_set(name, value)
        try:
            yield
        finally:
            with self.client() as client:
                for name, value in before.items():
                    client.config_set(name, value)


Fault = Callable[[Ground], Iterator[None]]
"""Makes the fault, yields, and mends it."""


def killed_and_restarted(ground: Ground) -> Iterator[None]:
    """Killed; starts with its data."""
    ground.redis.kill()
    yield
    ground.redis.start()


def restarted_empty(ground: Ground) -> Iterator[None]:
    """Killed; starts without its data."""
    ground.redis.kill()
    ground.redis.wipe()
    yield
    ground.redis.start()


def loading(ground: Ground) -> Iterator[None]:
    """Answers LOADING for a while after a restart."""
    with ground.client() as client:
        _fill(client, "redis.call('set', 'filler:' .. i, i)")
        client.bgrewriteaof()
        _until(lambda: not client.info("persistence")["aof_rewrite_in_progress"])
    ground.redis.kill()
    ground.redis.start("key-load-delay 20", wait=False)
    yield
    with ground.client() as client:
        _until(lambda: _config_set(client, "key-load-delay", 0))
        _until(lambda: bool(_quiet(client.ping)))
        _fill(client, "redis.call('del', 'filler:' .. i)")


def busy(ground: Ground) -> Iterator[None]:
    """A script runs that does not end."""

    def spin() -> None:
        with ground.client() as client, suppress(RedisError):
            client.eval("while true do end", 0)

    with ground.set_to(busy_reply_threshold=200):
        thread = threading.Thread(target=spin, daemon=True)
        thread.start()
        yield
        with ground.client() as client:
            client.script_kill()
        thread.join()


def password_changed(ground: Ground) -> Iterator[None]:
    """Another password, and all connections ended."""
    with ground.client() as client:
        client.config_set("requirepass", "another")
        client.client_kill_filter(_type="normal")
    yield
    with ground.redis.client("another") as client:
        client.config_set("requirepass", PASSWORD)


def rights_taken(ground: Ground) -> Iterator[None]:
    """The user may only read."""
    with ground.client() as client:
        client.execute_command("ACL", "SETUSER", "boss", "on", ">boss", "~*", "&*", "+@all")
        client.execute_command("ACL", "SETUSER", "default", "-@write")
    yield
    with Redis(port=ground.redis.port, username="boss", password="boss", protocol=2) as client:
        client.execute_command("ACL", "SETUSER", "default", "+@all")
        client.execute_command("ACL", "DELUSER", "boss")


def cannot_save(ground: Ground) -> Iterator[None]:
    """MISCONF: it cannot write its file, so it takes no writes."""
    aside = ground.redis.folder / "dump.rdb"
    aside.mkdir()  # a folder in the place of its file
    with ground.set_to(save="3600 1", stop_writes_on_bgsave_error="yes"), ground.client() as client:
        client.set("filler", 1)
        with suppress(RedisError):
            client.bgsave()
        _until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")
        yield
        aside.rmdir()
        client.bgsave()
        _until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "ok")


def memory_full(ground: Ground) -> Iterator[None]:
    """OOM: it takes no writes."""
    with ground.set_to(maxmemory=1, maxmemory_policy="noeviction"):
        yield


def evicting(ground: Ground) -> Iterator[None]:
    """It throws keys away when it is full, and it is full."""
    with ground.client() as client:
        full = int(client.info("memory")["used_memory"])
    with ground.set_to(maxmemory=full, maxmemory_policy="allkeys-lru"):
        yield


def read_only_replica(ground: Ground) -> Iterator[None]:
    """Made a replica of an empty server, then promoted again: as a failover to an old copy."""
    folder = ground.folder / "master"
    folder.mkdir(exist_ok=True)
    with OwnRedis(folder) as master, ground.client() as client:
        client.config_set("masterauth", PASSWORD)
        client.replicaof("127.0.0.1", str(master.port))
        yield
        client.replicaof("NO", "ONE")
    shutil.rmtree(folder)


def slow_line(ground: Ground) -> Iterator[None]:
    """Each packet takes 300 ms."""
    ground.way.delay = 0.3
    yield
    ground.way.heal()


def thin_line(ground: Ground) -> Iterator[None]:
    """20 kB a second."""
    ground.way.bytes_per_second = 20_000
    yield
    ground.way.heal()


def dead_line(ground: Ground) -> Iterator[None]:
    """Half-open: connections stand, and nothing comes."""
    ground.way.holds = True
    yield
    ground.way.heal()


def no_more_clients(ground: Ground) -> Iterator[None]:
    """All connections ended, and others have taken all there are."""
    others = []
    with ground.client() as client:
        before = client.config_get("maxclients")["maxclients"]
        client.config_set("maxclients", 12)
        client.client_kill_filter(_type="normal", skipme=True)
        with suppress(RedisError):
            for _ in range(40):
                other = Redis(port=ground.redis.port, password=PASSWORD, protocol=2)
                others.append(other)
                other.ping()
        yield
        client.config_set("maxclients", before)
    for other in others:
        other.close()


def too_old(ground: Ground) -> Iterator[None]:
    """Replaced by a server that says it is 5.0."""
    ground.way.version = "5.0.9"
    ground.way.cut()
    yield
    ground.way.heal()


def connections_killed(ground: Ground) -> Iterator[None]:
    """CLIENT KILL TYPE normal, again and again."""
    for _ in range(5):
        with ground.client() as client:
            client.client_kill_filter(_type="normal")
            client.client_kill_filter(_type="pubsub")
        time.sleep(1)
    yield


def flushed(ground: Ground) -> Iterator[None]:
    """FLUSHALL."""
    with ground.client() as client:
        client.flushall()
    yield


def rubbish_on_queues(ground: Ground) -> Iterator[None]:
    """Others put messages of their own on our queues, and their things under our names."""
    with ground.client() as client:
        for queue in ("cpu", "gpu"):
            for name in (queue, broker_lists(queue)[0]):
                client.lpush(name, "no JSON", '{"body": 1}', '["x"]')
        client.hset("shoebox:presence", "stranger", "no JSON")
        client.hset("shoebox:presence", "stranger2", '{"until": 1}')
        client.hset("shoebox:homes", "stranger", "no JSON")
    yield
    with ground.client() as client:
        client.hdel("shoebox:presence", "stranger", "stranger2")


def embedded_killed(ground: Ground) -> Iterator[None]:
    """Killed; the supervisor starts it."""
    ground.home.kill(ground.home.program_pid("redis"))
    yield


def embedded_emptied(ground: Ground) -> Iterator[None]:
    """Killed without its files."""
    redis = ground.home.program_pid("redis")
    (ground.home.settings.data_dir / "redis" / "appendonlydir").rename(ground.folder / "gone")
    ground.home.kill(redis)
    yield


def embedded_file_ends_in_zeros(ground: Ground) -> Iterator[None]:
    """Killed, and its file as a power cut may leave it."""
    _damage(ground, lambda file: file.write_bytes(file.read_bytes() + b"\0" * 4096))
    yield


def embedded_file_damaged_within(ground: Ground) -> Iterator[None]:
    """Killed, with rubbish in the middle of its file."""

    def spoil(file: Path) -> None:
        data = bytearray(file.read_bytes())
        data[len(data) // 2 : len(data) // 2 + 300] = bytes(range(150)) * 2
        file.write_bytes(data)

    _damage(ground, spoil)
    yield


def _damage(ground: Ground, spoil: Callable[[Path], object]) -> None:
    redis = ground.home.program_pid("redis")
    (file,) = (ground.home.settings.data_dir / "redis" / "appendonlydir").glob("*.incr.aof")
    spoil(file)
    ground.home.kill(redis)


def _until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(condition)
        time.sleep(0.05)


def _fill(client: Redis, each: str) -> None:
    """Do something with 400,000 keys, without holding others up for long."""
    for first in range(0, 400_000, 10_000):
        client.eval(f"for i = {first}, {first + 9_999} do {each} end", 0)


def _quiet(ask: Callable[[], object]) -> object:
    with suppress(RedisError):
        return ask()
    return None


def _config_set(client: Redis, name: str, value: int) -> bool:
    try:
        client.config_set(name, value)
    except RedisError:
        return False
    return True


EMBEDDED: tuple[Fault, ...] = (
    embedded_killed,
    embedded_emptied,
    embedded_file_ends_in_zeros,
    embedded_file_damaged_within,
    memory_full,
    evicting,
    flushed,
)
"""For the embedded server."""
OWN: tuple[Fault, ...] = (
    killed_and_restarted,
    restarted_empty,
    loading,
    busy,
    password_changed,
    rights_taken,
    cannot_save,
    memory_full,
    evicting,
    read_only_replica,
    slow_line,
    thin_line,
    dead_line,
    no_more_clients,
    too_old,
    connections_killed,
    flushed,
    rubbish_on_queues,
)
"""For a server of the user's own."""
