"""Fixtures: private homes, a private Redis, and a whole running system."""

import gc
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import hypothesis
import pytest
from redis import Redis

from app.services import find_server
from tasks.exchange import Exchange
from tasks.ledger import Ledger
from tasks.settings import Settings, get_settings
from tests.system import System, running

# The first example may load a language model, and machines are busy: no test asks how long one takes.
hypothesis.settings.register_profile("shoebox", deadline=None)
hypothesis.settings.load_profile("shoebox")


# Files run side by side: one that takes minutes must not be the last to begin.
_LONGEST_FIRST = (
    "test_chaos_rounds",
    "test_chaos",
    "test_llm_system",
    "test_vision_system",
    "test_main_job",
    "test_canaries",
    "test_ask_system",
    "test_inventing_model",
    "test_closed",
    "test_ocr",
    "test_watch_chaos",
    "test_tui_document",
    "test_watch",
    "test_services",
    "test_clerk",
    "test_tui_system",
    "test_meaning_system",
    "test_plans_chaos",
    "test_security_system",
    "test_redis_faults",
    "test_gpu_box",
    "test_ocr_ladder",
    "test_poison",
    "test_llm_faults",
    "test_tui_machines",
    "test_bench",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest. Within a file the order stays."""
    rank = {name: place for place, name in enumerate(_LONGEST_FIRST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))


def pytest_collection_finish() -> None:
    """Let no garbage collection look through what collection made, which stays until the end.

    Thousands of tests are a million objects: each full collection, which OCR and asyncio ask for often,
    would go through all of them.
    """
    gc.collect()
    gc.freeze()


_homes = count()


@pytest.fixture(autouse=True)
def _own_environment(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the developer's own settings, documents or Redis."""
    for name in list(os.environ):
        if name.startswith("SHOEBOX_") and name != "SHOEBOX_TEST_OLLAMA":
            monkeypatch.delenv(name)
    # Not by mktemp, which looks through the folders of all tests before.
    home = tmp_path_factory.getbasetemp() / "own" / str(next(_homes))
    for variable, folder in (("XDG_CONFIG_HOME", "config"), ("SHOEBOX_DATA_DIR", "data")):
        (home / folder).mkdir(mode=0o700, parents=True)
        monkeypatch.setenv(variable, str(home / folder))
    monkeypatch.setenv("SHOEBOX_OCR_THREADS", "1")  # see tests/system.py
    get_settings.cache_clear()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a data directory of this test's own."""
    return Settings(data_dir=tmp_path / "data", recipe_dir=tmp_path / "recipes")


@pytest.fixture(scope="session")
def _empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new ledger, to be copied: making one takes ten times as long as opening it."""
    settings = Settings.model_construct(data_dir=tmp_path_factory.mktemp("ledger"))
    with Ledger.open(settings):
        return settings.ledger_path


@pytest.fixture
def ledger(settings: Settings, _empty_ledger: Path) -> Iterator[Ledger]:
    """An empty ledger."""
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not settings.ledger_path.exists():
        shutil.copy(_empty_ledger, settings.ledger_path)
    with Ledger.open(settings) as opened:
        yield opened


@pytest.fixture
def redis(tmp_path: Path, settings: Settings) -> Iterator[Redis]:
    """A client of a real Redis of this test's own."""
    socket = tmp_path / "r.sock"
    binary = find_server(settings).binary
    command = [binary, "--port", "0", "--unixsocket", socket, "--save", "", "--dir", tmp_path]
    server = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL)
    client = Redis(unix_socket_path=str(socket), retry=patient())
    try:
        client.ping()
        yield client
    finally:
        client.close()
        server.kill()
        server.wait()


def patient() -> object:
    """Retries until a server that has just been started answers."""
    from redis.backoff import ConstantBackoff
    from redis.exceptions import ConnectionError
    from redis.retry import Retry

    return Retry(ConstantBackoff(0.02), retries=500, supported_errors=(ConnectionError, FileNotFoundError))


@pytest.fixture
def exchange(redis: Redis) -> Exchange:
    """The exchange over the test's Redis."""
    return Exchange(redis)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A running system, shared by the tests of a module."""
    with running(tmp_path_factory.mktemp("system")) as started:
        yield started


@pytest.fixture
def emptied(system: System) -> System:
    """The module's system, without documents. A system costs more than most of what it is started for."""
    system.forget_documents()
    return system


@pytest.fixture
def own_system(tmp_path: Path) -> Iterator[Callable[..., System]]:
    """Starts a system for one test alone, with settings of its own."""
    with ExitStack() as stack:
        yield lambda **environment: stack.enter_context(running(tmp_path / "system", **environment))
