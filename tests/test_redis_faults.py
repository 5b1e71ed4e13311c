"""Faults of Redis and a real worker: it must outlive them with its processes, and take work again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.planning import CPU_QUEUE
from tasks.queues import BROKER_PREFIX, broker_lists
from tests.own_redis import PASSWORD, OwnRedis
from tests.pool_worker import held_tasks, pool_worker
from tests.test_services import eventually

RIGHTS = "~shoebox:* &shoebox:* +@all -@admin -@dangerous +info"
"""Those that docs/redis.md names."""


@pytest.fixture
def own(tmp_path: Path) -> Iterator[OwnRedis]:
    (tmp_path / "redis").mkdir()
    with OwnRedis(tmp_path / "redis") as server:
        yield server


def test_a_worker_outlives_what_redis_does(own: OwnRedis, tmp_path: Path) -> None:
    boss = own.client()
    boss.execute_command("ACL", "SETUSER", "box", "on", ">pw", *RIGHTS.split(), "~held", "~go", "~ended")
    url = f"redis://box:pw@127.0.0.1:{own.port}/0"

    def log() -> str:
        return (tmp_path / "log").read_text()

    def held(number: int) -> bool:
        return str(number).encode() in boss.lrange("held", 0, -1)

    def takes_work(number: int) -> None:
        """A new task begins; those that were given back to the queue are let go."""
        held_tasks(url, 1, number)
        eventually(lambda: boss.lpush("go", 1) and held(number))

    with pool_worker(url, tmp_path, SHOEBOX_CPU_CONCURRENCY="1") as worker:
        held_tasks(url, 1)
        eventually(lambda: held(0))

        # A task ends while the password is another one, so that its message cannot be acknowledged.
        boss.execute_command("ACL", "SETUSER", "box", "resetpass", ">another")
        boss.client_kill_filter(_type="normal", skipme=True)
        eventually(lambda: "Redis refuses the user name or password. Waiting for it" in log())
        boss.execute_command("ACL", "SETUSER", "box", "resetpass", ">pw")
        takes_work(1)

        # A failover: what waits on the server for a message is sent away.
        boss.replicaof("127.0.0.1", "1")
        eventually(lambda: "Redis is a read-only copy" in log())
        boss.replicaof("NO", "ONE")
        takes_work(2)

        # Somebody else's things on our queue.
        boss.lpush(broker_lists(CPU_QUEUE)[0], "no JSON", "[]", '{"body": 1}', '{"headers": {}, "body": ""}')
        eventually(lambda: not boss.llen(broker_lists(CPU_QUEUE)[0]))
        takes_work(3)

        assert worker.poll() is None
        keys = {key.decode() for key in boss.scan_iter()} - {"held", "go", "ended"}
        assert all(key.startswith("shoebox:") for key in keys)
        assert any(key.startswith(BROKER_PREFIX) for key in keys)
        assert PASSWORD not in log()
    boss.close()
