"""A GPU box: it reaches home's Redis by TLS and has nothing else of home's."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tasks.broker_url import redis_socket, redis_url
from tasks.documents import Stage, State
from tasks.exchange import Exchange, connect
from tasks.homes import homes_up
from tasks.orders import Presence
from tasks.version import VERSION
from tests.elsewhere import HeadlessWorker, bare_home, children_of
from tests.samples import scans
from tests.system import System
from tests.tls_proxy import AUTHORITY, TlsProxy

NVIDIA_SMI = """#!/bin/sh
[ "$1" = -L ] || echo '0, NVIDIA RTX A6000, 49140, 1024, 37, GPU-5ec'
"""
HEAVY = ("onnxruntime", "libtorch", "paddle")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A home that serves neither `cpu` nor `gpu` itself."""
    with bare_home(tmp_path_factory.mktemp("home"), SHOEBOX_ENGINE="offline") as system:
        yield system


@pytest.fixture
def box(home: System, tmp_path: Path) -> Iterator[HeadlessWorker]:
    """A box with one GPU, on its own but for a TLS endpoint in front of home's Redis."""
    driver = tmp_path / "bin" / "nvidia-smi"
    driver.parent.mkdir()
    driver.write_text(NVIDIA_SMI)
    driver.chmod(0o755)
    environment = {"PATH": f"{driver.parent}:{os.environ['PATH']}"}
    with TlsProxy(redis_socket(home.settings)) as proxy:
        url = f"rediss://:{password(home)}@127.0.0.1:{proxy.port}/0?ssl_ca_certs={quote(str(AUTHORITY))}"
        arguments = ("--queues", "gpu", "--redis", url)
        with HeadlessWorker(tmp_path / "box", *arguments, environment=environment) as worker:
            yield worker


def password(home: System) -> str:
    return redis_url(home.settings).partition("://:")[2].partition("@")[0]


def workers(home: System) -> list[Presence]:
    """Those that are up, without home's own; home says its version, which they look for."""
    redis = connect(redis_url(home.settings))
    try:
        assert list(homes_up(Exchange(redis)).values()) == [VERSION]
        return [one for one in Exchange(redis).presence() if one.queues != ("home",)]
    finally:
        redis.close()


def test_a_gpu_box_reads_scans_and_gives_back_what_it_has_in_hand(home: System, box: HeadlessWorker) -> None:
    scan = home.folder / "scan.pdf"
    scan.write_bytes(scans.scanned(pages=1, seed=1, lines=4))
    home.run("add", scan)

    def read() -> str:
        units = [unit for document in home.documents() for unit in home.units(document.id)]
        return next((u.worker for u in units if u.stage is Stage.OCR and u.state is State.DONE), "")

    assert home.await_true(read, what="the box has read the scan").startswith(f"gpu-{box.id}@")
    (presence,) = workers(home)
    assert [(gpu.uuid, gpu.name) for gpu in presence.gpus] == [("GPU-5ec", "NVIDIA RTX A6000")]
    assert presence.software["python"]
    assert not list(box.data_dir.glob("ledger*"))
    assert not list(box.data_dir.rglob("*.pdf"))
    nothing_is_told_to_other_users(home, box)
    models_are_in_the_child_alone(box)

    scan.write_bytes(scans.scanned(pages=4, seed=2))
    home.run("add", scan)
    home.await_true(lambda: home.running_pids("ocr", "gpu"), what="the box reads a long scan")
    box.signal(signal.SIGTERM)
    home.await_true(lambda: "finished first" in box.log, what="the box has heard")
    box.signal(signal.SIGTERM)
    assert box.running.wait(60) == 0, box.log
    assert "1 units given back" in box.log, box.log
    assert workers(home) == []
    units = [u for d in home.documents() for u in home.units(d.id) if u.stage is Stage.OCR]
    assert [unit.attempts for unit in units if unit.state is not State.DONE] == [0]


def nothing_is_told_to_other_users(home: System, box: HeadlessWorker) -> None:
    """All users of a machine see the arguments of all processes."""
    pids = [box.running.pid, *box.members(), *(child for pid in box.members() for child in children_of(pid))]
    assert len(pids) == 3
    for pid in pids:
        assert password(home).encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert password(home) not in box.log


def models_are_in_the_child_alone(box: HeadlessWorker) -> None:
    """Who forks after CUDA was begun has a CUDA that does not work."""
    (main,) = box.members()
    (child,) = children_of(main)
    maps = {pid: Path(f"/proc/{pid}/maps").read_text() for pid in (main, child)}
    assert [word for word in HEAVY if word in maps[main]] == []
    assert "onnxruntime" in maps[child]
    assert b"CUDA_VISIBLE_DEVICES=GPU-5ec" in Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
