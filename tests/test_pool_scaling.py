"""How many processes a worker has: by load, memory and time; and a real worker that grows and shrinks."""

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from redis import Redis

from tasks import pool_scaling
from tasks.pool_scaling import PoolSize, available_memory, shortage
from tasks.settings import Settings
from tests.pool_worker import held_tasks, pool_worker, url_of
from tests.test_services import eventually

GIB = 2**30


def size(least: int = 1, most: int = 4) -> PoolSize:
    return PoolSize(least, most, idle_seconds=60)


def yes() -> bool:
    return True


def no() -> bool:
    return False


def never() -> bool:
    raise AssertionError("not to be asked")


def test_it_grows_to_the_units_in_hand_and_no_further_than_allowed() -> None:
    pool = size()
    assert pool.wanted(1, 1, 0, never) == 1
    assert pool.wanted(3, 1, 0, yes) == 3
    assert pool.wanted(9, 3, 0, yes) == 4
    assert pool.wanted(9, 4, 0, never) == 4


def test_it_does_not_grow_where_the_machine_cannot_bear_it() -> None:
    pool = size()
    assert pool.wanted(4, 2, 0, no) == 2
    assert pool.wanted(4, 2, 1, yes) == 4


def test_it_shrinks_to_what_was_needed_lately_and_never_below_the_least() -> None:
    pool = size(least=2, most=8)
    assert pool.wanted(8, 2, 0, yes) == 8
    assert pool.wanted(3, 8, 50, never) == 8
    assert pool.wanted(0, 8, 59, never) == 8
    assert pool.wanted(0, 8, 61, never) == 3, "three were busy eleven seconds ago"
    assert pool.wanted(1, 3, 200, never) == 2


def test_a_unit_now_and_then_keeps_one_process_not_all() -> None:
    pool = size()
    pool.wanted(4, 1, 0, yes)
    processes = 4
    for second in range(1, 90):
        processes = pool.wanted(second % 2, processes, second, never)
    assert processes == 1


def test_a_machine_that_is_short_of_something_bears_no_more(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory, load = [2 * GIB], [0.0]
    monkeypatch.setattr(pool_scaling, "available_memory", lambda: memory[0])
    monkeypatch.setattr(os, "getloadavg", lambda: (load[0], 0.0, 0.0))
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert shortage(settings) == ""
    memory[0] = GIB - 1
    assert shortage(settings) == "memory is short"
    memory[0], load[0] = GIB, 8.1
    assert shortage(settings) == "the processor is overloaded"
    assert shortage(settings.model_copy(update={"cpu_load_per_core": 0})) == ""
    load[0] = 8.0
    assert shortage(settings) == ""


def test_the_limit_of_a_container_counts(tmp_path: Path) -> None:
    for name, text in (
        ("memory.max", f"{10 * 2**20}\n"),
        ("memory.current", f"{8 * 2**20}\n"),
        ("memory.stat", f"anon 1\ninactive_file {3 * 2**20}\n"),
    ):
        (tmp_path / name).write_text(text)
    assert available_memory(tmp_path) == 5 * 2**20
    (tmp_path / "memory.max").write_text("max\n")
    assert available_memory(tmp_path) > 10 * 2**20
    assert available_memory(tmp_path / "nothing") > 10 * 2**20


@pytest.fixture
def worker(redis: Redis, tmp_path: Path) -> Iterator[psutil.Process]:
    """A worker of up to three processes, which are not kept for long."""
    settings = {
        "SHOEBOX_CPU_CONCURRENCY": "3",
        "SHOEBOX_CPU_IDLE_SECONDS": "0.5",
        "SHOEBOX_CPU_FREE_MEMORY_BYTES": "0",
        "SHOEBOX_CPU_LOAD_PER_CORE": "0",
    }
    with pool_worker(url_of(redis), tmp_path, **settings) as worker:
        yield worker


def test_a_real_worker_grows_shrinks_and_grows_again_after_its_link_was_cut(
    worker: psutil.Process, redis: Redis
) -> None:
    """Celery's own scaler stays at one process after the link was cut."""

    def processes() -> int:
        return sum(child.status() != psutil.STATUS_ZOMBIE for child in worker.children())

    def hold(number: int) -> None:
        """So many tasks that wait until they are let go, all of which must run at the same time."""
        held_tasks(url_of(redis), number)
        eventually(lambda: redis.llen("held") == number)

    hold(3)
    assert processes() == 3
    redis.lpush("go", *range(3))
    eventually(lambda: redis.llen("ended") == 3)
    eventually(lambda: processes() == 1)
    redis.client_kill_filter(_type="normal", skipme=True)
    redis.delete("held")
    hold(3)
    assert processes() == 3
    redis.lpush("go", *range(3))
    eventually(lambda: redis.llen("ended") == 6)
    assert sorted(redis.lrange("ended", 0, -1)) == [b"0", b"0", b"1", b"1", b"2", b"2"]
