"""A process of a worker's pool that hangs so hard that not even its threads run."""

import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from redis import Redis

from tasks import pulse
from tasks.pulse import PulseWatch
from tests.pool_worker import held_tasks, pool_worker, url_of
from tests.test_services import eventually


@pytest.fixture
def worker(redis: Redis, tmp_path: Path) -> Iterator[psutil.Process]:
    """A worker with one process, whose units count as lost soon."""
    settings = {
        "SHOEBOX_CPU_CONCURRENCY": "1",
        "SHOEBOX_LEASE_SECONDS": "2",
        "SHOEBOX_GRACE_SECONDS": "1",
    }
    with pool_worker(url_of(redis), tmp_path, **settings) as worker:
        yield worker


def test_a_process_that_is_stopped_for_good_is_replaced_and_what_waits_behind_it_runs(
    worker: psutil.Process, redis: Redis
) -> None:
    held_tasks(url_of(redis), 1)
    eventually(lambda: redis.llen("held") == 1)
    [hung] = worker.children()
    hung.send_signal(signal.SIGSTOP)
    held_tasks(url_of(redis), 1)

    eventually(lambda: redis.llen("held") == 2)

    assert not hung.is_running() or hung.status() == psutil.STATUS_ZOMBIE
    redis.lpush("go", 1)
    eventually(lambda: redis.llen("ended") == 1)


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> bytearray:
    """The shared page, without a fork."""
    page = bytearray(pulse.mmap.PAGESIZE)
    monkeypatch.setattr(pulse, "_page", page)
    return page


def beat(page: bytearray, slot: int, pid: int, count: int) -> None:
    pulse._SLOT.pack_into(page, slot * pulse._SLOT.size, pid, count)


def test_only_a_child_that_counts_no_more_has_hung(page: bytearray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "_status_of_child", lambda pid: "" if pid == 13 else "stopped")
    watch = PulseWatch(patience=10)
    for second in range(30):
        beat(page, 0, 11, second)  # well
        beat(page, 1, 12, min(second, 5))  # counts to five
        if second == 0:
            beat(page, 2, 13, 1)  # has ended
        hung = watch.hung(100.0 + second)
        assert hung == ([12] if second > 15 else []), second
    assert pulse._SLOT.unpack_from(page, 2 * pulse._SLOT.size) == (0, 0)


def test_a_pause_of_the_whole_machine_is_nobodys_fault(
    page: bytearray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulse, "_status_of_child", lambda _: "stopped")
    watch = PulseWatch(patience=10)
    beat(page, 0, 11, 1)
    assert watch.hung(100.0) == []
    assert watch.hung(1000.0) == []
    assert watch.hung(1001.0) == []


def test_a_process_in_native_code_is_given_ten_times_as_long(
    page: bytearray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulse, "_status_of_child", lambda _: "running")
    watch = PulseWatch(patience=10)
    beat(page, 0, 11, 1)
    assert [second for second in range(111) if watch.hung(100.0 + second)] == list(range(101, 111))
